"""NPZ files: arrays of a cloud under the names that people give them."""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.columns import INSTANCE_NAMES, LABEL_NAMES, find_column, find_triple
from pointseg.formats.text import unreadable

#: What numpy raises for a damaged .npy file: it parses the header as Python's literals.
BAD_ARRAY = (
    OSError, ValueError, EOFError, TypeError, MemoryError, OverflowError, SyntaxError, RecursionError,
    tokenize.TokenError, zipfile.BadZipFile,
)  # fmt: skip

Columns = dict[str, npt.NDArray[Any]]

#: Names of the arrays in an NPZ file, whatever their case; the first one that is there counts.
NPZ_NAMES = {
    "xyz": ("xyz", "xyz_m", "points", "coord", "coords", "positions", "pos"),
    "label": (*LABEL_NAMES, "raw_label", "segment", "semantic_gt"),
    "rgb": ("rgb", "color", "colors", "colour", "colours", "rgba"),
    "normal": ("normal", "normals"),
    "instance": (*INSTANCE_NAMES, "instance_gt"),
}


def read_npz(path: Path, label_name: str | None, *, want_labels: bool) -> tuple[Columns, tuple[str, ...]]:
    """The arrays of a cloud, and the names of those that are left.

    Raises:
        ValueError: if it cannot be read, or announces more than it holds.
    """
    try:
        _refuse_single_array(path)
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            names = _find(archive.files, label_name)
            if not want_labels:
                names = {k: v for k, v in names.items() if k not in ("label", "instance")}
            used = {name for group in names.values() for name in group}
            for name in used:
                _check_claims(archive.zip, name)
            columns = {
                column: archive[group[0]]
                if len(group) == 1
                else np.stack([archive[name] for name in group], axis=-1)
                for column, group in names.items()
            }
            return columns, tuple(sorted(set(archive.files) - used))
    except (*BAD_ARRAY, AttributeError, RuntimeError, zlib.error) as error:
        raise unreadable(path, "NPZ", str(error) or type(error).__name__) from None


def _refuse_single_array(path: Path) -> None:
    with path.open("rb") as handle:
        if handle.read(6) == b"\x93NUMPY":
            raise ValueError(
                "it is a single array (.npy); save positions, colours and labels by name, with "
                "numpy.savez(PATH, xyz=..., rgb=..., label=...)"
            )


def _find(names: list[str], label_name: str | None) -> dict[str, tuple[str, ...]]:
    """Column -> the array that holds it, or the three that do."""
    found: dict[str, tuple[str, ...]] = {}
    for column, choices in NPZ_NAMES.items():
        if column == "label" and label_name is not None:
            if label_name in names:
                found[column] = (label_name,)
            continue
        name = find_column(names, choices)
        if name is not None:
            found[column] = (name,)
        elif column in ("xyz", "rgb", "normal") and (triple := find_triple(names, column)):  # type: ignore[arg-type]
            found[column] = triple
    return found


def _check_claims(archive: zipfile.ZipFile, name: str) -> None:
    """Raises ValueError for an array whose header announces more than its file holds, before any is made."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as handle:
        version = np.lib.format.read_magic(handle)
        if version not in ((1, 0), (2, 0)):
            return
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(handle)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > member.file_size:
        raise ValueError(
            f"array {name!r} announces shape {shape}, {claimed:,} bytes, but the file holds "
            f"{member.file_size:,} of it"
        )
    check_fits_memory(claimed, f"array {name!r}")


def check_fits_memory(num_bytes: int, what: str) -> None:
    """Raises ValueError for what is larger than the memory of this machine."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if num_bytes > memory:
            raise ValueError(f"{what} takes {num_bytes:,} bytes; this machine has {memory:,}")
