"""A scan sees what the cameras see, bends and colours it, and keeps track of what is what."""

import numpy as np
import pytest

from pointseg.synthetic.mesh import ScanMesh
from pointseg.synthetic.model import RoomModel
from pointseg.synthetic.scan import Scan, scan_room
from pointseg.synthetic.statistics import REAL, AnnotatedMesh, markdown_table, measure
from pointseg.synthetic.surface_noise import bent, smoothed
from pointseg.synthetic.tessellate import tessellate
from pointseg.synthetic.visibility import holes, scanned, seen_from, without_crumbs
from pointseg.synthetic.waves import Waves
from tests.synthetic.conftest import box


def aligned(scan: Scan) -> np.ndarray:
    return scan.xyz_m @ scan.axis_alignment[:3, :3].T + scan.axis_alignment[:3, 3]


def plate(low: tuple[float, float, float], high: tuple[float, float, float], number: int) -> tuple:
    quads = box(low, high)
    return quads, np.full(len(quads), number)


@pytest.fixture(scope="module")
def hidden_plate() -> ScanMesh:
    """A plate of 1 x 1 m over a smaller one over one of 3 x 3 m."""
    parts = [
        plate((0, 0, 2), (1, 1, 2.05), 0),
        plate((0.4, 0.3, 1.6), (0.8, 0.7, 1.65), 1),
        plate((-1, -1, 0), (2, 2, 0.05), 2),
    ]
    quads, owner = (np.concatenate(values) for values in zip(*parts, strict=True))
    return tessellate(quads, owner, np.random.default_rng(0))


def test_what_lies_behind_a_plate_is_not_seen(hidden_plate: ScanMesh) -> None:
    seen = seen_from(hidden_plate, np.array([-0.2, 0.5, 3.5]))
    top = hidden_plate.normal[:, 2] > 0.9
    assert seen[top & (hidden_plate.object == 0)].mean() > 0.95
    assert seen[hidden_plate.object == 1].mean() < 0.02
    beside = (hidden_plate.xyz_m[:, 0] < -0.85) & top & (hidden_plate.object == 2)
    assert seen[beside].mean() > 0.95


def test_back_sides_are_not_seen(hidden_plate: ScanMesh) -> None:
    seen = scanned(hidden_plate, np.array([[0.5, 0.5, 3.5], [1.2, 0.1, 3.0]]))
    # A few at the lower edges belong to both the under side and the rim.
    assert seen[hidden_plate.normal[:, 2] < -0.9].mean() < 0.02


def test_a_floor_is_seen_to_its_far_end() -> None:
    quads, owner = plate((0, 0, -0.1), (6, 1, 0), 0)
    mesh = tessellate(quads, owner, np.random.default_rng(0))
    top = mesh.normal[:, 2] > 0.9
    assert seen_from(mesh, np.array([0.2, 0.5, 1.5]))[top].mean() > 0.95


def test_holes_take_the_share_they_are_given(hidden_plate: ScanMesh) -> None:
    lost = holes(hidden_plate, 0.1, np.random.default_rng(0))
    assert lost.mean() == pytest.approx(0.1, abs=0.01)
    assert not holes(hidden_plate, 0.0, np.random.default_rng(0)).any()


def test_crumbs_disappear_unless_they_are_all_there_is_of_an_object() -> None:
    triangle = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], dtype=np.float32)
    points = np.concatenate([triangle + np.array((5 * i, 0, 0)) for i in range(3)]).astype(np.float32)
    up = np.tile(np.array([0, 0, 1], dtype=np.float32), (9, 1))
    owner = np.repeat([0, 1, 2], 3)
    mesh = ScanMesh(points, up, points[:, :2], owner, owner, np.arange(9).reshape(3, 3))
    assert without_crumbs(mesh, 4).num_vertices == 9
    beside = ScanMesh(points, up, points[:, :2], owner, 0 * owner, mesh.faces)
    assert without_crumbs(beside.with_faces(np.array([True, True, False])), 3).num_vertices == 6


def test_waves_have_unit_spread_and_no_mean() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (20000, 3))
    values = Waves.draw(np.random.default_rng(1), count=30, wavelength_m=(0.5, 2.0), channels=2)(points)
    assert np.abs(values.mean(axis=0)).max() < 0.1
    assert np.abs(values.std(axis=0) - 1).max() < 0.1


def test_bending_moves_neighbours_together() -> None:
    quads, owner = plate((0, 0, 0), (4, 4, 0.1), 0)
    mesh = tessellate(quads, owner, np.random.default_rng(0))
    moved = bent(mesh, np.random.default_rng(1), sd_m=0.03).xyz_m - mesh.xyz_m
    edges = mesh.edges
    assert moved.std() > 0.01
    assert np.abs(moved[edges[:, 0]] - moved[edges[:, 1]]).mean() < 0.005


def test_smoothing_blunts_edges_and_leaves_flat_parts() -> None:
    quads, owner = plate((0, 0, 0), (1, 1, 1), 0)
    mesh = tessellate(quads, owner, np.random.default_rng(0))
    moved = np.linalg.norm(smoothed(mesh, 0.5).xyz_m - mesh.xyz_m, axis=1)
    from_edge = np.sort(np.minimum(mesh.xyz_m, 1 - mesh.xyz_m), axis=1)[:, 1]
    assert moved[from_edge > 0.1].max() < 1e-6
    assert moved[from_edge < 1e-4].mean() > 0.003


def test_the_scan_is_a_consistent_mesh(scan: Scan) -> None:
    assert np.array_equal(np.unique(scan.faces), np.arange(scan.num_vertices))
    assert scan.xyz_m.dtype == np.float32
    assert len(scan.rgb) == len(scan.segment) == len(scan.object) == len(scan.annotated) == scan.num_vertices
    of_face = scan.object[scan.faces]
    assert (of_face == of_face[:, :1]).all()


def test_the_alignment_brings_the_floor_down_and_the_walls_square(scan: Scan, room: RoomModel) -> None:
    xyz = aligned(scan)
    assert np.abs(xyz.min(axis=0)).max() < 0.2
    assert np.abs(xyz.max(axis=0)[:2] - room.size_m[:2]).max() < 0.2
    assert np.abs(xyz[scan.object == 0, 2]).mean() < 0.06


def test_raw_coordinates_are_turned(scan: Scan) -> None:
    assert np.abs(scan.xyz_m - aligned(scan)).max() > 0.5


def test_objects_do_not_stand_together_in_the_file(scan: Scan) -> None:
    changes = (np.diff(scan.object) != 0).mean()
    assert changes > 0.1


def test_unannotated_objects_have_no_label(scan: Scan, room: RoomModel) -> None:
    names = [thing.raw_category for thing in room.objects]
    label = scan.raw_label()
    assert (label[scan.object == names.index("crate")] == 0).all()
    bed = label[scan.object == names.index("bed")]
    assert set(bed.tolist()) <= {11, 0}
    assert (bed == 11).mean() > 0.5


def test_the_same_seed_gives_the_same_scan(room: RoomModel, scan: Scan) -> None:
    again = scan_room(room, np.random.default_rng(0))
    assert np.array_equal(scan.xyz_m, again.xyz_m)
    assert np.array_equal(scan.rgb, again.rgb)
    assert np.array_equal(scan.segment, again.segment)


def test_a_room_nobody_sees_is_an_error(room: RoomModel) -> None:
    blind = RoomModel(room.kind, room.objects, room.size_m, np.array([[100.0, 100.0, 1.5]]))
    with pytest.raises(ValueError, match="No camera sees"):
        scan_room(blind, np.random.default_rng(0))


def test_a_small_room_measures_roughly_as_a_real_scan(scan: Scan, room: RoomModel) -> None:
    owner = np.where(scan.annotated, scan.object, -1)
    names = [thing.raw_category for thing in room.objects]
    rows = measure(AnnotatedMesh(aligned(scan), scan.rgb, scan.faces, scan.segment, owner, names))
    assert 380 < rows["vertices a square metre"][0] < 700
    assert 1 < rows["edges on a rim, %"][0] < 10
    assert rows["non-manifold edges, %"][0] < 0.5
    assert 80 < np.mean(rows["mean of R, G, B"]) < 140
    assert 35 < np.mean(rows["sd of R, G, B"]) < 80
    assert 12 < rows["colour sd within one segment (10/50/90 %)"][1] < 50
    assert 45 < rows["floor normals within 7 degrees of up, %"][0] < 99
    assert set(rows) == set(REAL)
    assert len(markdown_table(rows).splitlines()) == len(REAL) + 2
