"""What a bare cloud does not say: its normals, whether they agree in direction, and where its ceiling is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.floating[Any]]

CHUNK_ROWS = 100_000


def estimate_normals(xyz_m: Floats, neighbors: int = 16) -> npt.NDArray[np.float32]:
    """(P, 3) unit normals from the plane through each point's nearest neighbours.

    The two directions of a plane cannot be told apart locally. Normals are turned to the top of the middle of
    the cloud, as if a scanner had stood there: floors get an upward normal, walls of a room an inward one.

    Args:
        xyz_m: (P, 3) positions.
        neighbors: points of a plane, the point itself included.
    """
    count = len(xyz_m)
    normal = np.zeros((count, 3), dtype=np.float32)
    if count < 3:
        normal[:, 2] = 1
        return normal
    tree = cKDTree(xyz_m)
    low, high = xyz_m.min(axis=0), xyz_m.max(axis=0)
    scanner = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2]])
    for start in range(0, count, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        points = xyz_m[rows].astype(np.float64)
        _, index = tree.query(points, k=min(neighbors, count))
        around = xyz_m[index].astype(np.float64)
        around -= around.mean(axis=1, keepdims=True)
        _, vectors = np.linalg.eigh(np.einsum("pki,pkj->pij", around, around))
        found = vectors[:, :, 0]
        found[np.einsum("pd,pd->p", found, scanner - points) < 0] *= -1
        normal[rows] = found
    return normal


def are_oriented(xyz_m: Floats, normal: Floats) -> bool:
    """Whether neighbours' normals point to the same side, as those of a mesh do."""
    rows = np.random.default_rng(0).choice(len(xyz_m), min(2000, len(xyz_m)), replace=False)
    if len(xyz_m) < 9:
        return False
    _, index = cKDTree(xyz_m).query(xyz_m[rows], k=9)
    cosine = np.einsum("pd,pkd->pk", normal[rows], normal[index[:, 1:]])
    # Two sides of a thin board face apart and are right to; a random sign makes half of all pairs do so.
    flat = np.abs(cosine) > 0.7
    return bool(flat.any()) and float((cosine[flat] > 0).mean()) > 0.9


def front_of(xyz_m: Floats, normal: Floats | None, eye: Floats) -> npt.NDArray[np.bool_]:
    """(P,) whether a vertex is to be drawn for a viewer outside a room who wants to see its inside.

    Surfaces that show their back are left out: the ceiling from above, and the walls between the viewer and
    the room. Where the normals do not agree in direction, everything stays but a lid.
    """
    if normal is not None and are_oriented(xyz_m, normal):
        return faces_camera(xyz_m, normal, eye)
    lid_m = ceiling_height_m(xyz_m)
    return np.ones(len(xyz_m), dtype=np.bool_) if lid_m is None else xyz_m[:, 2] <= lid_m


def faces_camera(xyz_m: Floats, normal: Floats, eye: Floats) -> npt.NDArray[np.bool_]:
    """(P,) whether the surface shows its front to ``eye``; undefined (zero) normals show it always."""
    facing = np.einsum("pd,pd->p", normal, eye - xyz_m)
    undefined = np.abs(normal).sum(axis=1) < 1e-6
    return (facing > 0) | undefined


def ceiling_height_m(xyz_m: Floats) -> float | None:
    """Height above which a lid covers the cloud, or None where one can look in from above.

    A cloud has a lid if most of the ground cells have a point in the top eighth of its height, and few points
    lie just below it.
    """
    z = xyz_m[:, 2]
    low, high = np.percentile(z, (0.5, 99.5))
    if high - low < 1.5:
        return None
    lid = high - (high - low) / 8
    cell = np.floor((xyz_m[:, :2] - xyz_m[:, :2].min(axis=0)) / 0.25).astype(np.int64)
    number = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1]
    covered = len(np.unique(number[z > lid])) / len(np.unique(number))
    return float(lid) if covered > 0.5 else None
