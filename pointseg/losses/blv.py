"""BLV: logits of rare classes vary more in training, so that their region in feature space grows."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import CountUnit, log_prior, training_counts
from pointseg.losses.row_loss import RowMean


class BalancingLogitVariation(RowMean):
    """Cross entropy of z_c + |e| v_c, e = clamp(Normal(0, sigma), -1, 1) drawn for each row and class.

    v_c = (log sum n - log n_c) / max over classes: 1 for the rarest, near 0 for the most frequent. In
    evaluation mode there is no noise.

    Args:
        counts: (K,) positive class counts n.
        sigma: standard deviation before the clamp.
        ignore_index: label of rows to leave out.

    Source: Wang et al., "Balancing Logit Variation for Long-tailed Semantic Segmentation", CVPR 2023.
    """

    variation: Tensor

    def __init__(self, counts: Tensor, *, sigma: float = 4.0, ignore_index: int = IGNORE) -> None:
        super().__init__(num_classes=len(counts), ignore_index=ignore_index)
        if len(counts) < 2:
            raise ValueError(f"Balancing needs at least 2 classes; got {len(counts)}.")
        if not sigma >= 0:
            raise ValueError(f"sigma must be 0 or more; got {sigma}.")
        self.sigma = sigma
        rarity = -log_prior(counts, len(counts))
        self.register_buffer("variation", rarity / rarity.max())

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        if self.training:
            noise = (self.sigma * torch.randn_like(logits)).clamp_(-1, 1).abs_()
            logits = logits + noise.mul_(self.variation.to(logits.dtype))
        return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")


class BalancingLogitVariationConfig(LossConfig):
    """Options of :class:`BalancingLogitVariation`.

    Args:
        sigma: standard deviation before the clamp.
        count: ``points`` or ``samples`` (scenes, images) of each class in the training set.
    """

    type: Literal["blv"] = "blv"
    sigma: float = Field(default=4.0, ge=0)
    count: CountUnit = "points"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> BalancingLogitVariation:
        counts = training_counts(statistics, self.count)
        return BalancingLogitVariation(counts, sigma=self.sigma)
