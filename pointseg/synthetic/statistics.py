"""The quantities by which a generated scene is held against a real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pointseg.formats.ply import vertex_normals
from pointseg.synthetic.mesh import face_normals, unique_edges

Numbers = tuple[float, ...]

#: What a real scan measures (scene0000_00, a hotel flat of 8.4 x 8.7 x 3.0 m), for the rows of a table.
REAL: dict[str, Numbers] = {
    "vertices": (81369,),
    "faces": (153587,),
    "surface, m2": (152,),
    "vertices a square metre": (534,),
    "nearest vertex, cm (5/25/50/75/95 %)": (1.55, 2.28, 2.91, 3.61, 4.83),
    "edge length, cm (5/25/50/75/95 %)": (2.3, 3.7, 4.9, 6.4, 9.3),
    "occupied voxels a vertex, at 2 / 4 / 5 cm": (0.98, 0.80, 0.66),
    "edges on a rim, %": (4.7,),
    "non-manifold edges, %": (0.04,),
    "plane residual within 15 cm, RMS mm (5/10/25/50/75/90 %)": (1.6, 2.7, 8.5, 24, 35, 44),
    "floor residual to one plane, mm (5/25/50/75/95 %)": (-34, -19, -7, 6, 63),
    "floor normals within 7 degrees of up, %": (75,),
    "mean of R, G, B": (122, 112, 95),
    "sd of R, G, B": (60, 57, 56),
    "saturation (10/50/90 %)": (0.07, 0.25, 0.61),
    "value (5/50/95 %)": (28, 129, 223),
    "colour sd within one segment (10/50/90 %)": (13.5, 28, 48.5),
    "colour sd of the floor": (60,),
    "colour sd of the walls": (48,),
    "segments": (668,),
    "vertices a segment (5/25/50/75/95 %)": (27, 44, 69, 114, 314),
    "largest segment, % of the vertices": (10.0,),
    "objects": (55,),
    "raw categories": (32,),
    "segments an object (5/50/95/100 %)": (1, 4, 26, 53),
    "annotated vertices, %": (78,),
}


@dataclass(frozen=True)
class AnnotatedMesh:
    """What the measurements need of one raw scene; coordinates axis aligned.

    Args:
        xyz_m: (V, 3). rgb: (V, 3) uint8. faces: (F, 3).
        segment: (V,) segment ids. object: (V,) object of each vertex, -1 for none.
        categories: raw category of each object.
    """

    xyz_m: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8]
    faces: npt.NDArray[np.integer]
    segment: npt.NDArray[np.integer]
    object: npt.NDArray[np.integer]
    categories: Sequence[str]


def measure(scene: AnnotatedMesh) -> dict[str, Numbers]:
    """All rows of :data:`REAL` for one scene; a row is missing where the scene has no floor or no wall."""
    return {**_mesh(scene), **_relief(scene), **_color(scene), **_annotation(scene)}


def average(measured: Sequence[dict[str, Numbers]]) -> dict[str, Numbers]:
    """The median over scenes of each number."""
    rows: dict[str, Numbers] = {}
    for key in REAL:
        present = [scene[key] for scene in measured if key in scene]
        if present:
            rows[key] = tuple(float(x) for x in np.median(np.array(present), axis=0))
    return rows


def markdown_table(measured: dict[str, Numbers]) -> str:
    """The measured numbers beside the real ones."""
    lines = ["| quantity | real scan | generated, median scene |", "|---|---|---|"]
    for key, real in REAL.items():
        own = " / ".join(_short(x) for x in measured[key]) if key in measured else "-"
        lines.append(f"| {key} | {' / '.join(_short(x) for x in real)} | {own} |")
    return "\n".join(lines)


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 10 and number != 13.5 else f"{number:.3g}"


def _percentiles(values: npt.NDArray[Any], *at: float) -> Numbers:
    return tuple(float(x) for x in np.percentile(values, at))


def _mesh(scene: AnnotatedMesh) -> dict[str, Numbers]:
    xyz, faces = scene.xyz_m.astype(np.float64), scene.faces.astype(np.int64)
    count = len(xyz)
    area = float(np.linalg.norm(face_normals(xyz, faces), axis=1).sum() / 2)
    edges, uses = unique_edges(faces, count)
    length = np.linalg.norm(xyz[edges[:, 0]] - xyz[edges[:, 1]], axis=1)
    nearest = cKDTree(xyz).query(xyz, k=2)[0][:, 1]
    voxels = [len(np.unique(np.floor(xyz / size).astype(np.int64), axis=0)) for size in (0.02, 0.04, 0.05)]
    return {
        "vertices": (count,),
        "faces": (len(faces),),
        "surface, m2": (area,),
        "vertices a square metre": (count / area,),
        "nearest vertex, cm (5/25/50/75/95 %)": _percentiles(100 * nearest, 5, 25, 50, 75, 95),
        "edge length, cm (5/25/50/75/95 %)": _percentiles(100 * length, 5, 25, 50, 75, 95),
        "occupied voxels a vertex, at 2 / 4 / 5 cm": tuple(v / count for v in voxels),
        "edges on a rim, %": (100 * float((uses == 1).mean()),),
        "non-manifold edges, %": (100 * float((uses > 2).mean()),),
    }


def _relief(scene: AnnotatedMesh) -> dict[str, Numbers]:
    xyz = scene.xyz_m.astype(np.float64)
    tree = cKDTree(xyz)
    chosen = np.linspace(0, len(xyz) - 1, min(2000, len(xyz))).astype(np.int64)
    residual = [_plane_residual(xyz[near]) for near in tree.query_ball_point(xyz[chosen], 0.15)]
    key = "plane residual within 15 cm, RMS mm (5/10/25/50/75/90 %)"
    rows = {key: _percentiles(1000 * np.array(residual), 5, 10, 25, 50, 75, 90)}
    floor = _of_category(scene, "floor")
    if floor.sum() > 100:
        points = xyz[floor]
        design = np.column_stack((points[:, :2], np.ones(len(points))))
        height = points[:, 2] - design @ np.linalg.lstsq(design, points[:, 2], rcond=None)[0]
        key = "floor residual to one plane, mm (5/25/50/75/95 %)"
        rows[key] = _percentiles(1000 * height, 5, 25, 50, 75, 95)
        upright = vertex_normals(xyz, scene.faces)[floor, 2] > np.cos(np.deg2rad(7))
        rows["floor normals within 7 degrees of up, %"] = (100 * float(upright.mean()),)
    return rows


def _plane_residual(points: npt.NDArray[np.float64]) -> float:
    """RMS distance of points to their best plane."""
    if len(points) < 4:
        return 0.0
    covariance = np.cov(points.T, bias=True)
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance)[0], 0.0)))


def _color(scene: AnnotatedMesh) -> dict[str, Numbers]:
    rgb = scene.rgb.astype(np.float64)
    value = rgb.max(axis=1)
    saturation = (value - rgb.min(axis=1)) / np.maximum(value, 1)
    _, group, size = np.unique(scene.segment, return_inverse=True, return_counts=True)
    moments = [np.stack([np.bincount(group, rgb[:, c] ** k) for c in range(3)]) / size for k in (1, 2)]
    spread = np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0)).mean(axis=0)
    rows = {
        "mean of R, G, B": tuple(rgb.mean(axis=0).tolist()),
        "sd of R, G, B": tuple(rgb.std(axis=0).tolist()),
        "saturation (10/50/90 %)": _percentiles(saturation, 10, 50, 90),
        "value (5/50/95 %)": _percentiles(value, 5, 50, 95),
        "colour sd within one segment (10/50/90 %)": _percentiles(spread, 10, 50, 90),
    }
    for category, key in (("floor", "colour sd of the floor"), ("wall", "colour sd of the walls")):
        chosen = _of_category(scene, category)
        if chosen.sum() > 100:
            rows[key] = (float(rgb[chosen].std(axis=0).mean()),)
    return rows


def _annotation(scene: AnnotatedMesh) -> dict[str, Numbers]:
    size = np.unique(scene.segment, return_counts=True)[1]
    annotated = scene.object >= 0
    pairs = np.unique(np.stack((scene.object[annotated], scene.segment[annotated])), axis=1)
    pieces = np.unique(pairs[0], return_counts=True)[1]
    return {
        "segments": (len(size),),
        "vertices a segment (5/25/50/75/95 %)": _percentiles(size, 5, 25, 50, 75, 95),
        "largest segment, % of the vertices": (100 * size.max() / size.sum(),),
        "objects": (len(pieces),),
        "raw categories": (len({scene.categories[i] for i in np.unique(pairs[0])}),),
        "segments an object (5/50/95/100 %)": _percentiles(pieces, 5, 50, 95, 100),
        "annotated vertices, %": (100 * float(annotated.mean()),),
    }


def _of_category(scene: AnnotatedMesh, category: str) -> npt.NDArray[np.bool_]:
    """(V,) vertices of all objects of one raw category."""
    wanted = np.array([name == category for name in scene.categories] + [False])
    return wanted[scene.object]
