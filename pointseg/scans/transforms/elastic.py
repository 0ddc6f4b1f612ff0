"""Elastic distortion: smooth random displacement, as if the room were made of rubber."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn import functional

from pointseg.core.cloud import PointCloud
from pointseg.scans.transforms.base import RandomTransform, normal

#: Most nodes of a displacement grid: 3 float32 each, so 0.8 GB with its blurred copy.
MAX_NODES = 2**25


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
        for granularity_m, magnitude_m in self.distortions:
            low, high = torch.aminmax(xyz_m, dim=0)
            # One node of margin on every side, so that no point lies outside.
            shape = [int(n) + 3 for n in ((high - low) / granularity_m).floor().tolist()]
            if shape[0] * shape[1] * shape[2] > MAX_NODES:
                size = " x ".join(f"{d:.0f}" for d in (high - low).tolist())
                raise ValueError(
                    f"{cloud.name}: elastic distortion of {size} m with a granularity of {granularity_m} m "
                    f"needs a grid of more than {MAX_NODES} nodes. Crop before it (sphere_crop, cuboid_crop) "
                    "or raise the granularity."
                )
            field = smooth_noise((shape[0], shape[1], shape[2]), generator)
            position = (xyz_m - low) / granularity_m + 1.0
            xyz_m = xyz_m + magnitude_m * trilinear(field, position)
        return cloud.with_(xyz_m=xyz_m)


def smooth_noise(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """(3, X, Y, Z) Gaussian noise after two 3 x 3 x 3 means; outside the grid it counts as zero."""
    field = normal((1, 3, *shape), generator)
    for _ in range(2):
        field = functional.avg_pool3d(field, kernel_size=3, stride=1, padding=1, count_include_pad=True)
    return field[0]


def trilinear(field: Tensor, position: Tensor) -> Tensor:
    """Read a (C, X, Y, Z) field between its nodes at (P, 3) positions counted in nodes -> (P, C)."""
    size = torch.tensor(field.shape[1:], dtype=position.dtype, device=position.device)
    # grid_sample counts from -1 to 1 and wants the last axis of the field first.
    grid = (2.0 * position / (size - 1.0) - 1.0).flip(1)
    values = functional.grid_sample(
        field[None], grid[None, :, None, None, :], mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return values[0, :, :, 0, 0].T
