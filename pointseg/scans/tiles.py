"""Tiles of a large cloud: every vertex is predicted once, in a piece that holds its surroundings too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointseg.core.scene import Scene

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tile:
    """One piece of a scene.

    Args:
        vertices: (T,) int64 vertices of the piece: first the core, then the context around it.
        num_core: how many of them are core. The cores of all tiles hold every vertex exactly once.
        is_whole: whether this is the uncut scene, in its own order.
    """

    vertices: Indices
    num_core: int
    is_whole: bool = False

    @property
    def core(self) -> Indices:
        return self.vertices[: self.num_core]


def split_into_tiles(
    xyz_m: npt.NDArray[np.float32], max_points: int | None, margin_m: float
) -> Iterator[Tile]:
    """Cut a scene in x and y so that no tile has more than ``max_points`` vertices, context included.

    Halves at the median of the longer side until a core has at most half of the budget; the other half is
    for the nearest vertices within ``margin_m`` of the core. The cut depends on the positions only.

    Args:
        xyz_m: (P, 3) positions.
        max_points: vertices of a tile at most; None or enough for all gives the whole scene as one tile.
        margin_m: width of the context, in metres.
    """
    count = xyz_m.shape[0]
    if count == 0:
        return
    everything = np.arange(count, dtype=np.int64)
    if max_points is None or count <= max_points:
        yield Tile(everything, count, is_whole=True)
        return
    xy = np.ascontiguousarray(xyz_m[:, :2])
    # A stack instead of recursion; the right half is pushed first, so tiles come from left to right.
    pending = [everything]
    while pending:
        core = pending.pop()
        if len(core) > max(1, max_points // 2):
            left, right = _halve(xy, core)
            pending += [right, left]
            continue
        context = _context(xy, core, max_points - len(core), margin_m)
        yield Tile(np.concatenate([core, context]), len(core))


def select_vertices(scene: Scene, vertices: Indices) -> Scene:
    """The scene with these vertices only, in this order."""
    return Scene(
        name=scene.name,
        xyz_m=scene.xyz_m[vertices],
        rgb=None if scene.rgb is None else scene.rgb[vertices],
        normal=None if scene.normal is None else scene.normal[vertices],
        raw_label=None if scene.raw_label is None else scene.raw_label[vertices],
        instance=None if scene.instance is None else scene.instance[vertices],
    )


def _halve(xy: npt.NDArray[np.float32], core: Indices) -> tuple[Indices, Indices]:
    """Two halves of equal size along the longer side; both keep file order."""
    points = xy[core]
    side = int(np.argmax(np.ptp(points, axis=0)))
    # A stable sort cuts vertices that share one place by file order, so that even a vertical pole of
    # identical xy can be halved.
    order = np.argsort(points[:, side], kind="stable")
    middle = len(core) // 2
    return np.sort(core[order[:middle]]), np.sort(core[order[middle:]])


def _context(xy: npt.NDArray[np.float32], core: Indices, room: int, margin_m: float) -> Indices:
    """At most ``room`` vertices outside the core within the margin of its box, the nearest ones."""
    low, high = xy[core].min(axis=0), xy[core].max(axis=0)
    is_near = ((xy >= low - margin_m) & (xy <= high + margin_m)).all(axis=1)
    is_near[core] = False
    near = np.flatnonzero(is_near)
    if len(near) > room:
        distance_m = np.linalg.norm(np.maximum(low - xy[near], 0) + np.maximum(xy[near] - high, 0), axis=1)
        near = np.sort(near[np.argsort(distance_m, kind="stable")[:room]])
    return near.astype(np.int64)
