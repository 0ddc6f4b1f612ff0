"""Over-segmentation of a scanned mesh, like the one that annotators of ScanNet painted on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csgraph

from pointseg.synthetic.mesh import IntArray, ScanMesh

#: The segmentator's segMinVerts.
MIN_VERTICES = 20
#: A step over a right angle costs this many times more than an equally long one on a flat surface.
CREASE_COST = 8.0


def oversegment(mesh: ScanMesh, rng: np.random.Generator, *, mean_vertices: float = 80.0) -> IntArray:
    """(V,) segment of each vertex, named by one of its vertices; a segment never spans two objects.

    Segments grow from random seeds along the mesh, rather along smooth surface than over creases. Most are a
    hand wide; a large smooth surface is one piece or a few, as in the original.

    Args:
        mean_vertices: mean number of vertices of an ordinary segment, before small ones are merged.
    """
    edges = mesh.edges
    ends = mesh.xyz_m[edges]
    length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    turn = 1 - np.einsum("ij,ij->i", mesh.normal[edges[:, 0]], mesh.normal[edges[:, 1]])
    cost = length * (1 + CREASE_COST * turn) * rng.uniform(0.6, 1.4, len(edges)).astype(np.float32)
    graph = mesh.adjacency(np.maximum(cost, 1e-4))

    component = csgraph.connected_components(graph, directed=False)[1]
    seed = rng.random(mesh.num_vertices) < _seed_probability(mesh, rng, mean_vertices)
    seeded = np.bincount(component[seed], minlength=int(component.max()) + 1) > 0
    first_of_component = np.unique(component, return_index=True)[1]
    seed[first_of_component[~seeded]] = True
    _, _, segment = csgraph.dijkstra(
        graph, directed=True, indices=np.flatnonzero(seed), min_only=True, return_predecessors=True
    )
    segment = _merge_small(mesh, segment.astype(np.int64), edges)
    return _join_crumbs(mesh, segment)


def _seed_probability(
    mesh: ScanMesh, rng: np.random.Generator, mean_vertices: float
) -> npt.NDArray[np.float64]:
    """(V,) chance of each vertex to start a segment, constant on each flat side of an object."""
    direction = np.rint(mesh.normal * 2).astype(np.int64) + 2
    side = ((mesh.object * 5 + direction[:, 0]) * 5 + direction[:, 1]) * 5 + direction[:, 2]
    _, group, size = np.unique(side, return_inverse=True, return_counts=True)
    wanted = mean_vertices * np.exp(rng.normal(0.0, 0.45, len(size)))
    whole = (size > 400) & (rng.random(len(size)) < 0.8)
    wanted = np.where(whole, size / rng.uniform(1.0, 4.0, len(size)), wanted)
    return (1 / np.maximum(wanted, 1.0))[group]


def _merge_small(mesh: ScanMesh, segment: IntArray, edges: IntArray) -> IntArray:
    """Give each too small segment to the neighbour it shares most edges with, until none is left."""
    for _ in range(8):
        size = np.bincount(segment, minlength=mesh.num_vertices)
        pair = segment[edges]
        pair = pair[pair[:, 0] != pair[:, 1]]
        pair = np.concatenate((pair, pair[:, ::-1]))
        pair = pair[size[pair[:, 0]] < MIN_VERTICES]
        if len(pair) == 0:
            break
        key, shared = np.unique(pair[:, 0] * mesh.num_vertices + pair[:, 1], return_counts=True)
        small, neighbour = np.divmod(key, mesh.num_vertices)
        order = np.argsort(shared, kind="stable")
        target = np.arange(mesh.num_vertices)
        target[small[order]] = neighbour[order]
        # Two small segments may have chosen each other; the smaller name then stays.
        mutual = (target[target] == np.arange(len(target))) & (np.arange(len(target)) < target)
        target[mutual] = np.flatnonzero(mutual)
        segment = target[segment]
    return segment


def _join_crumbs(mesh: ScanMesh, segment: IntArray) -> IntArray:
    """Pieces of an object that touch nothing and are too small become one segment."""
    size = np.bincount(segment, minlength=mesh.num_vertices)
    small = np.flatnonzero(size[segment] < MIN_VERTICES)
    _, first, group = np.unique(mesh.object[small], return_index=True, return_inverse=True)
    joined = segment.copy()
    joined[small] = segment[small[first]][group]
    return joined
