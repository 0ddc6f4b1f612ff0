"""From points to voxels: integer coordinates, one row for each occupied voxel, and the way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pointseg.config import Config
from pointseg.core.cloud import Box, PointCloud, bounding_box
from pointseg.core.counted_random import random_below
from pointseg.core.rows import IGNORE

FeatureChoice = Literal["point", "mean"]
LabelChoice = Literal["point", "majority"]


class Voxelize(Config):
    """The place in a list of transforms where points become voxels, and how.

    Args:
        features: a voxel takes position, colour and normal of one of its points (``point``: a random one in
            training), or their mean (``mean``).
        label: a voxel takes the label of that point (``point``), or the most frequent label of its points
            (``majority``: unlabelled points have no vote, the smaller index wins a tie).
    """

    type: Literal["voxelize"] = "voxelize"
    features: FeatureChoice = "point"
    label: LabelChoice = "point"


@dataclass(frozen=True)
class VoxelGroups:
    """P points sorted into M voxels.

    Args:
        coords: (M, 3) int32 unique voxel coordinates, sorted by x, then y, then z.
        inverse: (P,) int64 voxel of each point.
        order: (P,) int64 points sorted by voxel; within a voxel they keep their order.
        start: (M,) int64 where in ``order`` a voxel begins.
        count: (M,) int64 points in a voxel, at least 1.
    """

    coords: Tensor
    inverse: Tensor
    order: Tensor
    start: Tensor
    count: Tensor

    @property
    def num_voxels(self) -> int:
        return self.coords.shape[0]

    def random_point(self, seed: int) -> Tensor:
        """(M,) int64 a uniformly drawn point of each voxel: of a seed the same one on every device."""
        return self.order[self.start + random_below(self.count, seed)]

    def nth_point(self, turn: int) -> Tensor:
        """(M,) int64 point number ``turn`` of each voxel, counted round its points."""
        return self.order[self.start + turn % self.count]

    def mean(self, values: Tensor) -> Tensor:
        """(P, C) values of points -> (M, C) means over the voxels."""
        if not self.num_voxels:
            return values
        # Sorted segments and not index_add: the same sum in the same order every time, on a GPU as well. The
        # lengths are known to be right; to check them would ask the device twice.
        total = torch.segment_reduce(values[self.order], "sum", lengths=self.count, axis=0, unsafe=True)
        return total / self.count[:, None]

    def majority(self, label: Tensor) -> Tensor:
        """(P,) labels of points -> (M,) most frequent label, IGNORE where no point is labelled."""
        # A bound on train indices that need not be asked for; voxels take the other 40 bits.
        num_labels = 2**23
        last = num_labels - 1
        pair = (self.inverse * num_labels + torch.where(label == IGNORE, last, label)).sort().values
        voxel, label = pair // num_labels, pair % num_labels
        # The number of a point among those of its voxel and label: that of the last one is all their votes.
        place = torch.arange(len(pair), device=pair.device)
        is_first = functional.pad(pair[1:] != pair[:-1], (1, 0), value=True)
        votes = place - torch.where(is_first, place, 0).cummax(0).values + 1
        # One number for votes and label, the larger the better: there is no size to ask the device for.
        score = torch.where(label == last, 0, votes * num_labels + last - label)
        best = score.new_zeros(self.num_voxels).scatter_reduce_(0, voxel, score, "amax")
        return torch.where(best > 0, last - best % num_labels, IGNORE)


@dataclass(frozen=True)
class Voxels:
    """The voxels of one cloud.

    Args:
        coords: (M, 3) int32 unique coordinates ``floor(xyz_m / voxel_size_m)``, sorted by x, then y, then z.
        cloud: M rows, one for each voxel; ``vertex`` is that of the chosen point.
        inverse: (P,) int64 voxel of each point of the original cloud.
    """

    coords: Tensor
    cloud: PointCloud
    inverse: Tensor


def voxelize(
    cloud: PointCloud,
    voxel_size_m: float,
    *,
    features: FeatureChoice = "point",
    label: LabelChoice = "point",
    seed: int | None = None,
    turn: int = 0,
) -> Voxels:
    """One row for each voxel of ``voxel_size_m`` in which the cloud has a point.

    Args:
        cloud: P points.
        voxel_size_m: edge of a voxel in metres.
        features: ``point`` or ``mean``, see :class:`Voxelize`.
        label: ``point`` or ``majority``, see :class:`Voxelize`.
        seed: draws the point of each voxel; None takes point number ``turn`` of each, counted round.
        turn: see ``seed``; not used with one.

    Raises:
        ValueError: if the cloud is so wide that voxel coordinates overflow.
    """
    box_m = cloud.box_m or bounding_box(cloud.xyz_m)
    box = None if box_m is None else box_of_voxels(box_m, cloud, voxel_size_m)
    groups = group_by_voxel(voxel_coords(cloud.xyz_m, voxel_size_m), name=cloud.name, box=box)
    chosen = groups.nth_point(turn) if seed is None else groups.random_point(seed)
    rows = cloud.select(chosen)
    if features == "mean":
        rows = rows.with_(
            xyz_m=groups.mean(cloud.xyz_m),
            color=groups.mean(cloud.color),
            normal=functional.normalize(groups.mean(cloud.normal), dim=1),
        )
    if label == "majority":
        rows = rows.with_(label=groups.majority(cloud.label))
    return Voxels(groups.coords, rows, groups.inverse)


def voxel_coords(xyz_m: Tensor, voxel_size_m: float) -> Tensor:
    """(P, 3) int64 ``floor(xyz_m / voxel_size_m)``."""
    # In float64: a float32 quotient has no digits left for the voxel of a point a few kilometres away.
    return (xyz_m.double() / voxel_size_m).floor().long()


def box_of_voxels(box_m: Box, cloud: PointCloud, voxel_size_m: float) -> Box:
    """Bounds of the voxels of a cloud.

    Args:
        box_m: bounds of its points.
        cloud: what an error names and looks at.
        voxel_size_m: edge of a voxel in metres.

    Raises:
        ValueError: if a coordinate does not fit in int32, or is not a number.
    """
    place = [value / voxel_size_m for corner in box_m for value in corner]
    if not all(abs(value) < 2**31 for value in place):
        far = float(cloud.xyz_m.abs().max())
        raise ValueError(
            f"{cloud.name}: a coordinate of {far:g} m in voxels of {voxel_size_m} m does not fit in 32 bits. "
            "Expected metres near the origin: check the unit, subtract an offset or use larger voxels."
        )
    x, y, z, high_x, high_y, high_z = (float(math.floor(value)) for value in place)
    return (x, y, z), (high_x, high_y, high_z)


def group_by_voxel(coords: Tensor, *, name: str = "cloud", box: Box | None = None) -> VoxelGroups:
    """Sort points by their voxel.

    Args:
        coords: (P, 3) int64 voxel of each point, within int32.
        name: what an error calls the points.
        box: bounds of ``coords``, where some are known: to find them waits for the device.

    Raises:
        ValueError: if the bounding box has 2**63 voxels or more, too many to number.
    """
    if not coords.shape[0]:
        none = coords.new_empty(0)
        return VoxelGroups(coords.int(), none, none, none, none)
    box = box or bounding_box(coords)
    assert box is not None
    low_x, low_y, low_z = (int(value) for value in box[0])
    width_x, width_y, width_z = (int(high - low) + 1 for low, high in zip(*box, strict=True))
    if width_x * width_y * width_z >= 2**63:
        raise ValueError(
            f"{name}: the bounding box is {width_x} x {width_y} x {width_z} voxels, "
            "more than 64 bits can number. Check the unit (metres are expected), "
            "remove far outliers, or use larger voxels."
        )
    # One integer a voxel, in the order of (x, y, z): one sort, where unique(dim=0) would compare rows.
    x, y, z = coords.unbind(dim=1)
    key, order = (((x - low_x) * width_y + (y - low_y)) * width_z + (z - low_z)).sort(stable=True)
    key, inverse_sorted, count = key.unique_consecutive(return_inverse=True, return_counts=True)
    inverse = torch.empty_like(order)
    inverse[order] = inverse_sorted
    start = count.cumsum(0) - count
    return VoxelGroups(coords[order[start]].int(), inverse, order, start, count)
