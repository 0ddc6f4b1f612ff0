"""ScanMesh: the triangle mesh that the steps of a synthetic scan hand on, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ScanMesh:
    """Triangles between vertices that know which quad of the room they were sampled from.

    Args:
        xyz_m: (V, 3) float32 positions.
        normal: (V, 3) float32 unit normal of the quad, before any noise.
        uv_m: (V, 2) float32 position on the quad, metres along its two directions.
        quad: (V,) int64 row of the quad in the room.
        object: (V,) int64 object of the room; no face joins two objects.
        faces: (F, 3) int64 vertices of each triangle.
    """

    xyz_m: FloatArray
    normal: FloatArray
    uv_m: FloatArray
    quad: IntArray
    object: IntArray
    faces: IntArray

    @property
    def num_vertices(self) -> int:
        return self.xyz_m.shape[0]

    def moved(self, xyz_m: npt.NDArray[np.floating]) -> ScanMesh:
        """The same mesh with other positions."""
        mesh = replace(self, xyz_m=xyz_m.astype(np.float32, copy=False))
        # The faces are the same; sorting out their edges again would cost more than most steps do.
        mesh.__dict__["edges"] = self.edges
        return mesh

    @cached_property
    def edges(self) -> IntArray:
        """(E, 2) different edges, the smaller vertex first, sorted."""
        return unique_edges(self.faces, self.num_vertices)[0]

    def adjacency(self, weight: npt.NDArray[np.floating] | None = None) -> sparse.csr_array:
        """(V, V) symmetric weights between the ends of every edge; 1 unless ``weight`` (E,) is given."""
        edges = self.edges
        values = np.ones(len(edges), dtype=np.float32) if weight is None else weight
        rows, columns = np.concatenate((edges, edges[:, ::-1])).T
        shape = (self.num_vertices, self.num_vertices)
        return sparse.csr_array((np.concatenate((values, values)), (rows, columns)), shape=shape)

    def components(self) -> IntArray:
        """(V,) number of the connected component of each vertex."""
        return csgraph.connected_components(self.adjacency(), directed=False)[1].astype(np.int64)

    def with_vertices(self, keep: BoolArray) -> ScanMesh:
        """The faces between kept vertices, and the vertices that still belong to a face."""
        a, b, c = self.faces.T
        return self.with_faces(keep[a] & keep[b] & keep[c])

    def with_faces(self, keep: BoolArray) -> ScanMesh:
        """The kept faces, and the vertices that still belong to one."""
        faces = self.faces[keep]
        used = np.zeros(self.num_vertices, dtype=bool)
        used[faces] = True
        position = np.cumsum(used) - 1
        return ScanMesh(
            self.xyz_m[used],
            self.normal[used],
            self.uv_m[used],
            self.quad[used],
            self.object[used],
            position[faces],
        )

    def merged(self, representative: IntArray) -> ScanMesh:
        """Every vertex replaced by ``representative`` (V,); faces that collapse or double disappear."""
        faces = representative[self.faces]
        a, b, c = faces.T
        whole = (a != b) & (b != c) & (c != a)
        low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
        key = (low << 42) | ((a + b + c - low - high) << 21) | high
        # Collapsed faces get keys of their own, so that they do not hide a whole face; they go afterwards.
        key[~whole] = -1 - np.flatnonzero(~whole)
        first = np.zeros(len(faces), dtype=bool)
        first[np.unique(key, return_index=True)[1]] = True
        return replace(self, faces=faces).with_faces(whole & first)


def unique_edges(faces: IntArray, num_vertices: int) -> tuple[IntArray, IntArray]:
    """(E, 2) different edges of the triangles and (E,) the number of triangles at each."""
    a, b, c = faces.T
    start, end = np.concatenate((a, b, a)), np.concatenate((b, c, c))
    key = np.minimum(start, end) * num_vertices + np.maximum(start, end)
    key, count = np.unique(key, return_counts=True)
    return np.stack(np.divmod(key, num_vertices), axis=1), count


def face_normals(xyz_m: npt.NDArray[Any], faces: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """(F, 3) normals whose length is twice the triangle's area."""
    a, b, c = (xyz_m[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)
