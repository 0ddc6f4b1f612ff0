"""The view into a room: everything in the frame, no ceiling, no wall in front."""

import numpy as np
import pytest

from pointseg.view.camera import ELEVATION_DEG, Camera, choose_camera
from pointseg.view.surface import are_oriented, ceiling_height_m, front_of, room_yaw_deg

SIZE = (4.0, 3.0, 2.5)


def room(turn_deg: float = 0.0, spacing: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A closed box seen from its inside: positions, inward normals, and the side of each point (0..5)."""
    line = np.linspace(0, 1, spacing)
    u, v = (grid.ravel() for grid in np.meshgrid(line, line))
    points, normals, sides = [], [], []
    for axis in range(3):
        for end in (0.0, 1.0):
            side = np.insert(np.stack([u, v], axis=1), axis, end, axis=1) * SIZE
            inward = np.zeros(3)
            inward[axis] = 1 - 2 * end
            points.append(side)
            normals.append(np.tile(inward, (len(side), 1)))
            sides.append(np.full(len(side), 2 * axis + int(end)))
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return np.concatenate(points) @ turn.T, np.concatenate(normals) @ turn.T, np.concatenate(sides)


FLOOR, CEILING = 4, 5


def test_a_camera_looks_along_its_third_axis_with_z_up() -> None:
    camera = Camera(np.array([5.0, 0.0, 0.0]), np.zeros(3))
    assert np.allclose(camera.to_camera(np.zeros((1, 3))), [[0, 0, 5]])
    assert np.allclose(camera.to_camera(np.array([[0.0, 0, 1]])), [[0, -1, 5]])  # the second axis points down


@pytest.mark.parametrize("turn_deg", [0, 20, 65])
def test_the_turn_of_a_room_is_found(turn_deg: float) -> None:
    xyz, _, _ = room(turn_deg)
    off = abs(room_yaw_deg(xyz[:, :2]) - turn_deg)
    assert min(off, 90 - off) <= 3


def test_everything_that_is_drawn_lies_in_the_frame() -> None:
    xyz, normal, _ = room(25)
    camera = choose_camera(xyz, normal, None, aspect=4 / 3)
    x, y, z = camera.to_camera(xyz[front_of(xyz, normal, camera.eye)]).T
    tangent = np.tan(np.radians(camera.fov_deg / 2))
    assert z.min() > 0
    assert np.abs(x / z).max() <= tangent * 4 / 3 and np.abs(y / z).max() <= tangent
    # ... and fills it in one direction.
    assert max(np.abs(x / z).max() / (4 / 3), np.abs(y / z).max()) > 0.85 * tangent


def test_the_view_is_from_above_at_an_angle() -> None:
    xyz, normal, _ = room()
    camera = choose_camera(xyz, normal, None, aspect=1.0)
    back = camera.eye - camera.target
    assert np.degrees(np.arcsin(back[2] / np.linalg.norm(back))) == pytest.approx(ELEVATION_DEG)


def test_the_view_shows_the_corner_with_most_classes() -> None:
    xyz, normal, sides = room()
    # Classes only on the two walls at the upper end of x and y: these must be the far ones.
    train_index = np.where((sides == 1) | (sides == 3), np.arange(len(sides)) % 7, -1)
    eye = choose_camera(xyz, normal, train_index, aspect=1.0).eye
    assert eye[0] < SIZE[0] / 2 and eye[1] < SIZE[1] / 2


def test_oriented_normals_take_away_the_ceiling_and_the_near_walls_only() -> None:
    xyz, normal, sides = room()
    drawn = front_of(xyz, normal, np.array([12.0, 10.0, 9.0]))
    assert set(sides[drawn]) == {0, 2, FLOOR}


def test_without_normals_the_lid_and_the_near_walls_are_cut_by_their_place() -> None:
    xyz, _, sides = room(20)
    drawn = front_of(xyz, None, np.array([12.0, 10.0, 9.0]))
    assert CEILING not in sides[drawn]
    assert (sides[drawn] == FLOOR).sum() > 0.9 * (sides == FLOOR).sum()
    near, far = [1, 3], [0, 2]
    assert np.isin(sides[drawn], near).sum() < 0.15 * np.isin(sides, near).sum()
    assert np.isin(sides[drawn], far).sum() > 0.7 * np.isin(sides, far).sum()


def test_normals_of_random_sign_are_recognised() -> None:
    xyz, normal, _ = room()
    assert are_oriented(xyz, normal)
    sign = np.random.default_rng(0).choice([-1, 1], (len(xyz), 1))
    assert not are_oriented(xyz, normal * sign)


def test_a_ceiling_is_found_and_open_ground_has_none() -> None:
    xyz, _, sides = room()
    lid = ceiling_height_m(xyz)
    assert lid is not None and 2.0 < lid < 2.5
    assert ceiling_height_m(xyz[sides != CEILING]) is None
    assert ceiling_height_m(xyz[:0]) is None
