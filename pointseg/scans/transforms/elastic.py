"""Elastic distortion: smooth random displacement, as if the room were made of rubber."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional

from pointseg.core.cloud import PointCloud, bounding_box, widened
from pointseg.core.transfer import to_device
from pointseg.scans.transforms.base import RandomTransform, normal

#: Most nodes of a displacement grid: 3 float32 each, so 0.8 GB with its blurred copy.
MAX_NODES = 2**25
#: Where the blurred noise is cut, one number in a thousand million: at six of its standard deviations, each
#: (19 / 81)^1.5. So the host knows how far a point may have gone.
FARTHEST = 0.7


class Elastic(RandomTransform):
    """Move points by smoothed Gaussian noise on a grid, for each (granularity_m, magnitude_m) in turn.

    Noise of unit variance at nodes ``granularity_m`` apart is blurred twice with a 3 x 3 x 3 mean and read
    between the nodes trilinearly; a displacement is ``magnitude_m`` times that, typically a tenth of
    ``magnitude_m``. Normals stay as they are, as in the public code.

    Args:
        distortions: pairs (granularity_m, magnitude_m) in metres, applied one after the other.

    Raises:
        ValueError: if a cloud is so large that the grid would not fit in memory.

    Source: Simard et al., ICDAR 2003, in the form of SparseConvNet, MinkowskiEngine and Pointcept.
    """

    type: Literal["elastic"] = "elastic"
    p: float = Field(default=0.95, ge=0.0, le=1.0)
    distortions: tuple[tuple[PositiveFloat, float], ...] = ((0.2, 0.4), (0.8, 1.6))

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        xyz_m = cloud.xyz_m
        # All that the host asks the device; the box of the points after a distortion follows from it.
        box_m = cloud.box_m or bounding_box(xyz_m)
        assert box_m is not None
        low = to_device(torch.tensor(box_m[0], dtype=xyz_m.dtype), cloud.device)
        extent_m = [top - bottom for bottom, top in zip(*box_m, strict=True)]
        moved_m = 0.0
        for granularity_m, magnitude_m in self.distortions:
            # One node of margin on every side, and as many as points may have left the box by.
            margin = 1 + math.ceil(moved_m / granularity_m)
            shape = [math.floor(edge_m / granularity_m) + 1 + 2 * margin for edge_m in extent_m]
            if shape[0] * shape[1] * shape[2] > MAX_NODES:
                size = " x ".join(f"{edge_m:.0f}" for edge_m in extent_m)
                raise ValueError(
                    f"{cloud.name}: elastic distortion of {size} m with a granularity of {granularity_m} m "
                    f"needs a grid of more than {MAX_NODES} nodes. Crop before it (sphere_crop, cuboid_crop) "
                    "or raise the granularity."
                )
            field = smooth_noise((shape[0], shape[1], shape[2]), generator, cloud.device)
            field = field.clamp(-FARTHEST, FARTHEST)
            position = (xyz_m - low) / granularity_m + margin
            xyz_m = xyz_m + magnitude_m * trilinear(field, position)
            moved_m += FARTHEST * abs(magnitude_m)
        # Positions are rounded to float32.
        moved_m += 1e-6 * max(abs(value) for corner in box_m for value in corner)
        return cloud.with_(xyz_m=xyz_m, box_m=widened(box_m, moved_m))


def smooth_noise(shape: tuple[int, int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    """(3, X, Y, Z) Gaussian noise after two 3 x 3 x 3 means; outside the grid it counts as zero."""
    field = normal((1, 3, *shape), generator, device)
    for _ in range(2):
        field = functional.avg_pool3d(field, kernel_size=3, stride=1, padding=1, count_include_pad=True)
    return field[0]


def trilinear(field: Tensor, position: Tensor) -> Tensor:
    """Read a (C, X, Y, Z) field between its nodes at (P, 3) positions counted in nodes -> (P, C)."""
    size = to_device(torch.tensor(field.shape[1:], dtype=position.dtype), position.device)
    # grid_sample counts from -1 to 1 and wants the last axis of the field first.
    grid = (2.0 * position / (size - 1.0) - 1.0).flip(1)
    values = functional.grid_sample(
        field[None], grid[None, :, None, None, :], mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return values[0, :, :, 0, 0].T
