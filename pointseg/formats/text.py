"""Text files as people's editors write them: UTF-8, with or without a byte-order mark, any line ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: How files begin that stand in the place of others, and what they are.
_IMPOSTORS = {
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the file itself",
    b"/annex/": "a pointer of git-annex; `git annex get` fetches the file itself",
    b"<!doctype html": "a web page, such as a login or an error; download the file again",
    b"<html": "a web page, such as a login or an error; download the file again",
    b"\x00\x05\x16\x07": "the shadow (._name) that macOS keeps of a file; leave it out",
}
#: How files of other kinds begin: what a file is whose suffix promises something else.
_KINDS = {
    b"ply\n": "PLY",
    b"ply\r": "PLY",
    b"LASF": "LAS/LAZ",
    b"PK\x03\x04": "NPZ",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x1f\x8b": "gzip",
    b"# .PCD": "PCD",
    b"%PDF": "PDF",
}


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not UTF-8; the message names the file and says what to do.
    """
    return decoded(path, path.read_bytes())


def decoded(path: Path, data: bytes) -> str:
    """The text that the bytes of a file hold; see :func:`read_text`."""
    refuse_utf16(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}: line {line}: expected text in UTF-8; got the byte 0x{data[error.start]:02x}. Save the "
            "file as UTF-8."
        ) from None


def refuse_utf16(path: Path, data: bytes) -> None:
    """Raises ValueError for the bytes of a file of another encoding than UTF-8 and its kin."""
    if data and not data.strip(b"\0"):
        raise ValueError(f"{path}: it holds zeros alone, as after a power cut; write or copy it again.")
    if data.startswith(_UTF16) or b"\0" in data[:4]:
        raise ValueError(
            f"{path}: expected text in UTF-8; this is UTF-16, as PowerShell and Excel write it. Save it as "
            "UTF-8 (PowerShell: Out-File -Encoding utf8)."
        )


def read_lines(path: Path) -> list[str]:
    """The lines of a file that hold something, stripped; see :func:`read_text`."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is empty, cut or no JSON; the message names the file.
    """
    return parse_json(path, path.read_bytes())


def parse_json(path: Path, data: bytes) -> Any:
    """What the bytes of a JSON file hold; see :func:`read_json`."""
    text = decoded(path, data)
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; whatever wrote it was stopped, or the disk was full.")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: broken JSON ({error}); was it written or copied whole?") from None
    except RecursionError:
        raise ValueError(f"{path}: broken JSON (nested too deeply).") from None


def impostor(path: Path) -> str | None:
    """What lies in the place of a binary file that cannot be read, if its first bytes tell; else None."""
    try:
        with path.open("rb") as handle:
            start = handle.read(64)
    except OSError:
        return None
    if not start:
        return "an empty file; it was not downloaded or written whole"
    beginning = start.lstrip().lower()
    return next((what for magic, what in _IMPOSTORS.items() if beginning.startswith(magic)), None)


def unreadable(path: Path, kind: str, reason: object) -> ValueError:
    """The error for a file that is not what its name says: what it is instead where that shows, or why.

    Args:
        path: the file.
        kind: what it was taken for, such as ``PLY``.
        reason: what the reader said.
    """
    instead = impostor(path) or _other_kind(path, kind)
    why = f"it is {instead}" if instead else str(reason).strip().rstrip(".") or type(reason).__name__
    return ValueError(f"{printable(path)}: cannot be read as {kind}: {why}.")


def _other_kind(path: Path, kind: str) -> str | None:
    """The kind of file that this is, by its first bytes, if it is another than it was taken for."""
    with path.open("rb") as handle:
        start = handle.read(8)
    found = next((name for magic, name in _KINDS.items() if start.startswith(magic)), None)
    if found is None or found in kind or (kind.endswith("image") and found == "an image"):
        return None
    if found == "gzip":
        return "compressed with gzip; unpack it first"
    if found == "NPZ":
        return "an NPZ file or another ZIP archive; name it .npz, or unpack it"
    return f"{found if found == 'an image' else f'a {found} file'} by its first bytes; give it that suffix"


def printable(path: Path | str) -> str:
    """A path for messages: bytes of a name that are no UTF-8 are spelt out, since no terminal shows them."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
