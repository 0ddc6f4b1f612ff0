"""Where a verb is to write: judged before the work is done, and named when it fails after all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def check_destination(path: Path | str | None, *, sources: Iterable[Path] = ()) -> None:
    """Refuse a file that cannot be written, while nothing is lost yet.

    Args:
        path: the file to write; None is for an output that nobody asked for.
        sources: files that are read and must not be written over.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: for a folder, a place that cannot be written, or a file that is read.
    """
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: this is a folder; expected the name of a file to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} into; make it first.")
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(
                f"{path}: this is the file to read, which would be lost; choose another name for the output."
            )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ValueError(f"{path}: cannot be written: no permission, or the disk is read-only.")


def check_destination_folder(path: Path | str | None) -> None:
    """The same for a folder of outputs, which is made with its parents where it is missing.

    Raises:
        ValueError: if a file has that name, or it cannot be written.
    """
    if path is None:
        return
    path = Path(path)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ValueError(f"{path}: expected a folder to write into; {nearest} is a file.")
    if not os.access(nearest, os.W_OK):
        raise ValueError(f"{path}: cannot be written: no permission, or the disk is read-only.")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writing say which file: a full disk tells Python nothing of it."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from None
