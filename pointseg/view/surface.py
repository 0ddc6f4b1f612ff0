"""Which surfaces hide the inside of a room: those that show their back, a ceiling, the walls in front."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.floating[Any]]


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
    the room. Where the normals do not agree in direction, as those of bare clouds do not, a lid is cut off by
    its height and the nearer walls by their place.
    """
    keep = np.ones(len(xyz_m), dtype=np.bool_)
    if normal is not None and are_oriented(xyz_m, normal):
        keep = faces_camera(xyz_m, normal, eye)
    lid_m = ceiling_height_m(xyz_m[keep])
    if lid_m is not None:
        keep &= (xyz_m[:, 2] <= lid_m) & ~_on_near_walls(xyz_m, eye)
    return keep


def _on_near_walls(xyz_m: Floats, eye: Floats, thickness_m: float = 0.3) -> npt.NDArray[np.bool_]:
    """(P,) vertices at those sides of the rectangle around a room that lie towards the viewer; no floor."""
    angle = np.radians(room_yaw_deg(xyz_m[:, :2]))
    on_wall = np.zeros(len(xyz_m), dtype=np.bool_)
    for direction in ((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))):
        place = xyz_m[:, :2] @ np.array(direction)
        low, high = np.percentile(place, (0.5, 99.5))
        is_high_side = float(eye[:2] @ np.array(direction)) > (low + high) / 2
        on_wall |= place > high - thickness_m if is_high_side else place < low + thickness_m
    return on_wall & (xyz_m[:, 2] > np.percentile(xyz_m[:, 2], 1) + 0.15)


def room_yaw_deg(xy_m: Floats) -> float:
    """Angle in [0, 90) by which the walls of a room are turned: that of the smallest rectangle around it."""
    angles = np.arange(0.0, 90.0, 3.0)
    radians = np.radians(angles)
    directions = np.stack([np.cos(radians), np.sin(radians)], axis=1)
    few = xy_m[:: max(1, len(xy_m) // 20_000)]
    along = np.percentile(few @ directions.T, (1, 99), axis=0)
    across = np.percentile(few @ np.stack([-directions[:, 1], directions[:, 0]]), (1, 99), axis=0)
    return float(angles[np.argmin((along[1] - along[0]) * (across[1] - across[0]))])


def faces_camera(xyz_m: Floats, normal: Floats, eye: Floats) -> npt.NDArray[np.bool_]:
    """(P,) whether the surface shows its front to ``eye``; undefined (zero) normals show it always."""
    facing = np.einsum("pd,pd->p", normal, eye - xyz_m)
    undefined = np.abs(normal).sum(axis=1) < 1e-6
    return (facing > 0) | undefined


def ceiling_height_m(xyz_m: Floats) -> float | None:
    """Height above which a lid covers the cloud, or None where one can look in from above.

    A cloud has a lid if most of its cells of ground have a point in the top eighth of its height.
    """
    z = xyz_m[:, 2]
    if not len(z):
        return None
    low, high = np.percentile(z, (0.5, 99.5))
    if high - low < 1.5:
        return None
    lid = high - (high - low) / 8
    cell = np.floor((xyz_m[:, :2] - xyz_m[:, :2].min(axis=0)) / 0.25).astype(np.int64)
    number = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1]
    covered = len(np.unique(number[z > lid])) / len(np.unique(number))
    return float(lid) if covered > 0.5 else None
