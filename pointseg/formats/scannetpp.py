"""ScanNet++ v2 on disk: classes of the benchmark, and several labels a vertex.

    data/<scene>/scans/mesh_aligned_0.05.ply        the mesh that is labelled and scored
    data/<scene>/scans/mesh_aligned_0.05_mask.txt   numbers of vertices that are not scored (made unknowable)
    data/<scene>/scans/segments.json                segIndices: the segment of each vertex
    data/<scene>/scans/segments_anno.json           segGroups: objects, each with label and segments
    metadata/semantic_benchmark/top100.txt          classes, one a line; their ids are 0, 1, ...
    metadata/semantic_benchmark/map_benchmark.csv   class,semantic_map_to: free names -> classes
    splits/nvs_sem_train.txt, nvs_sem_val.txt, sem_test.txt

Source: the release's own toolkit, https://github.com/scannetpp/scannetpp: ``common/scene_release.py``
(files), ``semantic/transforms/mesh.py`` (labels of a vertex), ``semantic/eval`` and ``semantic/utils``
(score, format of predictions). Reading of map_benchmark.csv: Pointcept's preparation
(``preprocess_scannetpp.py``), since the toolkit's module for that is not among the files that could be read.
The lists are those of ScanNet++ v2, whose semantic test list is ``sem_test.txt`` (not ``nvs_sem_test.txt``):
Pointcept and several other public readers of the release open it under that name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.formats.text import read_json, read_lines, read_text

NAME = "scannetpp"
UNLABELLED = -100
#: Labels that a vertex can have, and classes that a prediction may name.
MAX_LABELS = 3
SPLIT_LISTS = {"train": "nvs_sem_train.txt", "val": "nvs_sem_val.txt", "test": "sem_test.txt"}
MESH = "mesh_aligned_0.05.ply"
MASK = "mesh_aligned_0.05_mask.txt"
SEGMENTS = "segments.json"
OBJECTS = "segments_anno.json"


def read_classes(source: Path) -> LabelSpace:
    """The classes of the benchmark; their ids are 0, 1, ..., and -100 is no label.

    Raises:
        FileNotFoundError: if the list is not there.
        ValueError: if it is empty or names a class twice.
    """
    file = source / "metadata" / "semantic_benchmark" / "top100.txt"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; it comes with the metadata of the release.")
    names = read_lines(file)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{file}: expected different names of classes, one a line.")
    count = len(names)
    return LabelSpace(
        NAME, tuple(range(count)), tuple(names), ("",) * count, distinct_colors(count), UNLABELLED
    )


def read_class_map(source: Path) -> dict[str, str]:
    """Free name of an object -> class; without an entry, with ``None`` there, an object has no class.

    Raises:
        FileNotFoundError: if the table is not there.
        ValueError: if it lacks a column.
    """
    file = source / "metadata" / "semantic_benchmark" / "map_benchmark.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; it comes with the metadata of the release.")
    rows = csv.DictReader(io.StringIO(read_text(file)))
    if not {"class", "semantic_map_to"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{file}: expected the columns class and semantic_map_to.")
    # An empty cell leaves the name as it is. "None" is a word here; tables read by pandas make it empty.
    targets = {row["class"]: (row["semantic_map_to"] or "").strip() for row in rows}
    return {name: target or name for name, target in targets.items() if target != "None"}


def read_splits(source: Path) -> dict[str, str]:
    """Scene -> split, of the lists that are there.

    Raises:
        ValueError: if there is none, or a scene is in two.
    """
    found: dict[str, str] = {}
    for split, name in SPLIT_LISTS.items():
        file = source / "splits" / name
        for scene in read_lines(file) if file.is_file() else ():
            if found.setdefault(scene, split) != split:
                raise ValueError(f"{file}: {scene} is also in split {found[scene]!r}.")
    if not found:
        raise ValueError(
            f"{source / 'splits'}: expected {', '.join(SPLIT_LISTS.values())}; found none. Give the folder "
            "that holds data, metadata and splits."
        )
    return found


@dataclass(frozen=True)
class VertexLabels:
    """What the objects of a scene say of its vertices.

    Args:
        raw_label: (V, 3) int32 raw ids, UNLABELLED where there are fewer; first that of the smallest object.
        instance: (V,) int32 objectId of the first label, -1 without one.
        unknown: names of objects that the table of classes does not have.
    """

    raw_label: npt.NDArray[np.int32]
    instance: npt.NDArray[np.int32]
    unknown: tuple[str, ...]


def read_labels(folder: Path, num_vertices: int, ids: Mapping[str, int]) -> VertexLabels:
    """The labels of the vertices of a scene.

    The objects of a vertex count in file order, the first three that have a class. The toolkit trains on the
    label of the smallest of them, in vertices, which comes first here (as in Pointcept's preparation).

    Args:
        folder: ``scans`` of the scene.
        num_vertices: V of the mesh.
        ids: free name -> raw id.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is broken, or of another mesh.
    """
    segment = _segments(folder / SEGMENTS, num_vertices)
    objects = _objects(folder / OBJECTS)
    order = np.argsort(segment, kind="stable")
    in_order = segment[order]
    label = np.full((num_vertices, MAX_LABELS), UNLABELLED, dtype=np.int32)
    number = np.full((num_vertices, MAX_LABELS), -1, dtype=np.int32)
    size = np.full((num_vertices, MAX_LABELS), np.inf)
    used = np.zeros(num_vertices, dtype=np.int64)
    for object_id, name, segments in objects:
        if name not in ids:
            continue
        vertices = _members(in_order, order, segments)
        vertices = vertices[used[vertices] < MAX_LABELS]
        place = used[vertices]
        label[vertices, place], number[vertices, place] = ids[name], object_id
        size[vertices, place] = len(vertices)
        used[vertices] += 1
    several = np.flatnonzero(used > 1)
    smallest = size[several].argmin(axis=1)
    for values in (label, number):
        first = values[several, 0].copy()
        values[several, 0] = values[several, smallest]
        values[several, smallest] = first
    unknown = sorted({name for _, name, _ in objects if name not in ids})
    return VertexLabels(label, number[:, 0].copy(), tuple(unknown))


def _segments(file: Path, num_vertices: int) -> npt.NDArray[np.int64]:
    content = _content(file, "segIndices")
    try:
        segment = np.asarray(content, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{file}: 'segIndices' must be a list of integers, one for each vertex.") from None
    if segment.shape != (num_vertices,):
        raise ValueError(
            f"{file}: it has {len(segment):,} vertices, but {MESH} has {num_vertices:,}; the two are not "
            "of the same mesh."
        )
    return segment


def _objects(file: Path) -> list[tuple[int, str, npt.NDArray[np.int64]]]:
    """(objectId, name, segments) of each object."""
    try:
        return [
            (int(group["objectId"]), str(group["label"]), np.asarray(group["segments"], dtype=np.int64))
            for group in _content(file, "segGroups")
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{file}: expected objects with objectId, label and segments ({error!r}).") from None


def _content(file: Path, key: str) -> list[Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; scenes of train and val have it.")
    data = read_json(file)
    if not isinstance(data, dict) or not isinstance(data.get(key), list):
        raise ValueError(f"{file}: expected an object with the list {key!r}.")
    content: list[Any] = data[key]
    return content


def _members(
    in_order: npt.NDArray[np.int64], order: npt.NDArray[np.int64], segments: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The vertices of some segments, each once."""
    wanted = np.unique(segments)
    start, end = np.searchsorted(in_order, wanted), np.searchsorted(in_order, wanted, side="right")
    length = end - start
    # Ranges start..end one after another: each place counts on from the start of its range.
    before = np.cumsum(length) - length
    return order[np.repeat(start - before, length) + np.arange(length.sum())]


def read_mask(file: Path, num_vertices: int) -> npt.NDArray[np.int64]:
    """Numbers of the vertices that are not scored; the file of many scenes is empty.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if a number is none of a vertex.
    """
    lines = read_lines(file)
    try:
        masked = np.array([int(line) for line in lines], dtype=np.int64)
    except ValueError as error:
        raise ValueError(f"{file}: expected numbers of vertices, one a line ({error}).") from None
    if len(masked) and not 0 <= masked.min() <= masked.max() < num_vertices:
        raise ValueError(
            f"{file}: expected numbers 0..{num_vertices - 1}; got {masked.min()}..{masked.max()}."
        )
    return masked


def ids_of_names(space: LabelSpace, class_map: Mapping[str, str]) -> dict[str, int]:
    """Free name -> raw id, for names whose class is one of the benchmark."""
    of_class = dict(zip(space.names, space.raw_ids, strict=True))
    return {name: of_class[target] for name, target in class_map.items() if target in of_class}


def absent(scenes: Sequence[str], source: Path) -> list[str]:
    """Those scenes of a list that the copy does not hold."""
    return [scene for scene in scenes if not (source / "data" / scene / "scans").is_dir()]
