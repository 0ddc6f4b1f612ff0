"""Segments: pieces of one object each, connected, neither crumbs nor everything."""

import numpy as np
import pytest
from scipy.sparse import csgraph, csr_array

from pointseg.synthetic.mesh import IntArray, ScanMesh
from pointseg.synthetic.segments import MIN_VERTICES, oversegment
from pointseg.synthetic.tessellate import tessellate
from tests.synthetic.conftest import box


@pytest.fixture(scope="module")
def mesh() -> ScanMesh:
    """Two boxes side by side and one as small as a cup."""
    parts = [box((0, 0, 0), (1, 1, 1)), box((1, 0, 0), (2, 1, 0.7)), box((3, 0, 0), (3.05, 0.05, 0.05))]
    return tessellate(np.concatenate(parts), np.repeat([0, 1, 2], 6), np.random.default_rng(0))


@pytest.fixture(scope="module")
def segment(mesh: ScanMesh) -> IntArray:
    return oversegment(mesh, np.random.default_rng(0))


def test_a_segment_lies_on_one_object(mesh: ScanMesh, segment: IntArray) -> None:
    pairs = np.unique(np.stack((segment, mesh.object)), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]


def test_a_segment_is_named_by_one_vertex_of_its_object(mesh: ScanMesh, segment: IntArray) -> None:
    assert np.array_equal(mesh.object[segment], mesh.object)


def test_segments_are_connected(mesh: ScanMesh, segment: IntArray) -> None:
    edges = mesh.edges
    inside = edges[segment[edges[:, 0]] == segment[edges[:, 1]]]
    shape = (mesh.num_vertices, mesh.num_vertices)
    graph = csr_array((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=shape)
    pieces = csgraph.connected_components(graph, directed=False)[0]
    assert pieces == len(np.unique(segment))


def test_sizes_are_those_of_the_segmentator(mesh: ScanMesh, segment: IntArray) -> None:
    size = np.unique(segment, return_counts=True)[1]
    assert (size < MIN_VERTICES).sum() <= 1
    assert 30 < np.median(size) < 150


def test_segments_rather_keep_to_one_side_of_a_box(mesh: ScanMesh, segment: IntArray) -> None:
    edges = mesh.edges
    crossing = np.abs(np.einsum("ij,ij->i", mesh.normal[edges[:, 0]], mesh.normal[edges[:, 1]])) < 0.1
    cut = segment[edges[:, 0]] != segment[edges[:, 1]]
    assert cut[crossing].mean() > 2 * cut[~crossing].mean()


def test_the_seed_decides_the_segments(mesh: ScanMesh, segment: IntArray) -> None:
    assert np.array_equal(segment, oversegment(mesh, np.random.default_rng(0)))
    assert not np.array_equal(segment, oversegment(mesh, np.random.default_rng(1)))
