"""Raw ScanNet v2 scenes: mesh, over-segmentation, aggregation and label table -> Scene.

Source: the release's own layout, https://github.com/ScanNet/ScanNet; label values follow the official
preprocessing of ScanNet200 (column ``id``) and the ScanNet benchmark (column ``nyu40id``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.scene import Scene
from pointseg.formats.cloud_doubts import class_color_doubt
from pointseg.formats.ply import read_ply, vertex_normals
from pointseg.formats.text import impostor, refuse_utf16

# The mesh that is annotated and evaluated; `_vh_clean.ply` without the 2 is another, finer mesh.
MESH_SUFFIX = "_vh_clean_2.ply"
SEGMENTS_SUFFIX = "_vh_clean_2.0.010000.segs.json"
AGGREGATION_SUFFIX = ".aggregation.json"
METADATA_SUFFIX = ".txt"

#: What the released scans are called: the space, then the visit.
SCENE_NAME = re.compile(r"scene\d{4}_\d{2}")

#: Meshes of fewer vertices, as tests have them, may have a segment for each.
_MIN_VERTICES = 1000

#: Value of ``instance`` for vertices of no object; 0 is the first object.
NO_INSTANCE = -1


@dataclass(frozen=True)
class SegmentGroup:
    """One annotated object: its number, its raw category (free text) and the segments it consists of."""

    object_id: int
    category: str
    segments: tuple[int, ...]


@dataclass(frozen=True)
class SceneReport:
    """What a scene's files said besides the vertices.

    Args:
        unknown_categories: raw categories that the label table does not have, with their objects.
        repeated_objects: objects that repeat an earlier one, segment for segment (scene0217_00).
        missing_segments: segments that are named by objects but belong to no vertex.
        axis_aligned: whether the scene was rotated by its ``axisAlignment``.
        scene_type: kind of room, or None.
    """

    unknown_categories: Counter[str] = field(default_factory=Counter)
    repeated_objects: int = 0
    missing_segments: int = 0
    axis_aligned: bool = False
    scene_type: str | None = None


def read_scannet_scene(
    folder: Path,
    name: str,
    category_ids: Mapping[str, int] | None,
    *,
    unlabelled_raw_id: int = 0,
    axis_align: bool = False,
) -> tuple[Scene, SceneReport]:
    """Read one raw scene, all vertices in file order.

    Args:
        folder: folder with the files of the scene.
        name: name of the scene, which its files begin with.
        category_ids: raw category -> raw id (see ``label_table.category_ids``), or None for a scene without
            labels, such as the test scenes.
        unlabelled_raw_id: raw id of vertices in no object and of categories outside the label set.
        axis_align: rotate and shift by ``axisAlignment``; scenes without one (all test scenes) stay as is.

    Raises:
        FileNotFoundError: if the mesh, or a label file of a labelled scene, is missing.
        ValueError: if a file is broken or does not belong to the scene; the message names it.
    """
    mesh_path = folder / f"{name}{MESH_SUFFIX}"
    mesh = read_ply(mesh_path)
    if mesh.label is not None:
        raise ValueError(
            f"{mesh_path}: its vertices have labels, so it is a copy of {name}_vh_clean_2.labels.ply, whose "
            "colours are those of the classes. Put the original mesh back."
        )
    if mesh.rgb is None or mesh.faces is None:
        lacking = "colours" if mesh.rgb is None else "faces"
        raise ValueError(f"{mesh_path}: the mesh has no {lacking}; a ScanNet mesh has both.")
    if doubt := class_color_doubt(mesh.rgb):
        raise ValueError(
            f"{mesh_path}: {doubt}. It looks like {name}_vh_clean_2.labels.ply under another name; put the "
            "original mesh back."
        )
    metadata_path = folder / f"{name}{METADATA_SUFFIX}"
    metadata = read_metadata(metadata_path)
    report = SceneReport(scene_type=metadata.get("sceneType"))
    xyz = mesh.xyz
    if axis_align and "axisAlignment" in metadata:
        xyz = align(xyz, axis_alignment(metadata_path, metadata["axisAlignment"]))
        report = replace(report, axis_aligned=True)
    scene = Scene(name, xyz, mesh.rgb, vertex_normals(xyz, mesh.faces))
    if category_ids is None:
        return scene, report
    segment, groups = _read_annotation(folder, scene)
    label, instance, found = label_vertices(segment, groups, category_ids, unlabelled_raw_id)
    report = replace(found, axis_aligned=report.axis_aligned, scene_type=report.scene_type)
    return replace(scene, raw_label=label, instance=instance), report


def _read_annotation(folder: Path, scene: Scene) -> tuple[npt.NDArray[np.int64], list[SegmentGroup]]:
    """Segments and objects of a scene, checked to be of its mesh."""
    segments_path = folder / f"{scene.name}{SEGMENTS_SUFFIX}"
    aggregation_path = folder / f"{scene.name}{AGGREGATION_SUFFIX}"
    segment = read_segments(segments_path, scene.name)
    if len(segment) != scene.num_vertices:
        raise ValueError(
            f"{segments_path}: it has {len(segment)} vertices, but {scene.name}{MESH_SUFFIX} has "
            f"{scene.num_vertices}; the two are not of the same mesh."
        )
    if len(segment) >= _MIN_VERTICES and len(np.unique(segment)) == len(segment):
        raise ValueError(
            f"{segments_path}: every vertex is a segment of its own, as the segmentator leaves them that was "
            "given kThresh=0.01 as a word, which it reads as 0. Give it the bare number, or the file of the "
            "release."
        )
    groups = read_aggregation(aggregation_path, scene.name)
    named = {number for group in groups for number in group.segments}
    missing = len(named - set(segment.tolist()))
    if missing * 2 > len(named):
        raise ValueError(
            f"{aggregation_path}: {missing} of its {len(named)} segments are not in {segments_path.name}; "
            "it belongs to another mesh."
        )
    return segment, groups


def label_vertices(
    segment: npt.NDArray[np.int64],
    groups: list[SegmentGroup],
    category_ids: Mapping[str, int],
    unlabelled_raw_id: int = 0,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], SceneReport]:
    """Raw id and object number of every vertex.

    Groups apply in file order and later ones overwrite, also with "unlabelled". A group that repeats an
    earlier one keeps the earlier one's object number, so that doubled annotations do not double objects.

    Args:
        segment: (V,) segment of each vertex; any integers.
        groups: the annotated objects.
        category_ids: raw category -> raw id. Categories it lacks are unlabelled.
        unlabelled_raw_id: start value.

    Returns:
        (V,) int32 raw ids, (V,) int32 object numbers or NO_INSTANCE, and the report.
    """
    ids, row_of_vertex = np.unique(segment, return_inverse=True)
    label = np.full(len(ids), unlabelled_raw_id, dtype=np.int32)
    instance = np.full(len(ids), NO_INSTANCE, dtype=np.int32)
    first_object: dict[tuple[str, frozenset[int]], int] = {}
    unknown: Counter[str] = Counter()
    repeated = missing = 0
    for group in groups:
        wanted = np.asarray(group.segments, dtype=np.int64)
        row = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        found = ids[row] == wanted
        missing += int(len(wanted) - found.sum())
        key = (group.category, frozenset(group.segments))
        repeated += key in first_object
        if group.category not in category_ids:
            unknown[group.category] += 1
        label[row[found]] = category_ids.get(group.category, unlabelled_raw_id)
        instance[row[found]] = first_object.setdefault(key, group.object_id)
    return label[row_of_vertex], instance[row_of_vertex], SceneReport(unknown, repeated, missing)


def read_segments(path: Path, name: str) -> npt.NDArray[np.int64]:
    """The segment of each vertex, (V,) int64, from a ``segs.json``.

    Raises:
        ValueError: if the file is broken or of another scene.
    """
    data = _read_object(path, name)
    try:
        return _integers(data.get("segIndices"))
    except (TypeError, OverflowError):
        raise ValueError(f"{path}: 'segIndices' must be a list of integers, one for each vertex.") from None


def read_aggregation(path: Path, name: str) -> list[SegmentGroup]:
    """The annotated objects of a scene, in file order.

    Raises:
        ValueError: if the file is broken, of another scene, or of the high-resolution mesh.
    """
    data = _read_object(path, name)
    segments_file = str(data.get("segmentsFile", ""))
    if "_vh_clean." in segments_file:
        raise ValueError(
            f"{path}: it belongs to the high-resolution mesh (segmentsFile {segments_file!r}). The "
            f"annotation of {name}{MESH_SUFFIX} is the original {name}{AGGREGATION_SUFFIX}, not "
            f"{name}_vh_clean.aggregation.json."
        )
    groups = data.get("segGroups")
    if not isinstance(groups, list):
        raise ValueError(f"{path}: 'segGroups' must be a list of objects; got {type(groups).__name__}.")
    return [_group_of(path, position, group) for position, group in enumerate(groups)]


def _group_of(path: Path, position: int, group: Any) -> SegmentGroup:
    try:
        object_id = group["objectId"] if "objectId" in group else group["id"]
        segments = tuple(_integers(group["segments"]).tolist())
        return SegmentGroup(int(np.int32(object_id)), str(group["label"]), segments)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: segGroups[{position}] must have 'objectId', 'label' and 'segments' ({error!r})."
        ) from None


def _integers(values: Any) -> npt.NDArray[np.int64]:
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise TypeError("expected a list of integers")
    return np.array(values, dtype=np.int64)


def _read_object(path: Path, name: str) -> dict[str, Any]:
    """A JSON object that, if it says of which scene it is, is of this one."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a labelled scene needs it.")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        instead = impostor(path)
        raise ValueError(
            f"{path}: broken JSON: {f'it is {instead}' if instead else error}; was it downloaded whole?"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a JSON object; got {type(data).__name__}.")
    # Some releases write "scannet.scene0000_00"; anything that is no scene's name says nothing.
    scene_id = str(data.get("sceneId", name)).removeprefix("scannet.")
    if scene_id != name and SCENE_NAME.fullmatch(scene_id):
        raise ValueError(f"{path}: it is of scene {scene_id!r}, not {name!r}.")
    return data


def read_metadata(path: Path) -> dict[str, str]:
    """The ``key = value`` lines of a scene's text file; empty if there is none. Values stay text."""
    if not path.is_file():
        return {}
    refuse_utf16(path, path.read_bytes())
    pairs = (line.split(" = ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def axis_alignment(path: Path, text: str) -> npt.NDArray[np.float64]:
    """The (4, 4) matrix of an ``axisAlignment`` value: 16 numbers, row by row.

    Raises:
        ValueError: if there are not 16 finite numbers.
    """
    try:
        matrix = np.array([float(word) for word in text.split()]).reshape(4, 4)
    except ValueError:
        matrix = np.full((4, 4), np.nan)
    if not bool(np.isfinite(matrix).all()):
        raise ValueError(f"{path}: axisAlignment must be 16 numbers; got {text!r}.")
    return matrix


def align(xyz: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """M @ [x y z 1]^T for every row of (V, 3) positions."""
    return (xyz.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
