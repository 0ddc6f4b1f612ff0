"""Logit adjustment and balanced softmax: the class prior enters training, so that logits do without."""

from __future__ import annotations

import math
from typing import Literal

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


class LogitAdjustedCrossEntropy(RowMean):
    """Cross entropy of logits + tau log pi. At prediction the logits stand as they are.

    A constant in log pi does not matter, so counts serve as a prior; tau = 1 is the balanced softmax.
    The post-hoc form, logits - tau log pi of a network trained with plain cross entropy, is
    ``evaluate.logit_adjustment_tau``.

    Args:
        prior: (K,) positive numbers in any unit, such as the training points of each class.
        tau: strength.
        ignore_index: label of rows to leave out.

    Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021; Ren et al., "Balanced
    Meta-Softmax", NeurIPS 2020.
    """

    log_prior: Tensor

    def __init__(self, prior: Tensor, tau: float = 1.0, *, ignore_index: int = IGNORE) -> None:
        super().__init__(num_classes=len(prior), ignore_index=ignore_index)
        if not math.isfinite(tau):
            raise ValueError(f"tau must be a finite number; got {tau}.")
        self.tau = tau
        self.register_buffer("log_prior", log_prior(prior, len(prior)))

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        adjusted = logits + self.tau * self.log_prior.to(logits.dtype)
        return F.cross_entropy(adjusted, labels, ignore_index=IGNORE, reduction="none")


class BalancedSoftmaxConfig(LossConfig):
    """Balanced softmax: :class:`LogitAdjustedCrossEntropy` with tau = 1.

    Args:
        prior: ``points`` or ``samples`` (scenes, images) of each class in the training set.
    """

    type: Literal["balanced_softmax"] = "balanced_softmax"
    prior: CountUnit = "points"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitAdjustedCrossEntropy:
        return LogitAdjustedCrossEntropy(training_counts(statistics, self.prior))


class LogitAdjustmentConfig(LossConfig):
    """Options of :class:`LogitAdjustedCrossEntropy`.

    Args:
        tau: strength.
        prior: ``points`` or ``samples`` (scenes, images) of each class in the training set.
    """

    type: Literal["logit_adjustment"] = "logit_adjustment"
    tau: float = Field(default=1.0, ge=0)
    prior: CountUnit = "points"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitAdjustedCrossEntropy:
        return LogitAdjustedCrossEntropy(training_counts(statistics, self.prior), self.tau)
