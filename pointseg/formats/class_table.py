"""classes.csv and scenes.csv: the tables that describe anybody's labelled clouds."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointseg.core.labels import GROUPS, LabelSpace, distinct_colors

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
    """

    label_space: LabelSpace
    ignored_raw_ids: tuple[int, ...]

    def known_raw_ids(self) -> set[int]:
        """Every raw id that a label may have."""
        return {self.label_space.unlabelled_raw_id, *self.label_space.raw_ids, *self.ignored_raw_ids}


def read_class_table(path: Path, name: str, *, unlabelled_raw_id: int | None = None) -> ClassTable:
    """Read classes.csv: ``raw_id,name[,group][,ignore][,r,g,b]``; other columns are left alone.

    A column ``id`` stands for ``raw_id`` where there is none of that name.

    Args:
        path: the file; the order of its rows is the order of the train indices.
        name: name of the label set.
        unlabelled_raw_id: raw id for "no label"; default 0, or -1 where 0 is a class that counts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a missing column, an id that is no number or occurs twice, an unknown group.
    """
    rows = _read_rows(path, ("raw_id", "name"))
    raw_ids = [_integer(path, number, "raw_id", row["raw_id"]) for number, row in enumerate(rows, start=2)]
    twice = sorted({i for i in raw_ids if raw_ids.count(i) > 1})
    if twice:
        raise ValueError(f"{path}: raw ids must differ; {twice} occur more than once.")
    ignored = [_flag(path, number, row.get("ignore", "")) for number, row in enumerate(rows, start=2)]
    used = [i for i, out in enumerate(ignored) if not out]
    if not used:
        raise ValueError(f"{path}: no class is left; every row is ignored.")
    if unlabelled_raw_id is None:
        unlabelled_raw_id = -1 if 0 in [raw_ids[i] for i in used] else 0
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
    return ClassTable(space, tuple(i for i, out in zip(raw_ids, ignored, strict=True) if out))


def read_scene_table(path: Path) -> dict[str, str]:
    """Read scenes.csv: ``scene,split``; other columns are left alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a missing column, an empty cell, or a scene in two rows.
    """
    split_of: dict[str, str] = {}
    for number, row in enumerate(_read_rows(path, ("scene", "split")), start=2):
        scene, split = row["scene"], row["split"]
        if not scene or not split:
            raise ValueError(f"{path}: row {number}: scene and split must both be given.")
        if scene in split_of:
            raise ValueError(f"{path}: row {number}: scene {scene!r} occurs twice.")
        split_of[scene] = split
    return split_of


def _read_rows(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns = [(column or "").strip() for column in reader.fieldnames or []]
            if "raw_id" not in columns:
                columns = ["raw_id" if column == "id" else column for column in columns]
            missing = [column for column in needed if column not in columns]
            if missing:
                raise ValueError(f"no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}")
            reader.fieldnames = columns
            rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}.") from None
    if not rows:
        raise ValueError(f"{path}: it has a header and no row.")
    return rows


def _integer(path: Path, number: int, column: str, cell: str) -> int:
    try:
        return int(cell)
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
