"""Quads of a room -> one irregular triangle mesh with the density and the edge lengths of a real scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.mesh import BoolArray, FloatArray, IntArray, ScanMesh, face_normals

#: Corners and border points of one object nearer than this are one vertex.
WELD_M = 0.001

Values = npt.NDArray[Any]


def tessellate(
    quads: Values,
    object_of_quad: npt.NDArray[np.integer],
    rng: np.random.Generator,
    *,
    spacing_m: float | Values = 0.043,
    jitter: float = 0.3,
    merge_m: float = 0.018,
) -> ScanMesh:
    """Sample every quad on a jittered grid, weld the grids of one object, thin out what lies too close.

    Args:
        quads: (Q, 4, 3) corners in order around each quad; its normal looks to where they run
            counter-clockwise. A triangle repeats one corner.
        object_of_quad: (Q,) object each quad belongs to; vertices of different objects are never joined.
        spacing_m: wanted distance of neighbours on the grid; one number, or one for each quad.
        jitter: largest displacement inside the surface, in grid steps.
        merge_m: vertices of one object in the same cell of this size, on the same side, become one:
            a scanner does not resolve more, and finely modelled things would be too dense.
    """
    grid = _Grid.of(np.asarray(quads, dtype=np.float32), spacing_m)
    u, v = grid.parameters(rng, jitter)
    owner = np.asarray(object_of_quad, dtype=np.int64)[grid.quad]
    representative = _weld(grid, owner, rng)
    mesh = ScanMesh(
        xyz_m=grid.positions(u, v)[representative],
        normal=grid.normals()[grid.quad],
        uv_m=np.stack((u * grid.length_u[grid.quad], v * grid.length_v[grid.quad]), axis=1),
        quad=grid.quad,
        object=owner,
        faces=np.zeros((0, 3), dtype=np.int64),
    )
    cells, cell_quad = grid.cells()
    faces = _split(mesh.xyz_m, representative[cells], grid.normals()[cell_quad], rng)
    mesh = ScanMesh(mesh.xyz_m, mesh.normal, mesh.uv_m, mesh.quad, mesh.object, faces)
    return mesh.merged(_thin(mesh, merge_m, rng))


@dataclass(frozen=True)
class _Grid:
    """The sample points of all quads, one after the other: step (iu, iv) of quad number ``quad``."""

    quads: FloatArray
    length_u: FloatArray
    length_v: FloatArray
    steps_u: IntArray
    steps_v: IntArray
    quad: IntArray
    iu: IntArray
    iv: IntArray

    @classmethod
    def of(cls, quads: FloatArray, spacing_m: float | Values) -> _Grid:
        a, b, c, d = (quads[:, i] for i in range(4))
        # Opposite sides that differ (a trapezium, a triangle) share the finer division.
        length_u = np.maximum(_length(b - a), _length(c - d))
        length_v = np.maximum(_length(d - a), _length(c - b))
        steps_u = np.maximum(np.rint(length_u / spacing_m), 1).astype(np.int64)
        steps_v = np.maximum(np.rint(length_v / spacing_m), 1).astype(np.int64)
        quad, place = _ramps((steps_u + 1) * (steps_v + 1))
        iu, iv = np.divmod(place, steps_v[quad] + 1)
        return cls(quads, length_u, length_v, steps_u, steps_v, quad, iu, iv)

    def parameters(self, rng: np.random.Generator | None, jitter: float) -> tuple[FloatArray, FloatArray]:
        """(G,) u and v in 0..1. Inner points move both ways, border points only along the border, so that
        neighbouring quads stay closed; without a generator nothing moves."""
        nu, nv = self.steps_u[self.quad], self.steps_v[self.quad]
        u, v = self.iu.astype(np.float32), self.iv.astype(np.float32)
        if rng is not None:
            move = rng.uniform(-jitter, jitter, (2, len(u))).astype(np.float32)
            u += move[0] * ((self.iu > 0) & (self.iu < nu))
            v += move[1] * ((self.iv > 0) & (self.iv < nv))
        return (u / nu).astype(np.float32), (v / nv).astype(np.float32)

    def positions(self, u: Values, v: Values) -> FloatArray:
        """(G, 3) points between the corners of their quads, bilinearly."""
        a, b, c, d = (self.quads[:, i] for i in range(4))
        u, v = u[:, None], v[:, None]
        twist = a - b + c - d
        return a[self.quad] + u * (b - a)[self.quad] + v * (d - a)[self.quad] + u * v * twist[self.quad]

    def normals(self) -> FloatArray:
        """(Q, 3) unit normals."""
        a, b, c, d = (self.quads[:, i] for i in range(4))
        across = np.cross(c - a, d - b)
        unit = across / np.maximum(_length(across), 1e-12)[:, None]
        return unit.astype(np.float32)

    def on_border(self) -> BoolArray:
        """(G,) whether a point lies on the border of its quad."""
        nu, nv = self.steps_u[self.quad], self.steps_v[self.quad]
        return (self.iu == 0) | (self.iu == nu) | (self.iv == 0) | (self.iv == nv)

    def cells(self) -> tuple[IntArray, IntArray]:
        """(C, 4) points around every grid cell, and (C,) its quad."""
        points = (self.steps_u + 1) * (self.steps_v + 1)
        start = np.cumsum(points) - points
        quad, cell = _ramps(self.steps_u * self.steps_v)
        cu, cv = np.divmod(cell, self.steps_v[quad])
        corner = start[quad] + cu * (self.steps_v[quad] + 1) + cv
        beyond = corner + self.steps_v[quad] + 1
        return np.stack((corner, beyond, beyond + 1, corner + 1), axis=1), quad


def _length(vectors: Values) -> Values:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def _ramps(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Counts (2, 3) -> owners (0, 0, 1, 1, 1) and places (0, 1, 0, 1, 2)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _cell_keys(xyz_m: Values, size_m: float, extra: IntArray, rng: np.random.Generator) -> IntArray:
    """One integer for each pair of a cubic cell and ``extra`` (G,).

    The random origin keeps round coordinates, which furniture is full of, off the faces of the cells.
    """
    origin = xyz_m.min(axis=0) - size_m * (1 + rng.random(3))
    cell = np.floor((xyz_m - origin) / size_m).astype(np.int64)
    extent = cell.max(axis=0) + 1
    return ((extra * extent[0] + cell[:, 0]) * extent[1] + cell[:, 1]) * extent[2] + cell[:, 2]


def _weld(grid: _Grid, owner: IntArray, rng: np.random.Generator) -> IntArray:
    """(G,) first point of the same object at the same place, going by the positions before the jitter."""
    representative = np.arange(len(owner))
    border = np.flatnonzero(grid.on_border())
    plain = grid.positions(*grid.parameters(None, 0.0))[border]
    _, first, group = np.unique(
        _cell_keys(plain, WELD_M, owner[border], rng), return_index=True, return_inverse=True
    )
    representative[border] = border[first[group]]
    return representative


def _split(xyz_m: Values, cells: IntArray, normal: Values, rng: np.random.Generator) -> IntArray:
    """(2 C, 3) triangles: each cell cut along a random diagonal, the other one where that would fold over."""
    a, b, c, d = cells.T
    cuts = [np.stack((a, b, c, a, c, d), axis=1), np.stack((a, b, d, b, c, d), axis=1)]
    worst = [
        np.einsum("cij,cj->ci", face_normals(xyz_m, cut.reshape(-1, 3)).reshape(-1, 2, 3), normal).min(axis=1)
        for cut in cuts
    ]
    second = rng.random(len(cells)) < 0.5
    second = np.where(second, worst[1] > 0, worst[0] <= 0)
    return np.where(second[:, None], cuts[1], cuts[0]).reshape(-1, 3)


def _thin(mesh: ScanMesh, size_m: float, rng: np.random.Generator) -> IntArray:
    """(V,) one vertex for all of an object's vertices in one cell that look the same way.

    The two sheets of a thin board look opposite ways and stay apart.
    """
    axis = np.abs(mesh.normal).argmax(axis=1)
    side = 2 * axis + (mesh.normal[np.arange(len(axis)), axis] > 0)
    key = _cell_keys(mesh.xyz_m, size_m, mesh.object * 6 + side, rng)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return first[group]
