"""The point renderer: what is in front hides what is behind; discs close a surface."""

import numpy as np
import pytest

from pointseg.view.camera import Camera
from pointseg.view.splat import disc_radius_m, draw

ABOVE = Camera(np.array([0.0, 0.0, 10.0]), np.zeros(3))
WHITE = (255, 255, 255)


def square(z: float, half: float = 1.0, step: float = 0.05) -> np.ndarray:
    line = np.arange(-half, half + step / 2, step)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1)


UP = np.array([0.0, 0.0, 1.0])


def test_the_nearer_of_two_surfaces_is_seen() -> None:
    xyz = np.concatenate([square(0.0), square(1.0, half=0.5)])
    drawing = draw(xyz, np.tile(UP, (len(xyz), 1)), np.full(len(xyz), 0.05), ABOVE, (64, 64))
    is_upper = drawing.point >= len(square(0.0))
    middle = drawing.point.shape[0] // 2
    assert is_upper[middle, middle]
    # Half its side, with the radius of a disc, at 9 m; the picture shows tan(16 degrees) to each side.
    expected = ((0.5 + 0.05) / 9 / np.tan(np.radians(16))) ** 2
    assert is_upper.mean() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("tilt_deg", [0, 50, 75])
def test_discs_of_the_own_radius_leave_no_hole_in_a_surface(tilt_deg: int) -> None:
    angle = np.radians(tilt_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    xyz = square(0.0, half=2.0) @ turn.T
    normal = np.tile(turn @ UP, (len(xyz), 1))
    drawing = draw(xyz, normal, disc_radius_m(xyz), ABOVE, (96, 96))
    inner = drawing.point[88:104, 80:112]
    assert (inner >= 0).all()


def test_a_single_far_point_still_covers_a_pixel() -> None:
    drawing = draw(np.zeros((1, 3)), None, np.array([1e-5]), ABOVE, (32, 32))
    assert (drawing.point == 0).any()


def test_what_lies_behind_the_camera_is_not_drawn() -> None:
    drawing = draw(np.array([[0.0, 0.0, 20.0]]), None, np.array([1.0]), ABOVE, (32, 32))
    assert (drawing.point == -1).all()


def test_painting_gives_each_pixel_the_colour_of_its_point_and_the_rest_the_background() -> None:
    xyz = square(0.0, half=0.5)
    drawing = draw(xyz, None, disc_radius_m(xyz), ABOVE, (64, 48))
    picture = drawing.paint(np.tile(np.array([200, 0, 0], np.uint8), (len(xyz), 1)), WHITE)
    assert picture.shape == (48, 64, 3)
    assert tuple(picture[0, 0]) == WHITE
    assert picture[24, 32, 0] > 150 and picture[24, 32, 1:].max() == 0


def test_radius_follows_the_spacing_and_is_bounded_for_lonely_points() -> None:
    dense = square(0.0)
    radius = disc_radius_m(np.concatenate([dense, [[50.0, 0, 0]]]))
    assert 0.03 < np.median(radius) < 0.07
    assert radius[-1] <= 2 * 0.85 * 0.07
