"""Dot-regression: pull each feature onto its class vector of a fixed simplex classifier, and push nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm
from pointseg.losses.row_loss import labelled_rows


class DotRegression(nn.Module):
    """Mean over rows of (cos(feature, w_y) - 1)^2 / 2: the published loss with all norms fixed to one.

    Args:
        ignore_index: label of rows to leave out.

    Shapes: features (N, D) or (B, D, H, W), labels (N,) or (B, H, W), class vectors (K, D); returns a scalar,
    0 and connected to the features if there is no labelled row.

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022.
    """

    def __init__(self, *, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, class_vectors: Tensor) -> Tensor:
        if features.ndim < 2 or features.shape[1] != class_vectors.shape[1]:
            raise ValueError(
                f"Features and class vectors must have the same dimension; got {tuple(features.shape)} and "
                f"{tuple(class_vectors.shape)}."
            )
        rows, targets = labelled_rows(features, labels, class_vectors.shape[0], self.ignore_index)
        return self.of_labelled(rows, targets, class_vectors)

    def of_labelled(self, rows: Tensor, targets: Tensor, class_vectors: Tensor) -> Tensor:
        """The loss of (N, D) features, float32 or wider, and (N,) labels in 0..K-1; 0 for no row."""
        if not len(targets):
            return rows.sum()
        vectors = F.normalize(class_vectors.to(rows.dtype), dim=1)
        cosine = (F.normalize(rows, dim=1) * vectors[targets]).sum(1)
        return 0.5 * (cosine - 1).square().mean()


class DotRegressionConfig(LossConfig):
    """Options of :class:`DotRegression`; it has none. It needs the ``etf`` head."""

    needs_head: ClassVar[str | None] = "etf"

    type: Literal["dot_regression"] = "dot_regression"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> DotRegressionTerm:
        return DotRegressionTerm()


class DotRegressionTerm(LossTerm):
    """:class:`DotRegression` on the features of a batch and the classifier of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.regression = DotRegression()

    def forward(self, supervised: Supervised) -> Tensor:
        if supervised.classifier_weight is None:
            raise ValueError("dot_regression needs a head with a classifier weight; set head: {type: etf}.")
        weight = supervised.classifier_weight
        # Labels were checked when the batch was made: a second look would wait for a GPU.
        return self.regression.of_labelled(supervised.features, supervised.labels, weight)
