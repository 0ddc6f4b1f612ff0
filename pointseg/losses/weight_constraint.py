"""A constraint on the lengths of class vectors: frequent classes must not outgrow the others."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.facts import BatchFacts


class WeightConstraint(LossTerm):
    """(1 / K) sum_c max(0, |w_c| - m)^2 with m the mean length of the class vectors, held constant.

    The bound adapts itself: there is no threshold to choose. Vectors shorter than the mean, which are those
    of rare classes, are left alone.

    Source: a reconstruction. Lahoud et al., "Long-Tailed 3D Semantic Segmentation with Adaptive Weight
    Constraint and Sampling", ICRA 2024, of which no code is public and whose abstract names an adaptive
    regularisation of the classifier for frequent classes, without thresholds, and sampling for rare ones;
    after the MaxNorm constraint of Alshammari et al., CVPR 2022.
    """

    needs_features = False

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        if rows.classifier_weight is None:
            raise ValueError("weight_constraint needs a head with a classifier weight, such as linear.")
        lengths = rows.classifier_weight.norm(dim=1)
        # The same in every part of the batch: each with a row gives its share.
        takes_part = (rows.labels >= 0).any().to(lengths.dtype)
        return {"lengths": lengths * takes_part / facts.shares.clamp(min=1)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        lengths = sums["lengths"]
        return torch.clamp(lengths - lengths.detach().mean(), min=0).square().mean()


class WeightConstraintConfig(LossConfig):
    """Options of :class:`WeightConstraint`; it has none but its weight."""

    trains_classifier: ClassVar[bool] = False

    type: Literal["weight_constraint"] = "weight_constraint"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> WeightConstraint:
        return WeightConstraint()
