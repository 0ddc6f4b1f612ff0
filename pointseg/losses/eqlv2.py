"""EQLv2: one sigmoid a class, its positive and negative gradients balanced by what has flowed so far."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.class_sums import class_sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowMean


class EqualizationLossV2(RowMean):
    """Mean over rows of sum_c w_c BCE(z_c, [c = y]).

    With g_c the ratio of the accumulated positive to negative gradient of class c, and
    f(g) = 1 / (1 + exp(-gamma (g - mu))): w_c = 1 + alpha (1 - f(g_c)) for the true class, f(g_c) for the
    others. Gradients are accumulated as |sigmoid(z) - target| times their weight. g is infinite before the
    first batch.

    The scores are sigmoids: the most probable class of softmax(z) is the right prediction, its probability is
    no calibrated confidence.

    Args:
        num_classes: K.
        gamma, mu, alpha: see above.
        ignore_index: label of rows to leave out.

    State: ``positive`` and ``negative``, accumulated while training.

    Source: Tan et al., "Equalization Loss v2", CVPR 2021; without its objectness (there is no background
    class).
    """

    positive: Tensor
    negative: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        gamma: float = 12.0,
        mu: float = 0.8,
        alpha: float = 4.0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
        self.gamma, self.mu, self.alpha = gamma, mu, alpha
        self.register_buffer("positive", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("negative", torch.zeros(num_classes, dtype=torch.float64))

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        positive, negative = (weight.to(logits.dtype) for weight in self.class_weights())
        target = labels.clamp(min=0)
        own = logits.gather(1, target[:, None]).squeeze(1)
        # BCE is softplus(z) for a negative and softplus(-z) for a positive: all as negatives, then one
        # corrected.
        as_negatives = F.softplus(logits) @ negative
        correction = positive[target] * F.softplus(-own) - negative[target] * F.softplus(own)
        return torch.where(labels >= 0, as_negatives + correction, 0.0)

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        pulls, pushes = self._gradients(rows.logits.detach(), rows.labels)
        return {**super().sums(rows, facts), "positive": pulls, "negative": pushes}

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        self.positive += sums["positive"]
        # Rounding must not leave a negative gradient of a class that had no other row.
        self.negative += sums["negative"].clamp(min=0)

    def class_weights(self) -> tuple[Tensor, Tensor]:
        """(K,) weights of each class as the true one and as another one."""
        ratio = torch.where(self.negative > 0, self.positive / self.negative.clamp(min=1e-10), torch.inf)
        negative = torch.sigmoid(self.gamma * (ratio - self.mu))
        return 1 + self.alpha * (1 - negative), negative

    @torch.no_grad()
    def _gradients(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(K,) float64 weighted gradients that pull the logits of each class up and that push them down."""
        num_classes = logits.shape[1]
        positive, negative = (weight.to(logits.dtype) for weight in self.class_weights())
        own = logits.gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
        pulls = class_sums(torch.sigmoid(-own), labels, num_classes)
        probability = logits.sigmoid().mul_((labels >= 0)[:, None])
        pushes = probability.sum(0) - class_sums(torch.sigmoid(own), labels, num_classes)
        return (positive * pulls).double(), (negative * pushes).double()


class EqualizationLossV2Config(LossConfig):
    """Options of :class:`EqualizationLossV2`."""

    type: Literal["eqlv2"] = "eqlv2"
    gamma: float = Field(default=12.0, gt=0)
    mu: float = 0.8
    alpha: float = Field(default=4.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> EqualizationLossV2:
        return EqualizationLossV2(statistics.num_classes, gamma=self.gamma, mu=self.mu, alpha=self.alpha)
