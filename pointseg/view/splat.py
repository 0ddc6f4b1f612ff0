"""A small point renderer in numpy: oriented discs, z-buffer, light, depth shading, antialiasing.

The geometry is drawn once into a buffer that says which point each pixel shows; every panel of a picture
then only looks up its colours. No window system, no graphics driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pointseg.view.camera import Camera

Floats = npt.NDArray[np.floating[Any]]

#: Pixels are computed this many times finer in both directions, then averaged.
SUPERSAMPLING = 2
MAX_RADIUS_PX = 24
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Drawing:
    """Geometry as seen by a camera, without colours.

    Args:
        point: (h, w) int64 index of the point that each fine pixel shows, -1 for background.
        shade: (h, w) float32 factor of its colour, about 0.4 to 1.1.
    """

    point: npt.NDArray[np.int64]
    shade: npt.NDArray[np.float32]

    def paint(
        self, color: npt.NDArray[np.uint8], background: tuple[int, int, int], *, shading: float = 1.0
    ) -> npt.NDArray[np.uint8]:
        """(P, 3) colours of the points -> (H, W, 3) picture.

        Args:
            color: (P, 3) uint8.
            background: colour where there is no point.
            shading: how much of the light and the depth edges to apply, 0..1.
        """
        is_point = self.point >= 0
        shade = 1 + shading * (self.shade[is_point] - 1)
        fine = np.empty((*self.point.shape, 3), dtype=np.float32)
        fine[:] = background
        fine[is_point] = color[self.point[is_point]] * shade[:, None]
        height, width = (side // SUPERSAMPLING for side in self.point.shape)
        blocks = fine.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
        return np.clip(blocks.mean(axis=(1, 3)), 0, 255).astype(np.uint8)


def draw(
    xyz_m: Floats, normal: Floats | None, radius_m: Floats, camera: Camera, size_px: tuple[int, int]
) -> Drawing:
    """Draw points as discs that lie in their surface.

    Args:
        xyz_m: (P, 3) positions.
        normal: (P, 3) unit normals of any orientation (zero = undefined), or None: discs face the camera.
        radius_m: (P,) radius of each disc.
        camera: where to look from.
        size_px: width and height of the picture.
    """
    width, height = (side * SUPERSAMPLING for side in size_px)
    point, depth = _rasterize(xyz_m, normal, radius_m, camera, width, height)
    shade = _light(point, normal, camera) * _depth_shading(depth)
    return Drawing(point, shade.astype(np.float32))


def disc_radius_m(xyz_m: Floats, neighbors: int = 6) -> npt.NDArray[np.float32]:
    """(P,) radius at which discs just close the surface: from the distance of the nearest neighbours."""
    if len(xyz_m) <= neighbors:
        return np.full(len(xyz_m), 0.02, dtype=np.float32)
    distance, _ = cKDTree(xyz_m).query(xyz_m, k=neighbors + 1)
    radius = distance[:, 1:].mean(axis=1)
    typical = float(np.median(radius)) or 0.01
    # Lonely points stay small, and vertices that share one place do not vanish.
    return (0.85 * np.clip(radius, 0.5 * typical, 2.0 * typical)).astype(np.float32)


def _rasterize(
    xyz_m: Floats, normal: Floats | None, radius_m: Floats, camera: Camera, width: int, height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Which point each pixel shows (-1: none), and how far it is (inf: none)."""
    center = camera.to_camera(xyz_m).astype(np.float32)
    focal = camera.focal_px(height)
    in_front = np.flatnonzero(center[:, 2] > 0.05)
    radius_px = np.zeros(len(xyz_m), dtype=np.float32)
    radius_px[in_front] = np.clip(focal * radius_m[in_front] / center[in_front, 2], 0.75, MAX_RADIUS_PX)
    facing = _facing(center, normal, camera)
    buffer = np.full(width * height, _EMPTY, dtype=np.uint64)
    reach = np.ceil(radius_px).astype(np.int64)
    for size in np.unique(reach[in_front]):
        rows = in_front[reach[in_front] == size]
        # The radius in metres follows the clipped one in pixels, so that far points still cover a pixel.
        radius = radius_px[rows] * center[rows, 2] / focal
        _splat(buffer, rows, center[rows], facing[rows], radius, int(size), focal, width, height)
    covered = buffer != _EMPTY
    point = np.where(covered, (buffer & np.uint64(0xFFFFFFFF)).astype(np.int64), -1)
    depth = np.where(covered, (buffer >> np.uint64(32)).astype(np.uint32).view(np.float32), np.inf)
    return point.reshape(height, width), depth.astype(np.float32).reshape(height, width)


def _splat(
    buffer: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int64],
    center: npt.NDArray[np.float32],
    facing: npt.NDArray[np.float32],
    radius: npt.NDArray[np.float32],
    size: int,
    focal: float,
    width: int,
    height: int,
) -> None:
    """Put discs of about one size into the buffer, one pixel offset at a time for all discs."""
    column = np.floor(focal * center[:, 0] / center[:, 2] + width / 2).astype(np.int64)
    line = np.floor(focal * center[:, 1] / center[:, 2] + height / 2).astype(np.int64)
    plane = np.einsum("pd,pd->p", facing, center)
    low_bits = rows.astype(np.uint64)
    for dy in range(-size, size + 1):
        for dx in range(-size, size + 1):
            if dx * dx + dy * dy > (size + 0.5) ** 2:
                continue
            x, y = column + dx, line + dy
            ray_x = ((x + 0.5 - width / 2) / focal).astype(np.float32)
            ray_y = ((y + 0.5 - height / 2) / focal).astype(np.float32)
            along = facing[:, 0] * ray_x + facing[:, 1] * ray_y + facing[:, 2]
            depth = plane / along
            away = (
                (depth * ray_x - center[:, 0]) ** 2
                + (depth * ray_y - center[:, 1]) ** 2
                + (depth - center[:, 2]) ** 2
            ) / radius**2
            hit = (away <= 1) & (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth > 0)
            # Discs are slightly domed: of two in one plane the one with the nearer centre wins, so
            # neighbours meet half-way instead of fighting over rounding errors.
            key = (depth + 0.5 * radius * away)[hit].astype(np.float32).view(np.uint32).astype(np.uint64)
            np.minimum.at(buffer, y[hit] * width + x[hit], (key << np.uint64(32)) | low_bits[hit])


def _facing(
    center: npt.NDArray[np.float32], normal: Floats | None, camera: Camera
) -> npt.NDArray[np.float32]:
    """(P, 3) unit normals in camera axes, turned to the viewer; a little towards him where seen edge-on."""
    toward = -center / np.maximum(np.linalg.norm(center, axis=1, keepdims=True), 1e-9)
    if normal is None:
        return toward
    turned = (normal @ camera.axes.T).astype(np.float32)
    turned *= np.where(np.einsum("pd,pd->p", turned, toward) < 0, -1, 1).astype(np.float32)[:, None]
    # A disc seen edge-on covers no pixel and leaves holes along every outline.
    tilted = turned + np.float32(0.35) * toward
    return tilted / np.maximum(np.linalg.norm(tilted, axis=1, keepdims=True), 1e-9)


def _light(point: npt.NDArray[np.int64], normal: Floats | None, camera: Camera) -> npt.NDArray[np.float32]:
    """Brightness by the angle of the surface: a soft sky, and a lamp over the viewer's left shoulder."""
    if normal is None:
        return np.ones(point.shape, dtype=np.float32)
    right, down, forward = camera.axes
    lamp = -forward - 0.6 * down - 0.35 * right
    lamp = lamp / np.linalg.norm(lamp)
    toward = normal * np.sign(normal @ -forward + 1e-9)[:, None]
    brightness = 0.62 + 0.36 * np.clip(toward @ lamp, 0, 1) + 0.10 * np.clip(toward[:, 2], 0, 1)
    brightness[np.abs(normal).sum(axis=1) < 1e-6] = 0.9
    return np.where(point >= 0, brightness[point], 1.0).astype(np.float32)


def _depth_shading(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Darken what lies just behind an edge, which makes depth readable without any normal.

    Source: Boucheny, Interactive scientific visualization of large datasets (eye-dome lighting), 2009.
    """
    far = np.float32(1e6)
    logarithm = np.log2(np.where(np.isfinite(depth), depth, far))
    response = np.zeros_like(logarithm)
    directions = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
    for reach, weight in ((1, 0.5), (3, 0.3), (8, 0.2)):
        padded = np.pad(logarithm, reach, mode="edge")
        for dy, dx in directions:
            top, left = reach + dy * reach, reach + dx * reach
            neighbor = padded[top : top + depth.shape[0], left : left + depth.shape[1]]
            # A drop of more than 4 % of the distance is an outline; deeper makes it no darker.
            response += np.float32(weight) * np.clip(logarithm - neighbor, 0, 0.06)
    shade = np.exp(-5.0 * response)
    return np.where(np.isfinite(depth), np.maximum(shade, 0.35), 1.0).astype(np.float32)
