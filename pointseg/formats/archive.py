"""Zip archives that are written whole or not at all, the same bytes for the same content."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pointseg.core.durable import writing

#: What zipfile raises for an archive, and for a member, that it cannot read; NotImplementedError stands for
#: a version or a compression of zip that it does not know.
BAD_ARCHIVE = (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError)
BAD_MEMBER = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
)
_PLAIN_NAME = re.compile(r"\w[\w.-]*")
_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 9: "deflate64", 93: "Zstandard", 95: "xz"}


def foreign_method(member: zipfile.ZipInfo) -> str | None:
    """The compression of a member, if it is one that test servers need not read."""
    if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None
    return _METHODS.get(member.compress_type, f"method {member.compress_type}")


def check_names(path: Path, names: Iterable[str], suffix: str) -> None:
    """Whether an archive can hold a file of each name at its root; to be asked before the work is done.

    Raises:
        ValueError: naming those that it cannot.
    """
    odd = [name for name in names if not _PLAIN_NAME.fullmatch(f"{name}{suffix}")]
    if odd:
        raise ValueError(
            f"{path}: an archive for a server has plain file names of letters, digits, '.', '_' and '-'; "
            f"{len(odd)} names are others, such as {odd[0]!r}. Rename them in the data and prepare it again."
        )


def write_archive(
    path: Path, files: Iterable[tuple[str, bytes]], *, compress: bool = True, folders: bool = False
) -> None:
    """Write files to an archive.

    Args:
        path: the zip file.
        files: (name, content) pairs, consumed one by one.
        compress: False for what is compressed already.
        folders: True allows names with folders, ``a/b.txt``, and those of folders themselves, ``a/`` with no
            content, for servers that look for their entries; else all lie at the root.

    Raises:
        ValueError: for a name that is no plain file name, or that comes twice.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    written: set[str] = set()
    with writing(path) as stream, zipfile.ZipFile(stream, "w", compression=method) as archive:
        for name, content in files:
            parts = name.removesuffix("/").split("/") if folders else [name]
            if not all(_PLAIN_NAME.fullmatch(part) for part in parts) or name in written:
                plain = "are plain" if folders else "hold no '/'"
                raise ValueError(f"{path}: expected file names that differ and {plain}; got {name!r}.")
            written.add(name)
            # Its time is zip's epoch: that of the writing would make every archive differ.
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.create_system = method, 3
            entry.external_attr = (0o40755 << 16) | 0x10 if name.endswith("/") else 0o644 << 16
            archive.writestr(entry, content)


def is_unsafe(member: zipfile.ZipInfo) -> bool:
    """Whether the name of an archive's member leads out of the folder it is unpacked in, or it is a link."""
    name = PurePosixPath(member.filename)
    # ZipInfo turns the machine's own separator into '/'; orig_filename is what stands in the archive.
    return bool(
        not name.parts
        or name.is_absolute()
        or ".." in name.parts
        or re.search(r"[\\:\0]", member.orig_filename)
        or stat.S_ISLNK(member.external_attr >> 16)
    )
