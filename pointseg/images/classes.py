"""Classes of image data sets: label space, and every raw id that a label file may hold."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

from pointseg.core.labels import LabelSpace, distinct_colors, resource_path
from pointseg.formats.class_table import read_class_table

#: The classes, and every raw id that a label file may hold -> the raw id of its class.
Classes = tuple[LabelSpace, Mapping[int, int]]
ReadClasses = Callable[[Path], Classes]


def folder_classes(path: Path) -> Classes:
    """Those of classes.csv; rows with ``ignore`` may occur in label files and are left out."""
    table = read_class_table(path / "classes.csv", path.resolve().name)
    return table.label_space, {i: table.merged.get(i, i) for i in sorted(table.known_raw_ids())}


def shipped_classes(table: str, raw: str, *, unlabelled: int) -> ReadClasses:
    """Classes of a shipped table: its rows with a train id, in that order; all rows if it has no such column.

    Args:
        table: name of the table.
        raw: its column that stands in the label files.
        unlabelled: raw id of what has no class.
    """

    def classes(_path: Path) -> Classes:
        with resource_path("images", f"{table}.csv").open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        used = [
            row
            for row in rows
            if row.get("train_id", "0") not in ("", "255", "-1") and "ignore" not in row["name"]
        ]
        if "train_id" in rows[0]:
            used.sort(key=lambda row: int(row["train_id"]))
        colors = (
            tuple((int(row["r"]), int(row["g"]), int(row["b"])) for row in used)
            if "r" in rows[0]
            else distinct_colors(len(used))
        )
        space = LabelSpace(
            table.partition("_")[0],
            tuple(int(row[raw]) for row in used),
            tuple(row["name"] for row in used),
            ("",) * len(used),
            colors,
            unlabelled_raw_id=unlabelled,
        )
        # A licence plate of Cityscapes has id -1, which a file of bytes holds as 255.
        return space, {i: i for i in sorted({int(row[raw]) % 256 for row in rows} | {unlabelled})}

    return classes


def pets_classes(_path: Path) -> Classes:
    """Pet and background; the border, 3, is left out of training and scoring."""
    space = LabelSpace(
        "pets", (1, 2), ("pet", "background"), ("", ""), distinct_colors(2), unlabelled_raw_id=3
    )
    return space, {1: 1, 2: 2, 3: 3}
