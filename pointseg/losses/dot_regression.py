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
from pointseg.losses.base import LossTerm, Sums
from pointseg.losses.class_prior import ClassPrior, ClassPriorConfig
from pointseg.losses.class_sums import class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import labelled_rows


class DotRegression(LossTerm):
    """sum_c q_c (1 / n_c) sum_{y_i = c} (cos(feature_i, w_c) - 1)^2 / 2: features are only pulled.

    The released code gives the class vectors of each batch the lengths e_c = sqrt(gamma / n_c), with gamma
    the mean number of rows of the classes present: (e_y cos - e_y)^2 / 2, averaged over rows, is then the
    mean over classes of class means, which is q alike for all classes (exponent 0, the default). Exponent 1
    is the mean over rows, of vectors of equal length.

    Args:
        prior: q; every class of the batch alike if None.
        ignore_index: label of rows to leave out.

    Shapes: features (N, D) or (B, D, H, W), labels (N,) or (B, H, W), class vectors (K, D); returns a scalar,
    0 and connected to the features if there is no labelled row.

    Source: Yang et al., "Inducing Neural Collapse in Imbalanced Learning", NeurIPS 2022,
    and its released code (``reg_dot_loss`` with ``produce_Ew``).
    """

    linear = True

    def __init__(self, prior: ClassPrior | None = None, *, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.prior, self.ignore_index = prior or ClassPrior(), ignore_index

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
        losses = 0.5 * torch.where(valid, cosine - 1, 0.0).square()
        return {"losses": class_sums(losses, rows.labels, rows.num_classes)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        means = means_of(sums["losses"], facts.rows)
        return (self.prior(facts).to(means.dtype) * means).sum()


class DotRegressionConfig(ClassPriorConfig):
    """Options of :class:`DotRegression`. It needs the ``etf`` head."""

    needs_head: ClassVar[str | None] = "etf"

    type: Literal["dot_regression"] = "dot_regression"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> DotRegression:
        return DotRegression(self.build_prior(statistics))
