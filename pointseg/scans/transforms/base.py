"""What every transform shares: the call, the coin of probability p, and draws from the caller's generator.

The generator is the device's own: of one seed a GPU draws other angles and other noise than a CPU, and one
kind of device the same ones always. (The normal numbers of a counter would differ in their last bits between
devices too: their logarithms do.) What follows from the points of a cloud is the same everywhere, the point
that stands for a voxel included: see counted_random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pointseg.config import Config
from pointseg.core.cloud import PointCloud


class Transform(Config, ABC):
    """A cloud in, a new cloud out; the input never changes. An empty cloud comes back as it is."""

    #: Whether points stay in their voxels up to one common shift, so that it may follow ``voxelize``.
    keeps_grid: ClassVar[bool] = False
    #: Whether evaluation applies it too: a normalisation, not an augmentation.
    at_eval: ClassVar[bool] = False

    def __call__(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        """Transform a cloud.

        Args:
            cloud: the points, P of them.
            generator: source of all randomness; on the cloud's device.
        """
        return self.apply(cloud, generator) if cloud.num_points else cloud

    @abstractmethod
    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        """The transform itself, for a cloud with at least one point."""


class RandomTransform(Transform):
    """A transform that happens with probability ``p``."""

    p: float = Field(default=1.0, ge=0.0, le=1.0)

    def __call__(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        happens = coin(self.p, generator)
        return self.apply(cloud, generator) if happens and cloud.num_points else cloud


def coin(p: float, generator: torch.Generator) -> bool:
    """True with probability ``p``; one number is drawn whatever ``p`` is, so that later draws do not move."""
    return bool(torch.rand((), generator=generator, device=generator.device) < p)


def uniform(low: float, high: float, generator: torch.Generator, size: tuple[int, ...] = ()) -> Tensor:
    """Float32 numbers from [low, high) on the generator's device."""
    return low + (high - low) * torch.rand(size, generator=generator, device=generator.device)


def normal(size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal float32 numbers on the generator's device."""
    return torch.randn(size, generator=generator, device=generator.device)
