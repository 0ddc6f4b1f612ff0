"""A classifier that is not learned: class vectors are a simplex, all equally far from each other."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.simplex import simplex_etf
from pointseg.models.heads import Head, HeadConfig


class ETFHead(Head):
    """logits = scale * cos(P feature, w_c) with the fixed simplex rows w_c and a learned linear map P.

    Args:
        in_channels: D.
        num_classes: K.
        embedding_dim: dimensions of P feature, at least K - 1; None takes max(D, K - 1).
        scale: factor of the cosine. Where the loss is dot_regression it only shapes confidences.

    Raises:
        ValueError: if ``embedding_dim`` is too small for the simplex.

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022; the map P is an
    addition, because networks for point clouds end with fewer channels than there are classes.
    """

    classifier: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        embedding_dim: int | None = None,
        scale: float = 30.0,
    ) -> None:
        super().__init__()
        self.embedding_dim = max(in_channels, num_classes - 1) if embedding_dim is None else embedding_dim
        if self.embedding_dim < num_classes - 1:
            raise ValueError(
                f"A simplex of {num_classes} classes needs at least {num_classes - 1} dimensions; "
                f"head.embedding_dim is {embedding_dim}. Raise it, or leave it out."
            )
        self.scale = scale
        self.embed = nn.Linear(in_channels, self.embedding_dim)
        self.register_buffer("classifier", simplex_etf(num_classes, self.embedding_dim))

    def forward(
        self, features: Tensor, labels: Tensor, progress: float, present: Tensor | None = None
    ) -> Prediction:
        embedded = self.embed(features)
        cosine = F.linear(F.normalize(embedded, dim=1), self.classifier.to(embedded.dtype))
        return Prediction.of(self.scale * cosine, embedded, self.classifier)


class ETFHeadConfig(HeadConfig):
    """Options of :class:`ETFHead`."""

    type: Literal["etf"] = "etf"
    embedding_dim: int | None = Field(default=None, ge=1)
    scale: float = Field(default=30.0, gt=0)

    def build(self, in_channels: int, num_classes: int) -> ETFHead:
        return ETFHead(in_channels, num_classes, embedding_dim=self.embedding_dim, scale=self.scale)
