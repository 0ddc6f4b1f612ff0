"""A classifier of directions: logits are cosines between features and class vectors, times a scale."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.models.heads import Head, HeadConfig


class CosineHead(Head):
    """logits = scale * cos(feature, w_c): no class gains by the length of its vector or by a bias.

    Args:
        in_channels: D.
        num_classes: K.
        scale: factor of the cosine; 30 in LDAM, 20 in Seesaw.
    """

    def __init__(self, in_channels: int, num_classes: int, *, scale: float = 30.0) -> None:
        super().__init__()
        self.scale = scale
        # Of length about 1, so that weight decay and learning rate turn it as they turn a linear classifier.
        self.weight = nn.Parameter(torch.randn(num_classes, in_channels) / in_channels**0.5)

    def forward(
        self, features: Tensor, labels: Tensor, progress: float, present: Tensor | None = None
    ) -> Prediction:
        cosine = F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))
        return Prediction.of(self.scale * cosine, features, self.weight)


class CosineHeadConfig(HeadConfig):
    """Options of :class:`CosineHead`."""

    type: Literal["cosine"] = "cosine"
    scale: float = Field(default=30.0, gt=0)

    def build(self, in_channels: int, num_classes: int) -> CosineHead:
        return CosineHead(in_channels, num_classes, scale=self.scale)
