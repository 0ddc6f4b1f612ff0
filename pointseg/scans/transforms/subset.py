"""Transforms that keep some of the points: dropout and crops. The rows that stay keep their order."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from pointseg.core.cloud import PointCloud
from pointseg.core.rows import IGNORE
from pointseg.scans.transforms.base import RandomTransform, of_device

#: Where a crop is: about a random point, about a random point of a random class of the cloud, or in the
#: middle of the bounding box.
CropMode = Literal["random", "class_balanced", "center"]


class RandomDropout(RandomTransform):
    """Drop a share ``ratio`` of the points, drawn without replacement; at least one point stays."""

    type: Literal["random_dropout"] = "random_dropout"
    ratio: float = Field(default=0.2, ge=0.0, lt=1.0)

    keeps_grid: ClassVar[bool] = True

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        keep = max(1, int(cloud.num_points * (1.0 - self.ratio)))
        rows = torch.randperm(
            cloud.num_points, generator=of_device(generator, cloud.device), device=cloud.device
        )[:keep]
        return cloud.select(rows.sort().values)


class SphereCrop(RandomTransform):
    """Keep the ``max_points`` points nearest to a centre; a cloud with no more than that stays whole.

    The centre is a random point (``mode: random``), a random point of a class that is drawn first, every
    class of the cloud alike (``class_balanced``: what is rare is seen more often, with what surrounds it), or
    the middle of the bounding box (``center``). After ``voxelize`` in a list it counts voxels, before it
    points.
    """

    type: Literal["sphere_crop"] = "sphere_crop"
    max_points: int = Field(ge=1)
    mode: CropMode = "random"

    keeps_grid: ClassVar[bool] = True

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        if cloud.num_points <= self.max_points:
            return cloud
        distance = (cloud.xyz_m - crop_center(cloud, self.mode, generator)).square().sum(dim=1)
        rows = distance.topk(self.max_points, largest=False, sorted=False).indices
        return cloud.select(rows.sort().values)


class CuboidCrop(RandomTransform):
    """Keep the points in an upright box of ``size_m`` (x, y) metres and unlimited height about a centre.

    The centre is chosen as in :class:`SphereCrop`. Meant for outdoor tiles, which are wide and flat; a random
    centre keeps at least its own point.
    """

    type: Literal["cuboid_crop"] = "cuboid_crop"
    size_m: tuple[PositiveFloat, PositiveFloat]
    mode: CropMode = "random"

    keeps_grid: ClassVar[bool] = True

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        offset = (cloud.xyz_m - crop_center(cloud, self.mode, generator))[:, :2].abs()
        inside = (offset[:, 0] <= self.size_m[0] / 2) & (offset[:, 1] <= self.size_m[1] / 2)
        # The host waits once for their number; a mask would be asked for it by every field of the cloud.
        return cloud.select(torch.nonzero(inside).squeeze(1))


def crop_center(cloud: PointCloud, mode: CropMode, generator: torch.Generator) -> Tensor:
    """(3,) the place of a crop; see :data:`CropMode`."""
    if mode == "random":
        return cloud.xyz_m[int(torch.randint(cloud.num_points, (), generator=generator))]
    if mode == "class_balanced":
        return cloud.xyz_m[_class_balanced_row(cloud.label, float(torch.rand((), generator=generator)))]
    low, high = torch.aminmax(cloud.xyz_m, dim=0)
    return (low + high) / 2


def _class_balanced_row(label: Tensor, draw: float) -> Tensor:
    """() the row that a number from [0, 1) falls upon where every class has the same share of the interval,
    and every row of a class the same of that. Rows without a class have none, unless there are no others.

    The place stays on the device: nothing waits for it.
    """
    ordered = label.sort().values
    rows = torch.searchsorted(ordered, label, right=True) - torch.searchsorted(ordered, label)
    share = torch.where(label == IGNORE, 0.0, 1.0 / rows.double())
    share = torch.where(share.any(), share, 1.0)
    edge = share.cumsum(dim=0)
    return torch.searchsorted(edge, draw * edge[-1:], right=True).clamp(max=len(label) - 1).squeeze(0)
