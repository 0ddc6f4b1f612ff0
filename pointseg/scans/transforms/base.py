"""What every transform shares: the call, the coin of probability p, and draws from the caller's generator.

The generator is one of the host, wherever the cloud is: coins, angles, factors and centres are numbers that
Python knows, so that no transform waits for a device, and of one seed they are the same on all devices. Noise
of whole clouds is drawn where the cloud is, from a generator of the device whose seed the host draws: a GPU
sees other noise than a CPU. (Made from a counter it would still differ in its last bits: the logarithms of
devices do.) What follows from the points of a cloud is the same everywhere, the point that stands for a voxel
included: see counted_random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pointseg.config import Config
from pointseg.core.cloud import PointCloud
from pointseg.core.transfer import to_device


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
            generator: source of all randomness; one of the host.
        """
        return self.apply(cloud, generator) if cloud.num_points else cloud

    @abstractmethod
    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        """The transform itself, for a cloud with at least one point."""


class RandomTransform(Transform):
    """A transform that happens with probability ``p``.

    Args:
        p: probability that it happens.
    """

    p: float = Field(default=1.0, ge=0.0, le=1.0)

    def __call__(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        happens = coin(self.p, generator)
        return self.apply(cloud, generator) if happens and cloud.num_points else cloud


def coin(p: float, generator: torch.Generator) -> bool:
    """True with probability ``p``; one number is drawn whatever ``p`` is, so that later draws do not move."""
    return float(torch.rand((), generator=generator)) < p


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def uniform_row(low: float, high: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """(3,) float32 numbers from [low, high), one for each axis or channel."""
    return to_device(low + (high - low) * torch.rand(3, generator=generator), device)


def normal(size: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal float32 numbers on a device."""
    return torch.randn(size, generator=of_device(generator, device), device=device)


def of_device(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator of the device whose seed is drawn from one of the host."""
    seed = torch.randint(2**62, (), generator=generator, dtype=torch.int64)
    return torch.Generator(device).manual_seed(int(seed))
