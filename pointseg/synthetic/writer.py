"""Scan -> the files of a raw ScanNet v2 scene folder, quirks of the real files included."""

from __future__ import annotations

import csv
import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import move, write_json, write_text
from pointseg.core.labels import distinct_colors
from pointseg.formats.ply import write_scannet_mesh
from pointseg.formats.scannet import AGGREGATION_SUFFIX, MESH_SUFFIX, METADATA_SUFFIX, SEGMENTS_SUFFIX
from pointseg.formats.scannet_tables import shipped_label_table
from pointseg.synthetic.scan import Scan

#: A label that no row of the table has; the original holds such objects too.
UNKNOWN_CATEGORY = "unlisted clutter"
#: Chances of a scene to show a quirk of the original files.
LISTED_TWICE, CLAIMED_EARLY, UNKNOWN, PREFIXED = 0.04, 0.3, 0.3, 0.05

_SEGMENTATOR = {
    "kThresh": "0.0001",
    "segMinVerts": "20",
    "minPoints": "750",
    "maxPoints": "30000",
    "thinThresh": "0.05",
    "flatThresh": "0.001",
    "minLength": "0.02",
    "maxLength": "1",
}
_NUM_NYU40 = 41


@functools.cache
def nyu40_ids() -> dict[str, int]:
    """Raw category -> nyu40 id; the first of equal rows counts."""
    ids: dict[str, int] = {}
    with shipped_label_table().open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            ids.setdefault(row["raw_category"], int(row["nyu40id"] or 0))
    return ids


def write_scene(folder: Path, name: str, scan: Scan, rng: np.random.Generator, *, labelled: bool) -> None:
    """Write one scene as ``folder/name``, whole or not at all: it grows under another name first.

    Args:
        folder: ``scans`` or ``scans_test``.
        name: ``scene%04d_%02d``.
        labelled: False for a test scene: no segments, no objects, no labels, no axis alignment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: a reader of ``scans`` never meets half a scene.
    growing = folder.parent / f".{name}.partial"
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir()
    opaque = np.full((scan.num_vertices, 1), 255, dtype=np.uint8)
    mesh = growing / f"{name}{MESH_SUFFIX}"
    write_scannet_mesh(mesh, scan.xyz_m, np.concatenate((scan.rgb, opaque), axis=1), scan.faces)
    write_text(growing / f"{name}{METADATA_SUFFIX}", _metadata(scan, rng, aligned=labelled))
    if labelled:
        _write_labels(growing / f"{name}_vh_clean_2.labels.ply", scan, rng)
        segments = f"{name}{SEGMENTS_SUFFIX}"
        write_json(growing / segments, _segmentation(name, scan, rng), indent=None)
        groups = {
            "sceneId": name,
            "appId": "Aggregator.v2",
            "segGroups": _groups(scan, rng),
            "segmentsFile": segments,
        }
        write_json(growing / f"{name}{AGGREGATION_SUFFIX}", groups, indent=None)
    move(growing, folder / name)


def _segmentation(name: str, scan: Scan, rng: np.random.Generator) -> dict[str, Any]:
    prefix = "scannet." if rng.random() < PREFIXED else ""
    return {"params": _SEGMENTATOR, "sceneId": prefix + name, "segIndices": scan.segment.tolist()}


def _groups(scan: Scan, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The objects in an arbitrary order, with the irregularities that a reader must survive.

    None of them changes a label by the rule "later groups overwrite".
    """
    segments = _segments_of(scan, scan.annotated)
    order = rng.permutation(sorted(segments)).tolist()
    claims = [(scan.objects[thing].raw_category, segments[thing]) for thing in order]
    if len(claims) > 1 and rng.random() < CLAIMED_EARLY:
        # An annotator's slip that was painted over: an earlier object also lists segments of a later one.
        first, later = sorted(rng.choice(len(claims), 2, replace=False).tolist())
        label, own = claims[first]
        claims[first] = (label, own + claims[later][1][:3])
    stray = _segments_of(scan, ~scan.annotated)
    if stray and rng.random() < UNKNOWN:
        thing = int(rng.choice(sorted(stray)))
        claims.insert(int(rng.integers(len(claims) + 1)), (UNKNOWN_CATEGORY, stray[thing]))
    if rng.random() < LISTED_TWICE:
        claims = claims + claims
    return [
        {"id": number, "objectId": number, "segments": listed, "label": label}
        for number, (label, listed) in enumerate(claims)
    ]


def _segments_of(scan: Scan, chosen: npt.NDArray[np.bool_]) -> dict[int, list[int]]:
    """Object -> its segments among the chosen vertices, in ascending order."""
    pairs = np.unique(scan.object[chosen] * scan.num_vertices + scan.segment[chosen])
    owners, segments = np.divmod(pairs, scan.num_vertices)
    things, start = np.unique(owners, return_index=True)
    lists = np.split(segments, start[1:])
    return {int(thing): own.tolist() for thing, own in zip(things, lists, strict=False)}


def _write_labels(path: Path, scan: Scan, rng: np.random.Generator) -> None:
    """The mesh again, with nyu40 ids, their colours, and an alpha that means nothing, as in the original."""
    ids = np.array([nyu40_ids().get(thing.raw_category, 0) for thing in scan.objects], dtype=np.int64)
    label = np.where(scan.annotated, ids[scan.object], 0)
    palette = np.array([(0, 0, 0), *distinct_colors(_NUM_NYU40 - 1)], dtype=np.uint8)
    alpha = rng.integers(0, 256, (scan.num_vertices, 1), dtype=np.uint8)
    rgba = np.concatenate((palette[label], alpha), axis=1)
    write_scannet_mesh(path, scan.xyz_m, rgba, scan.faces, label.astype(np.uint16))


def _metadata(scan: Scan, rng: np.random.Generator, *, aligned: bool) -> str:
    """The lines of ``<scene>.txt``; test scenes have no axisAlignment."""
    frames = int(rng.integers(600, 6000))
    lines = {
        "colorHeight": "968",
        "colorToDepthExtrinsics": _matrix(np.eye(4)),
        "colorWidth": "1296",
        "depthHeight": "480",
        "depthWidth": "640",
        "fx_color": "1170.187988",
        "fx_depth": "571.623718",
        "fy_color": "1170.187988",
        "fy_depth": "571.623718",
        "mx_color": "647.750000",
        "mx_depth": "319.500000",
        "my_color": "483.750000",
        "my_depth": "239.500000",
        "numColorFrames": str(frames),
        "numDepthFrames": str(frames),
        "numIMUmeasurements": str(2 * frames + int(rng.integers(100))),
        "sceneType": scan.kind,
    }
    if aligned:
        lines = {"axisAlignment": _matrix(scan.axis_alignment), **lines}
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _matrix(matrix: npt.NDArray[np.float64]) -> str:
    """Sixteen numbers, row by row, with the blank at the end that the original has."""
    return "".join(f"{value:.6f} " for value in matrix.ravel())
