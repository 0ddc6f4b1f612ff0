"""classes.csv and scenes.csv: the tables that describe anybody's labelled clouds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import GROUPS, LabelSpace, distinct_colors
from pointseg.formats.text import read_text

#: Classes of this name are grey where the table gives no colours: most of a picture is theirs.
_BACKGROUND = ("background", "null", "other", "void")
BACKGROUND_COLOR = (205, 208, 212)
_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set and the raw ids that are known but left out of training and scoring.

    Args:
        label_space: the classes that count; groups are empty where the table gives none.
        ignored_raw_ids: raw ids of the rows with ``ignore``.
        merged: raw id -> raw id of its class, for the further rows of a class with several.
    """

    label_space: LabelSpace
    ignored_raw_ids: tuple[int, ...]
    merged: Mapping[int, int] = field(default_factory=dict)

    def known_raw_ids(self) -> set[int]:
        """Every raw id that a label may have."""
        space = self.label_space
        return {space.unlabelled_raw_id, *space.raw_ids, *self.ignored_raw_ids, *self.merged}


def merge_ids(raw: npt.NDArray[np.int32], merged: Mapping[int, int]) -> npt.NDArray[np.int32]:
    """Raw ids of any shape, each in the place of those that were merged into it."""
    if not merged:
        return raw
    result = raw.copy()
    for given, kept in merged.items():
        result[raw == given] = kept
    return result


def read_class_table(path: Path, name: str, *, unlabelled_raw_id: int | None = None) -> ClassTable:
    """Read classes.csv: ``raw_id,name[,group][,ignore][,r,g,b]``; other columns are left alone.

    A column ``id`` stands for ``raw_id`` where there is none of that name. Rows of one name are one class:
    labels with any of their raw ids count for it, and its own raw id, group and colour are the first row's.

    Args:
        path: the file; the order of its rows is the order of the train indices.
        name: name of the label set.
        unlabelled_raw_id: raw id for "no label"; default 0, or -1 where 0 is a class that counts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a missing column, an id that is no number or occurs twice, an unknown group.
    """
    rows = read_rows(path, ("raw_id", "name"))
    raw_ids = [_integer(path, number, "raw_id", row["raw_id"]) for number, row in enumerate(rows, start=2)]
    twice = sorted({i for i in raw_ids if raw_ids.count(i) > 1})
    if twice:
        raise ValueError(f"{path}: raw ids must differ; {twice} occur more than once.")
    unnamed = next((number for number, row in enumerate(rows, start=2) if not row["name"]), None)
    if unnamed is not None:
        raise ValueError(f"{path}: row {unnamed}: the class has no name.")
    ignored = [_flag(path, number, row.get("ignore", "")) for number, row in enumerate(rows, start=2)]
    first: dict[str, int] = {}
    merged: dict[int, int] = {}
    for i, row in enumerate(rows):
        if not ignored[i] and first.setdefault(row["name"], i) != i:
            merged[raw_ids[i]] = raw_ids[first[row["name"]]]
    used = list(first.values())
    if not used:
        raise ValueError(f"{path}: no class is left; every row is ignored.")
    if unlabelled_raw_id is None:
        unlabelled_raw_id = -1 if 0 in [raw_ids[i] for i in used] or 0 in merged else 0
    try:
        space = LabelSpace(
            name=name,
            raw_ids=tuple(raw_ids[i] for i in used),
            names=tuple(rows[i]["name"] for i in used),
            groups=_groups(path, [rows[i] for i in used]),
            colors=_colors(path, rows, used),
            unlabelled_raw_id=unlabelled_raw_id,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    if space.unlabelled_raw_id in merged:
        raise ValueError(
            f"{path}: raw id {space.unlabelled_raw_id} means 'unlabelled' and cannot be of a class too."
        )
    return ClassTable(space, tuple(i for i, out in zip(raw_ids, ignored, strict=True) if out), merged)


def read_scene_table(path: Path) -> dict[str, str]:
    """Read scenes.csv: ``scene,split``; other columns are left alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a missing column, an empty cell, or a scene in two rows.
    """
    split_of: dict[str, str] = {}
    for number, row in enumerate(read_rows(path, ("scene", "split")), start=2):
        scene, split = row["scene"], row["split"]
        if not scene or not split:
            raise ValueError(f"{path}: row {number}: scene and split must both be given.")
        if scene in split_of:
            raise ValueError(f"{path}: row {number}: scene {scene!r} occurs twice.")
        split_of[scene] = split
    return split_of


def read_rows(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a table with a header, by column, in lower case; cells are stripped, empty rows left out.

    Commas part the cells, or semicolons or tabs, as spreadsheets in other languages write them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, has no row or lacks a column.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    text = read_text(path)
    header = text.partition("\n")[0]
    separator = "," if "," in header else next((mark for mark in ";\t" if mark in header), ",")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        columns = [(column or "").strip().lower() for column in reader.fieldnames or []]
        if "raw_id" not in columns:
            columns = ["raw_id" if column == "id" else column for column in columns]
        missing = [column for column in needed if column not in columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}")
        reader.fieldnames = columns
        rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}.") from None
    rows = [row for row in rows if any(row.values())]
    if not rows:
        raise ValueError(f"{path}: it has a header and no row.")
    return rows


def _integer(path: Path, number: int, column: str, cell: str) -> int:
    try:
        # Spreadsheets write 3 as 3.0 where a column was empty once.
        return int(cell.removesuffix(".0"))
    except ValueError:
        raise ValueError(f"{path}: row {number}: {column} must be a whole number; got {cell!r}.") from None


def _flag(path: Path, number: int, cell: str) -> bool:
    if cell.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"{path}: row {number}: ignore must be 0 or 1; got {cell!r}.")
    return cell.lower() in _TRUE


def _groups(path: Path, rows: list[dict[str, str]]) -> tuple[str, ...]:
    groups = tuple(row.get("group", "").lower() for row in rows)
    if any(groups) and not all(groups):
        without = [row["name"] for row, group in zip(rows, groups, strict=True) if not group]
        raise ValueError(
            f"{path}: classes without a group: {', '.join(without[:5])}. Give every class one of "
            f"{', '.join(GROUPS)}, or leave the column out and groups follow from the training points."
        )
    return groups


def _colors(path: Path, rows: list[dict[str, str]], used: list[int]) -> tuple[tuple[int, int, int], ...]:
    if not {"r", "g", "b"} <= set(rows[0]):
        colors = distinct_colors(len(used))
        return tuple(
            BACKGROUND_COLOR if rows[i]["name"].strip().lower() in _BACKGROUND else color
            for i, color in zip(used, colors, strict=True)
        )
    given = []
    for i in used:
        r, g, b = (_integer(path, i + 2, channel, rows[i][channel]) for channel in ("r", "g", "b"))
        if not all(0 <= value <= 255 for value in (r, g, b)):
            raise ValueError(f"{path}: row {i + 2}: r, g, b must be 0..255; got {r}, {g}, {b}.")
        given.append((r, g, b))
    return tuple(given)
