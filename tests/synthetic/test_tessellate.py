"""The irregular mesh: closed, flat where the quad is flat, dense as wanted."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pointseg.synthetic.mesh import ScanMesh, face_normals, unique_edges
from pointseg.synthetic.tessellate import tessellate
from tests.synthetic.conftest import box

UNIT_BOX = box((0, 0, 0), (1, 1, 1))


def mesh_of(quads: np.ndarray, owner: object = None, seed: int = 0, **options: float) -> ScanMesh:
    owners = np.zeros(len(quads), dtype=np.int64) if owner is None else np.asarray(owner)
    return tessellate(quads, owners, np.random.default_rng(seed), **options)


def test_the_area_of_the_mesh_is_the_area_of_the_box() -> None:
    mesh = mesh_of(UNIT_BOX)
    area = np.linalg.norm(face_normals(mesh.xyz_m, mesh.faces), axis=1).sum() / 2
    assert area == pytest.approx(6, rel=0.02)


def test_a_box_is_closed_apart_from_thinned_places() -> None:
    mesh = mesh_of(UNIT_BOX, merge_m=1e-6)
    _, uses = unique_edges(mesh.faces, mesh.num_vertices)
    assert set(uses.tolist()) == {2}


def test_triangles_look_where_their_quad_looks() -> None:
    mesh = mesh_of(UNIT_BOX, merge_m=1e-6)
    centre = mesh.xyz_m[mesh.faces].mean(axis=1) - 0.5
    assert (np.einsum("ij,ij->i", face_normals(mesh.xyz_m, mesh.faces), centre) > 0).all()


def test_every_vertex_belongs_to_a_face() -> None:
    mesh = mesh_of(UNIT_BOX)
    assert np.array_equal(np.unique(mesh.faces), np.arange(mesh.num_vertices))


def test_vertices_stay_on_their_flat_quad() -> None:
    mesh = mesh_of(UNIT_BOX[1:2])
    assert np.abs(mesh.xyz_m[:, 2] - 1).max() < 1e-6


def test_density_and_distances_are_those_of_a_real_scan() -> None:
    mesh = mesh_of(3 * UNIT_BOX[1:2])
    assert 450 < mesh.num_vertices / 9 < 620
    nearest = 100 * cKDTree(mesh.xyz_m).query(mesh.xyz_m, k=2)[0][:, 1]
    assert np.abs(np.percentile(nearest, [5, 50, 95]) - (1.55, 2.91, 4.83)).max() < 0.8


def test_objects_that_touch_share_no_vertex() -> None:
    mesh = mesh_of(np.concatenate((UNIT_BOX, UNIT_BOX + np.array((0, 0, 1)))), np.repeat([0, 1], 6))
    of_face = mesh.object[mesh.faces]
    assert (of_face == of_face[:, :1]).all()


def test_a_degenerate_quad_is_a_triangle() -> None:
    corners = np.array([[(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 0)]], dtype=np.float32)
    mesh = mesh_of(corners)
    assert np.linalg.norm(face_normals(mesh.xyz_m, mesh.faces), axis=1).sum() / 2 == pytest.approx(
        0.5, rel=0.03
    )


def test_the_sheets_of_a_thin_board_stay_apart() -> None:
    mesh = mesh_of(box((0, 0, 0), (1, 1, 0.004)))
    up = mesh.normal[:, 2]
    assert (up > 0.9).sum() > 300
    assert (up < -0.9).sum() > 300


def test_the_seed_decides_the_mesh() -> None:
    first, again, other = mesh_of(UNIT_BOX), mesh_of(UNIT_BOX), mesh_of(UNIT_BOX, seed=1)
    assert np.array_equal(first.xyz_m, again.xyz_m)
    assert np.array_equal(first.faces, again.faces)
    assert not np.array_equal(first.xyz_m[:50], other.xyz_m[:50])


def test_merging_drops_collapsed_and_doubled_faces() -> None:
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1.001, 0), (1, 1, 0)], dtype=np.float32)
    up = np.tile(np.array([0, 0, 1], dtype=np.float32), (5, 1))
    zeros = np.zeros(5, dtype=np.int64)
    faces = np.array([(0, 1, 2), (0, 1, 3), (2, 3, 1), (1, 4, 2)])
    mesh = ScanMesh(points, up, points[:, :2], zeros, zeros, faces)
    merged = mesh.merged(np.array([0, 1, 2, 2, 4]))
    assert merged.num_vertices == 4
    assert merged.faces.tolist() == [[0, 1, 2], [1, 3, 2]]
