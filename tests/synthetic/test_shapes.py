"""Solids have the volumes and faces that geometry says they have."""

import math

import numpy as np
import pytest

from pointseg.synthetic.parts import bent, frame, outline, pad, rings, tub
from pointseg.synthetic.shapes import Shape, Slot, signed_volume

GREY = np.array([120, 120, 120], np.uint8)


def ngon_area(sides: int, radius: float) -> float:
    return 0.5 * sides * radius**2 * math.sin(2 * math.pi / sides)


def face_normals(shape: Shape) -> np.ndarray:
    q = shape.quads
    return np.cross(q[:, 2] - q[:, 0], q[:, 3] - q[:, 1])


def test_a_box_stands_on_its_place_and_has_the_volume_of_its_sides() -> None:
    box = Shape().box((2, 3, 4), (10, 0, 1), GREY)
    assert signed_volume(box.quads) == pytest.approx(24)
    np.testing.assert_allclose(box.bounds, [[9, -1.5, 1], [11, 1.5, 5]])


@pytest.mark.parametrize("sides", [3, 5, 8, 11])
def test_a_cylinder_has_the_volume_of_its_polygon_times_its_height(sides: int) -> None:
    shape = Shape().cylinder(0.5, 2.0, (1, 1, 1), GREY, sides=sides)
    assert signed_volume(shape.quads) == pytest.approx(2 * ngon_area(sides, 0.5), rel=1e-5)


def test_a_rod_has_the_same_volume_in_any_direction() -> None:
    for end in ((0, 0, 2), (2, 0, 0), (0, -2, 0), (2 / 3**0.5,) * 3):
        rod = Shape().rod((0, 0, 0), end, 0.1, GREY, sides=6)
        assert signed_volume(rod.quads) == pytest.approx(2 * ngon_area(6, 0.1), rel=1e-4)


def test_a_tub_holds_what_its_inner_box_holds() -> None:
    shape = tub(Shape(), (1.0, 0.8, 0.5), (0, 0, 0), GREY, wall=0.1, floor=0.05)
    assert signed_volume(shape.quads) == pytest.approx(1.0 * 0.8 * 0.5 - 0.8 * 0.6 * 0.45, rel=1e-5)


def test_an_ellipsoid_fills_most_of_its_ideal_volume() -> None:
    shape = Shape().ball((0.5, 0.4, 0.3), (0, 0, 0), GREY, sides=16, rings=12)
    ideal = 4 / 3 * math.pi * 0.5 * 0.4 * 0.3
    assert 0.88 * ideal < signed_volume(shape.quads) < ideal


def test_closed_parts_are_wound_outwards() -> None:
    parts = [
        pad(Shape(), (1, 1, 0.2), (0, 0, 0), GREY),
        bent(Shape(), [(0, 0, 0), (0, 0, 1), (1, 0, 1)], 0.05, GREY),
        frame(Shape(), 1, 1, GREY, wide=0.1, deep=0.1),
        Shape().loft(rings([(1, 1, 0), (0.5, 0.5, 1)], 0.1), (0, 0, 0), GREY),
        Shape().prism(outline(1, 2, 0.2), 1, (0, 0, 0), GREY, top=0.5),
    ]
    assert all(signed_volume(part.quads) > 0 for part in parts)


def test_a_sheet_faces_along_n_cross_along_m() -> None:
    grid = np.array([[[0, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0]]], float)
    assert (face_normals(Shape().sheet(grid, GREY))[:, 2] > 0).all()


def test_a_thick_sheet_has_a_back_that_faces_away() -> None:
    grid = np.array([[[0, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0]]], float)
    shape = Shape().sheet(grid, GREY, 0.1)
    assert sorted(np.sign(face_normals(shape)[:, 2])) == [-1, 1]
    assert shape.bounds[0, 2] == pytest.approx(-0.1)


def test_joining_turns_first_and_then_shifts() -> None:
    arm = Shape().box((0.2, 0.2, 0.2), (1, 0, 0), GREY)
    turned = Shape().join(arm, at=(5, 0, 0), yaw=math.pi / 2)
    np.testing.assert_allclose(turned.bounds.mean(axis=0), [5, 1, 0.1], atol=1e-6)


def test_a_slot_travels_with_its_host_and_counts_its_cover_from_the_new_first_quad() -> None:
    host = Shape().box((1, 1, 1), (0, 0, 0), GREY)
    host.slots.append(Slot("hole", (0.3, 0, 1), cover=(0, 6)))
    both = Shape().box((1, 1, 1), (9, 9, 9), GREY).join(host, at=(0, 0, 2), yaw=math.pi)
    slot = both.slots[0]
    np.testing.assert_allclose(slot.at, (-0.3, 0, 3), atol=1e-6)
    assert slot.cover == (6, 12)
    assert slot.yaw == pytest.approx(math.pi)


@pytest.mark.parametrize(
    ("mount", "low"),
    [
        ("stand", (-0.5, -1, 0)),
        ("hang", (-0.5, 0, 0)),
        ("ceiling", (-0.5, -1, -3)),
        ("sunk", (-0.5, -1, 4)),
    ],
)
def test_anchoring_puts_the_origin_where_the_mount_holds_the_object(mount: str, low: tuple) -> None:
    shape = Shape().box((1, 2, 3), (7, 8, 4), GREY).anchored(mount)
    np.testing.assert_allclose(shape.bounds[0], low, atol=1e-6)
