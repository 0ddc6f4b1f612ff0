"""Writing files so that a reader, a full disk or a power cut never meets half of one.

Content grows in a temporary file beside its target, is forced to the disk, and takes the target's name in one
step; then the folder is forced to the disk too, since the new name lies there. Imports the standard library
alone, so that every part of the house may write with it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

#: How names of temporary files end; they begin with a dot.
PARTIAL = ".partial"


@contextmanager
def writing(path: Path | str) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes the file when the block ends; after an error nothing has changed.

    A link stays and its target is replaced; what is no file, such as ``/dev/stdout``, is written straight.

    Args:
        path: the file.

    Raises:
        OSError: if it cannot be written; an earlier file of that name is still there.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("xb") as stream:
            yield stream
            sync(stream)
        move(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path | str, content: bytes) -> None:
    """The file with these bytes, whole or not at all; see :func:`writing`."""
    with writing(path) as stream:
        stream.write(content)


def write_text(path: Path | str, text: str) -> None:
    """The file with this text in UTF-8, whole or not at all; see :func:`writing`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, data: Any, *, indent: int | None = 1) -> None:
    """The file with these data, whole or not at all; see :func:`writing`.

    Raises:
        ValueError: for NaN and infinity, which JSON has not.
    """
    write_text(path, json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def move(source: Path, target: Path) -> None:
    """Give a file or folder, which is on the disk already, another name in the same folder tree, durably."""
    source.replace(target)
    sync_folder(target.parent)


def sync(stream: IO[Any]) -> None:
    """Force what was written to a stream to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can open folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_partial(path: Path, name: str) -> bool:
    """Whether this is what a killed writer has left of the file ``name``."""
    return path.name.startswith(f".{name}.") and path.name.endswith(PARTIAL)


def remove_partials(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; for folders with one writer at a time."""
    for left in folder.glob(f".*{PARTIAL}"):
        left.unlink()
