"""Dot-regression: pull each feature onto its class vector of a fixed simplex classifier, and push nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import labelled_rows


class DotRegression(LossTerm):
    """Mean over rows of (cos(feature, w_y) - 1)^2 / 2: the published loss with all norms fixed to one.

    Args:
        ignore_index: label of rows to leave out.

    Shapes: features (N, D) or (B, D, H, W), labels (N,) or (B, H, W), class vectors (K, D); returns a scalar,
    0 and connected to the features if there is no labelled row.

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022.
    """

    linear = True

    def __init__(self, *, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, class_vectors: Tensor) -> Tensor:
        if features.ndim < 2 or features.shape[1] != class_vectors.shape[1]:
            raise ValueError(
                f"Features and class vectors must have the same dimension; got {tuple(features.shape)} and "
                f"{tuple(class_vectors.shape)}."
            )
        rows = labelled_rows(features, labels, class_vectors.shape[0], self.ignore_index)
        return self.of(replace(rows, classifier_weight=class_vectors))

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        if rows.classifier_weight is None:
            raise ValueError("dot_regression needs a head with a classifier weight; set head: {type: etf}.")
        vectors = F.normalize(rows.classifier_weight.to(rows.features.dtype), dim=1)
        target, valid = rows.labels.clamp(min=0), rows.labels >= 0
        cosine = (F.normalize(rows.features, dim=1) * vectors[target]).sum(1)
        return {"loss": 0.5 * torch.where(valid, cosine - 1, 0.0).square().sum()}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return sums["loss"] / facts.num_rows.clamp(min=1)


class DotRegressionConfig(LossConfig):
    """Options of :class:`DotRegression`; it has none. It needs the ``etf`` head."""

    needs_head: ClassVar[str | None] = "etf"

    type: Literal["dot_regression"] = "dot_regression"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> DotRegression:
        return DotRegression()
