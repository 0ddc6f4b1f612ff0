"""ClassStatistics: what losses and samplers may know of the training set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClassStatistics:
    """Class counts of the training split.

    Args:
        points: (K,) int64 labelled points (vertices or pixels) of each class.
        samples: (K,) int64 scenes or images that contain each class.
        num_samples: number of scenes or images.
    """

    points: Tensor
    samples: Tensor
    num_samples: int

    @property
    def num_classes(self) -> int:
        return self.points.shape[0]

    @classmethod
    def uniform(cls, num_classes: int) -> ClassStatistics:
        """Statistics of a balanced set, for uses outside a training run."""
        ones = torch.ones(num_classes, dtype=torch.int64)
        return cls(ones, ones, 1)
