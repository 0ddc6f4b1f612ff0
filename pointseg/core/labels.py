"""LabelSpace: the one place where raw ids (on disk) and train indices (in a model) meet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pointseg.core.notebook import html_table
from pointseg.core.words import counted

#: Train index of a row without a usable label. torch.nn.functional.cross_entropy ignores it by default.
IGNORE = -100

Group = Literal["head", "common", "tail"]
GROUPS: tuple[Group, ...] = get_args(Group)

#: Ids below this are counted in a table; others are sorted, which takes ten times as long.
_TABLE = 65_536


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a data set: raw ids as they stand in files, names, groups and colours, in train order.

    A train index is the position in this list, 0..K-1. Every raw id that is not in the list is unlabelled
    and becomes IGNORE. ``unlabelled_raw_id`` is what is written where there is no label.

    Args:
        name: name of the label set, such as ``scannet200``.
        raw_ids: K different raw ids; position = train index.
        names: K class names.
        groups: K entries of ``head``, ``common``, ``tail``, or the empty string where there are no groups.
        colors: K colours (r, g, b), 0..255.
        unlabelled_raw_id: raw id for "no label"; must not be one of ``raw_ids``.
    """

    name: str
    raw_ids: tuple[int, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    # Not compared: who repaints the classes still has the same ones.
    colors: tuple[tuple[int, int, int], ...] = field(compare=False)
    unlabelled_raw_id: int = 0

    def __post_init__(self) -> None:
        lengths = {len(self.raw_ids), len(self.names), len(self.groups), len(self.colors)}
        if len(lengths) != 1:
            raise ValueError(
                f"Label set {self.name!r}: raw ids, names, groups and colours must be equally many; "
                f"got {len(self.raw_ids)}, {len(self.names)}, {len(self.groups)}, {len(self.colors)}."
            )
        if not self.raw_ids:
            raise ValueError(f"Label set {self.name!r} has no class.")
        if len(set(self.raw_ids)) != len(self.raw_ids):
            twice = sorted({i for i in self.raw_ids if self.raw_ids.count(i) > 1})
            raise ValueError(f"Label set {self.name!r}: raw ids must differ; {twice[:10]} occur twice.")
        if self.unlabelled_raw_id in self.raw_ids:
            raise ValueError(
                f"Label set {self.name!r}: raw id {self.unlabelled_raw_id} cannot be a class and also mean "
                "'unlabelled'; choose another unlabelled_raw_id."
            )
        unknown = set(self.groups) - {*GROUPS, ""}
        if unknown:
            raise ValueError(f"Label set {self.name!r}: unknown groups {sorted(unknown)}; expected {GROUPS}.")

    def __repr__(self) -> str:
        return f"LabelSpace({self.name!r}, {counted(self.num_classes, 'classes')})"

    def _repr_html_(self) -> str:
        rows = list(zip(self.names, self.raw_ids, range(self.num_classes), self.groups, strict=True))
        headings = ("class", "raw id", "train index", "group")
        return html_table(repr(self), headings, rows, swatches=self.colors)

    @property
    def num_classes(self) -> int:
        return len(self.raw_ids)

    @cached_property
    def _sorted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        raw = np.asarray(self.raw_ids, dtype=np.int64)
        order = np.argsort(raw)
        return raw[order], order

    def encode(self, raw_id: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Raw ids of any shape -> train indices of the same shape, IGNORE for every id outside the set."""
        raw = np.asarray(raw_id)
        if raw.dtype.kind not in "iu":
            raise ValueError(f"Raw ids must be integers; got {raw.dtype}.")
        known, order = self._sorted
        place = np.minimum(np.searchsorted(known, raw), len(known) - 1)
        return np.where(known[place] == raw, order[place], IGNORE)

    def decode(self, train_index: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Train indices of any shape -> raw ids of the same shape; IGNORE -> ``unlabelled_raw_id``."""
        index = np.asarray(train_index)
        if index.dtype.kind not in "iu":
            raise ValueError(f"Train indices must be integers; got {index.dtype}.")
        valid = (index >= 0) & (index < self.num_classes)
        if not bool(np.all(valid | (index == IGNORE))):
            raise ValueError(f"Train indices must be 0..{self.num_classes - 1} or {IGNORE} (unlabelled).")
        table = np.asarray(self.raw_ids, dtype=np.int32)
        return np.where(valid, table[np.where(valid, index, 0)], np.int32(self.unlabelled_raw_id))

    def group_indices(self, group: str) -> npt.NDArray[np.int64]:
        """Train indices of the classes of one group; empty where the set has no groups."""
        return np.asarray([i for i, g in enumerate(self.groups) if g == group], dtype=np.int64)

    @property
    def has_groups(self) -> bool:
        return any(self.groups)

    @cached_property
    def color_table(self) -> npt.NDArray[np.uint8]:
        """(K, 3) uint8 colours by train index."""
        return np.asarray(self.colors, dtype=np.uint8)

    def paint(self, train_index: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(..., 3) colours of train indices; black for IGNORE."""
        table = np.concatenate([self.color_table, np.zeros((1, 3), np.uint8)])
        return table[np.where(train_index == IGNORE, self.num_classes, train_index)]

    def palette(self) -> list[int]:
        """The colours by raw id for PNG files of one byte a pixel: 768 numbers, black where no class is.

        Raises:
            ValueError: if a raw id is no byte.
        """
        if min(self.raw_ids) < 0 or max(self.raw_ids) > 255:
            raise ValueError(f"A palette has ids 0..255; {self.name} has others.")
        palette = np.zeros((256, 3), np.uint8)
        palette[list(self.raw_ids)] = self.color_table
        return palette.ravel().tolist()

    def to_dict(self) -> dict[str, Any]:
        """A form that JSON and YAML can hold; :meth:`from_dict` reads it."""
        return {
            "name": self.name,
            "unlabelled_raw_id": self.unlabelled_raw_id,
            "classes": [
                {"raw_id": r, "name": n, "group": g, "color": list(c)}
                for r, n, g, c in zip(self.raw_ids, self.names, self.groups, self.colors, strict=True)
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSpace:
        classes = data["classes"]
        return cls(
            name=str(data["name"]),
            raw_ids=tuple(int(c["raw_id"]) for c in classes),
            names=tuple(str(c["name"]) for c in classes),
            groups=tuple(str(c["group"]) for c in classes),
            colors=tuple((int(c["color"][0]), int(c["color"][1]), int(c["color"][2])) for c in classes),
            unlabelled_raw_id=int(data["unlabelled_raw_id"]),
        )


def id_counts(raw: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The ids that occur, ascending, and how often each does."""
    if not raw.size or raw.min() < 0 or raw.max() >= _TABLE:
        present, counts = np.unique(raw, return_counts=True)
        return present.astype(np.int64), counts.astype(np.int64)
    table = np.bincount(raw.reshape(-1)).astype(np.int64)
    ids = np.flatnonzero(table).astype(np.int64)
    return ids, table[ids]


def distinct_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """``count`` colours that neighbours in the list do not share: golden-angle hues in three lightnesses.

    Hues next to red are left out: red says that something is wrong.
    """
    import colorsys

    colors = []
    for i in range(count):
        hue = 0.06 + 0.87 * ((0.3 + i * 0.61803398875) % 1.0)
        lightness, saturation = ((0.55, 0.65), (0.40, 0.75), (0.70, 0.55))[i % 3]
        r, g, b = colorsys.hls_to_rgb(hue, lightness, saturation)
        colors.append((round(r * 255), round(g * 255), round(b * 255)))
    return tuple(colors)


def groups_by_points(points: Sequence[int]) -> tuple[Group, ...]:
    """Head, common and tail from the training points of each class, by the ScanNet200 rule.

    Classes sorted by points: the first third is head, the last third is tail (both rounded down, so that
    200 classes give 66 / 68 / 66), the rest is common. Ties keep the order of the class list.
    """
    third = len(points) // 3
    order = sorted(range(len(points)), key=lambda c: -points[c])
    group: dict[int, Group] = dict.fromkeys(order, "common")
    group.update(dict.fromkeys(order[:third], "head"))
    group.update(dict.fromkeys(order[len(order) - third :], "tail"))
    return tuple(group[c] for c in range(len(points)))


def resource_path(*parts: str) -> Path:
    """Path of a table that ships with the package, e.g. ``resource_path("scannet200", "splits", ...)``."""
    path = Path(str(resources.files("pointseg"))) / "resources"
    return path.joinpath(*parts)


def shipped_label_sets() -> dict[str, Path]:
    """Name -> table of every label set that ships with the package: the ``<name>.csv`` of a data set.

    They lie in ``resources/<data set>/label_sets``, so that a new data set brings its own by its files alone.
    """
    return {table.stem: table for table in sorted(resource_path().glob("*/label_sets/*.csv"))}


def load_label_space(name: str) -> LabelSpace:
    """A label set that ships with the package.

    Raises:
        ValueError: for a name that is not shipped.
    """
    shipped = shipped_label_sets()
    if name not in shipped:
        raise ValueError(f"Unknown label set {name!r}; shipped are {', '.join(shipped)}.")
    with shipped[name].open(newline="", encoding="utf-8") as handle:
        rows = sorted(csv.DictReader(handle), key=lambda row: int(row["train_index"]))
    return LabelSpace(
        name=name,
        raw_ids=tuple(int(r["valid_id"]) for r in rows),
        names=tuple(r["name"] for r in rows),
        groups=tuple(r["group"] for r in rows),
        colors=tuple((int(r["r"]), int(r["g"]), int(r["b"])) for r in rows),
    )
