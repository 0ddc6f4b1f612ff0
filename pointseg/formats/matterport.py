"""Matterport3D on disk: regions of houses as meshes whose faces have categories, and the table of these.

    <house>/region_segmentations/region<N>.ply   vertices x y z nx ny nz tx ty red green blue;
                                                 faces vertex_indices material_id segment_id category_id
    category_mapping.tsv                         index, ..., nyuClass, ...: categories, frequent ones first

Source: the release's own description (https://github.com/niessner/Matterport, ``data_organization.md``; its
words face_material, face_segment and face_category are the properties above), its ``tasks/benchmark`` (splits
of houses; they lie in ``resources/matterport3d``), and OpenScene (https://github.com/pengsongyou/openscene,
``scripts/preprocess/preprocess_3d_matterport_K_num_classes.py``: K classes from the table, labels of
vertices).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace, distinct_colors, resource_path
from pointseg.formats.ply import PlyCloud, parse_ply, read_ply
from pointseg.formats.text import read_text

#: Values of nyuClass that are no class.
NO_CLASS = ("", "void", "unknown")
#: What a vertex without a class is.
UNLABELLED = 0


@dataclass(frozen=True)
class CategoryTable:
    """The K most frequent classes of a table of categories.

    Args:
        label_space: the classes, raw ids 1..K in the order of the table, 0 for no label.
        raw_ids: category as faces have it -> raw id, for those with one of the classes.
        last: largest category.
    """

    label_space: LabelSpace
    raw_ids: dict[int, int]
    last: int

    def lookup(self) -> npt.NDArray[np.int64]:
        """(last + 1,) raw ids by category."""
        table = np.zeros(self.last + 1, dtype=np.int64)
        table[list(self.raw_ids)] = list(self.raw_ids.values())
        return table


def read_categories(file: Path, num_classes: int) -> CategoryTable:
    """The first K different names of column ``nyuClass`` in file order, which is by frequency, roughly.

    So OpenScene makes its 40, 80 and 160 classes; all names of its list of 160
    (``dataset/label_constants.py``) were compared with those that its table gives here, in order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks a column or has fewer classes.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; metadata/category_mapping.tsv of the release. Give --mapping."
        )
    rows = csv.DictReader(io.StringIO(read_text(file)), delimiter="\t", quoting=csv.QUOTE_NONE)
    if not {"index", "nyuClass"} <= set(rows.fieldnames or ()):
        raise ValueError(
            f"{file}: expected a table with tabs between columns, index and nyuClass among them."
        )
    names: dict[str, int] = {}
    raw_ids: dict[int, int] = {}
    last = 0
    for row in rows:
        name = (row["nyuClass"] or "").strip()
        try:
            category = int(row["index"])
        except ValueError:
            raise ValueError(f"{file}: line {rows.line_num}: {row['index']!r} is no number.") from None
        last = max(last, category)
        if name in NO_CLASS or (name not in names and len(names) == num_classes):
            continue
        raw_ids[category] = names.setdefault(name, len(names) + 1)
    if len(names) < num_classes:
        raise ValueError(f"{file}: it has {len(names)} classes, fewer than {num_classes}.")
    space = LabelSpace(
        f"matterport{num_classes}",
        tuple(names.values()),
        tuple(names),
        ("",) * num_classes,
        distinct_colors(num_classes),
        UNLABELLED,
    )
    return CategoryTable(space, raw_ids, last)


@dataclass(frozen=True)
class Region:
    """A region of a house.

    Args:
        mesh: its vertices and triangles.
        category: (F,) category of each triangle, 0 for none.
    """

    mesh: PlyCloud
    category: npt.NDArray[np.int64]


def read_region(path: Path) -> Region:
    """Read a mesh and the categories of its faces.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no mesh of triangles with colours and categories.
    """
    mesh = read_ply(path)
    if mesh.faces is None or mesh.rgb is None:
        raise ValueError(f"{path}: the mesh has no {'faces' if mesh.faces is None else 'colours'}.")
    face: Any = parse_ply(path)[0]["face"]
    if "category_id" not in {prop.name for prop in face.properties}:
        raise ValueError(f"{path}: its faces have no category_id; take the mesh of region_segmentations.")
    category = np.array(face["category_id"], dtype=np.int64)
    if len(category) != len(mesh.faces):
        raise ValueError(f"{path}: expected triangles alone; {len(category):,} faces are others.")
    return Region(mesh, np.maximum(category, 0))


def majority(
    faces: npt.NDArray[np.integer], values: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """(count,) the most frequent value among a vertex's faces, the smallest of several; 0 without one.

    Args:
        faces: (F, 3) vertices.
        values: (F,) not negative.
        count: number of vertices.
    """
    span = int(values.max(initial=0)) + 1
    keys, votes = np.unique(faces.ravel().astype(np.int64) * span + np.repeat(values, 3), return_counts=True)
    vertex, value = np.divmod(keys, span)
    # Most votes first within a vertex, then the smallest value.
    order = np.lexsort((value, -votes, vertex))
    vertex, first = np.unique(vertex[order], return_index=True)
    found = np.zeros(count, dtype=np.int64)
    found[vertex] = value[order][first]
    return found


def split_of_houses() -> dict[str, str]:
    """House -> train, val or test, of the 90 houses of the release."""
    with resource_path("matterport3d", "houses.csv").open(newline="", encoding="utf-8") as handle:
        return {row["house"]: row["split"] for row in csv.DictReader(handle)}


def find_regions(source: Path) -> dict[tuple[str, int], Path]:
    """(house, number of the region) -> mesh; the house's folder may lie in another of its name, as unzipped.

    Raises:
        ValueError: if there is none.
    """
    found: dict[tuple[str, int], Path] = {}
    for pattern in ("*/region_segmentations/region*.ply", "*/*/region_segmentations/region*.ply"):
        for path in sorted(source.glob(pattern)):
            number = path.stem.removeprefix("region")
            if number.isdigit():
                found.setdefault((path.parents[1].name, int(number)), path)
    if not found:
        raise ValueError(
            f"{source}: expected <house>/region_segmentations/region0.ply and so on; found none. Unpack the "
            "region_segmentations.zip of each house, and give the folder of the houses."
        )
    return found
