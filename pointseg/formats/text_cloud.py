"""Clouds as tables of text: .xyz, .txt, .csv, .asc and .pts, with a line of names or without."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.columns import find_triple
from pointseg.formats.named_columns import by_meaning
from pointseg.formats.npz import Columns
from pointseg.formats.text import refuse_utf16, unreadable

TEXT_SUFFIXES = (".xyz", ".txt", ".csv", ".asc", ".pts")
#: What a table without names can be, by its number of columns.
_UNNAMED = {
    3: ("x", "y", "z"),
    4: ("x", "y", "z", "intensity"),
    6: ("x", "y", "z", "red", "green", "blue"),
    7: ("x", "y", "z", "red", "green", "blue", "label"),
}
_COMMENT = re.compile(r"^\s*(#|//)+")
_SEPARATOR = re.compile(r"[,;\s]+")
_TO_SPACE = str.maketrans(",;", "  ")


def read_text_cloud(
    path: Path, label_name: str | None, *, want_labels: bool
) -> tuple[Columns, tuple[str, ...], tuple[str, ...]]:
    """The columns of a file, the names of what else its points have, and how a table without names was taken.

    Raises:
        ValueError: if it is no table of numbers, or it cannot be told what its columns are.
    """
    try:
        with path.open("rb") as handle:
            refuse_utf16(path, handle.read(4))
        names, skipped = _names(path)
        table = _numbers(path, skipped)
        if names is not None and len(names) != table.shape[1]:
            raise ValueError(f"its first line names {len(names)} columns, its rows have {table.shape[1]}")
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise unreadable(path, "a table of points", str(error) or type(error).__name__) from None
    remarks: tuple[str, ...] = ()
    if names is None:
        names = _UNNAMED.get(table.shape[1])
        if names is None:
            raise ValueError(
                f"{path}: its {table.shape[1]} columns have no names. Write a first line of names, such as "
                "x y z red green blue label."
            )
        remarks = (f"its columns have no names and are taken as {' '.join(names)}",)
    fields = {name: table[:, i] for i, name in enumerate(names)}
    columns, unused = by_meaning(fields, label_name, want_labels=want_labels)
    return columns, unused, remarks


def is_text_cloud(path: Path) -> bool:
    """Whether a file begins as a table of points does: numbers, three or more a row, named or not."""
    try:
        _, skipped = _names(path)
        with path.open(encoding="utf-8-sig") as handle:
            line = next((line for i, line in enumerate(handle) if i >= skipped and line.strip()), "")
    except (OSError, ValueError):
        return False
    words = _words(line)
    return len(words) >= 3 and _are_numbers(words)


def _names(path: Path) -> tuple[tuple[str, ...] | None, int]:
    """Names of the columns, if a line has them, and how many lines come before the numbers."""
    names: tuple[str, ...] | None = None
    with path.open(encoding="utf-8-sig") as handle:
        for number, line in enumerate(handle):
            # Names may stand in a comment, as CloudCompare and numpy write them.
            words = _words(_COMMENT.sub("", line))
            if not words:
                continue
            is_comment = _COMMENT.match(line) is not None
            if _are_numbers(words) and not is_comment:
                # The first line of .pts is the number of points.
                return names, number + (len(words) == 1 and path.suffix.lower() == ".pts")
            if not _are_numbers(words) and len(words) >= 3 and find_triple(words, "xyz"):
                names = tuple(words)
            elif not is_comment:
                raise ValueError(
                    f"line {number + 1}: expected numbers, or names of columns with x y z; got "
                    f"{line.strip()[:60]!r}"
                )
    raise ValueError("it holds no row of numbers")


def _numbers(path: Path, skipped: int) -> npt.NDArray[Any]:
    with path.open(encoding="utf-8-sig") as handle:
        lines = (line.translate(_TO_SPACE) for line in islice(handle, skipped, None))
        return np.loadtxt(lines, dtype=np.float64, comments=["#", "//"], ndmin=2)


def _words(line: str) -> list[str]:
    return [word.strip('"') for word in _SEPARATOR.split(line.strip().strip(",;")) if word]


def _are_numbers(words: list[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return True
