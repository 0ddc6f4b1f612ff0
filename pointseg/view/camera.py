"""Where to look from: a three-quarter view into a room that shows as many classes as possible."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.view.surface import faces_camera, room_yaw_deg

Floats = npt.NDArray[np.floating[Any]]

ELEVATION_DEG = 42.0
FIELD_OF_VIEW_DEG = 32.0
#: Views from the four corners of a room, a little off the diagonal so that no wall edge is hidden.
CORNERS_DEG = (38.0, 128.0, 218.0, 308.0)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; +Z of the world is up in the picture.

    Args:
        eye: (3,) position in metres.
        target: (3,) point in the middle of the picture.
        fov_deg: vertical field of view.
    """

    eye: Floats
    target: Floats
    fov_deg: float = FIELD_OF_VIEW_DEG

    @cached_property
    def axes(self) -> Floats:
        """(3, 3) rows: right, down, forward of the camera, in world coordinates."""
        forward = _unit(self.target - self.eye)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        # Straight from above there is no "up" left in the picture; take north.
        right = _unit(right) if np.linalg.norm(right) > 1e-6 else np.array([1.0, 0.0, 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def to_camera(self, xyz_m: Floats) -> Floats:
        """(P, 3) world positions -> (P, 3) right, down, forward in metres."""
        return (xyz_m - self.eye) @ self.axes.T

    def focal_px(self, height_px: int) -> float:
        return height_px / 2 / float(np.tan(np.radians(self.fov_deg) / 2))


def choose_camera(
    xyz_m: Floats, normal: Floats | None, train_index: npt.NDArray[np.int64] | None, aspect: float
) -> Camera:
    """The three-quarter view, of four, that shows most classes; most surface where there are no labels.

    Args:
        xyz_m: (P, 3) positions; a few ten thousand are enough.
        normal: (P, 3) consistently oriented normals, or None.
        train_index: (P,) classes, negative where unknown, or None.
        aspect: width over height of the picture.
    """
    yaw = room_yaw_deg(xyz_m[:, :2])
    cameras = [_framed(xyz_m, normal, yaw + corner, aspect) for corner in CORNERS_DEG]
    scores = [_visible(camera, xyz_m, normal, train_index, aspect) for camera in cameras]
    return cameras[scores.index(max(scores))]


def _framed(xyz_m: Floats, normal: Floats | None, azimuth_deg: float, aspect: float) -> Camera:
    """A camera in this direction that just holds everything that shows its front."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(ELEVATION_DEG)
    back = np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    target = (xyz_m.min(axis=0) + xyz_m.max(axis=0)).astype(np.float64) / 2
    extent = float(np.linalg.norm(np.ptp(xyz_m, axis=0))) or 1.0
    camera = Camera(target + 2 * extent * back, target)
    tangent = float(np.tan(np.radians(FIELD_OF_VIEW_DEG) / 2)) * 0.97
    # Centre and distance depend on each other through perspective; a few rounds settle both.
    for _ in range(4):
        shown = xyz_m if normal is None else xyz_m[faces_camera(xyz_m, normal, camera.eye)]
        points = (shown if len(shown) else xyz_m) - target
        x, y, z = (points @ camera.axes.T).T
        distance = max(np.max(np.abs(x) / (tangent * aspect) - z), np.max(np.abs(y) / tangent - z))
        depth = np.maximum(z + distance, 1e-3)
        shift_x = (np.max(x / depth) + np.min(x / depth)) / 2 * distance
        shift_y = (np.max(y / depth) + np.min(y / depth)) / 2 * distance
        target = target + shift_x * camera.axes[0] + shift_y * camera.axes[1]
        camera = Camera(target + max(distance, 0.1) * back, target)
    return camera


def _visible(
    camera: Camera,
    xyz_m: Floats,
    normal: Floats | None,
    train_index: npt.NDArray[np.int64] | None,
    aspect: float,
) -> tuple[int, int]:
    """Number of classes and of cells that are seen, by a coarse z-buffer."""
    height = 72
    width = int(height * aspect)
    rows = (
        np.arange(len(xyz_m)) if normal is None else np.flatnonzero(faces_camera(xyz_m, normal, camera.eye))
    )
    x, y, z = camera.to_camera(xyz_m[rows]).T
    focal = camera.focal_px(height)
    column = np.clip(focal * x / z + width / 2, 0, width - 1).astype(np.int64)
    line = np.clip(focal * y / z + height / 2, 0, height - 1).astype(np.int64)
    cell = line * width + column
    nearest_last = np.argsort(-z, kind="stable")
    front = np.full(width * height, -1, dtype=np.int64)
    front[cell[nearest_last]] = rows[nearest_last]
    seen = front[front >= 0]
    classes = 0 if train_index is None else len(np.unique(train_index[seen][train_index[seen] >= 0]))
    return classes, len(seen)


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
