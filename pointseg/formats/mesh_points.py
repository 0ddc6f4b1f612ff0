"""Points on the surface of a mesh, for meshes whose vertices do not cover it evenly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the triangles of a mesh.

    Args:
        xyz: (S, 3) float32 positions.
        corner: (S, 3) the vertices of the triangle of each.
        weight: (S, 3) float64 shares of the corners, which sum to 1.
        nearest: (S,) that corner which is nearest.
    """

    xyz: npt.NDArray[np.float32]
    corner: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int64]

    def blend(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        """(V, C) values of the vertices as (S, C) values of the points."""
        return np.einsum("sk,skc->sc", self.weight, values[self.corner].astype(np.float64))


def sample_surface(
    xyz: npt.NDArray[np.float32], faces: npt.NDArray[np.integer], count: int, rng: np.random.Generator
) -> SurfacePoints:
    """Points drawn evenly over the area of a mesh.

    Args:
        xyz: (V, 3) positions.
        faces: (F, 3) triangles.
        count: S.
        rng: the same state gives the same points.

    Raises:
        ValueError: if the mesh has no area.
    """
    corners = xyz[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total = np.cumsum(area)
    if not len(total) or not total[-1] > 0:
        raise ValueError("the mesh has no triangle with an area, so that no point can be drawn on it.")
    # Sorted: neighbouring points have neighbouring triangles, which is quicker to read.
    drawn = np.sort(rng.random(count)) * total[-1]
    face = np.searchsorted(total, drawn, side="right").clip(max=int(np.flatnonzero(area)[-1]))
    root, other = np.sqrt(rng.random(count)), rng.random(count)
    weight = np.stack([1 - root, root * (1 - other), root * other], axis=1)
    at = np.einsum("sk,skc->sc", weight, corners[face])
    distance = np.linalg.norm(corners[face] - at[:, None], axis=2)
    corner = faces[face].astype(np.int64)
    nearest = corner[np.arange(count), distance.argmin(axis=1)]
    return SurfacePoints(at.astype(np.float32), corner, weight, nearest)
