"""EQLv2: one sigmoid a class, its positive and negative gradients balanced by what has flowed so far."""

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
from pointseg.losses.class_sums import class_sums
from pointseg.losses.processes import sum_over_processes
from pointseg.losses.row_loss import LogitTerm, RowLoss


class EqualizationLossV2(RowLoss):
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

    State: ``positive`` and ``negative``, accumulated while training, over all processes.

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

    def of_labelled(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = super().of_labelled(logits, labels)
        if self.training:
            # Without a row too: other processes may have some and wait for the sum.
            self._accumulate(logits.detach(), labels)
        return loss

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        positive, negative = (weight.to(logits.dtype) for weight in self.class_weights())
        own = logits.gather(1, labels[:, None]).squeeze(1)
        # BCE is softplus(z) for a negative and softplus(-z) for a positive: all as negatives, then one
        # corrected.
        as_negatives = (F.softplus(logits) @ negative).sum()
        correction = positive[labels] * F.softplus(-own) - negative[labels] * F.softplus(own)
        return (as_negatives + correction.sum()) / len(labels)

    def class_weights(self) -> tuple[Tensor, Tensor]:
        """(K,) weights of each class as the true one and as another one."""
        ratio = torch.where(self.negative > 0, self.positive / self.negative.clamp(min=1e-10), torch.inf)
        negative = torch.sigmoid(self.gamma * (ratio - self.mu))
        return 1 + self.alpha * (1 - negative), negative

    @torch.no_grad()
    def _accumulate(self, logits: Tensor, labels: Tensor) -> None:
        num_classes = logits.shape[1]
        positive, negative = (weight.to(logits.dtype) for weight in self.class_weights())
        own = logits.gather(1, labels[:, None]).squeeze(1)
        pulls = class_sums(torch.sigmoid(-own), labels, num_classes)
        pushes = logits.sigmoid().sum(0) - class_sums(torch.sigmoid(own), labels, num_classes)
        self.positive += sum_over_processes((positive * pulls).double())
        # Rounding must not leave a negative gradient of a class that had no other row.
        self.negative += sum_over_processes((negative * pushes).double().clamp(min=0))


class EqualizationLossV2Config(LossConfig):
    """Options of :class:`EqualizationLossV2`."""

    type: Literal["eqlv2"] = "eqlv2"
    gamma: float = Field(default=12.0, gt=0)
    mu: float = 0.8
    alpha: float = Field(default=4.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitTerm:
        return LogitTerm(
            EqualizationLossV2(statistics.num_classes, gamma=self.gamma, mu=self.mu, alpha=self.alpha)
        )
