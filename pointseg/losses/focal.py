"""Focal loss: rows that the network is sure of weigh less, in the limit nothing."""

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
from pointseg.losses.cross_entropy import ClassWeights, class_weights
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import checked_class_numbers
from pointseg.losses.row_loss import RowMean


class FocalLoss(RowMean):
    """Mean over rows of alpha_y (1 - p_y)^gamma CE, with p = softmax(logits).

    Args:
        gamma: 0 is cross entropy.
        alpha: (K,) class weights, or None.
        ignore_index: label of rows to leave out.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, in its softmax form.
    """

    alpha: Tensor | None

    def __init__(
        self, gamma: float = 2.0, *, alpha: Tensor | None = None, ignore_index: int = IGNORE
    ) -> None:
        super().__init__(num_classes=None if alpha is None else len(alpha), ignore_index=ignore_index)
        if not gamma >= 0:
            raise ValueError(f"gamma must be 0 or more; got {gamma}.")
        self.gamma = gamma
        self.register_buffer("alpha", None if alpha is None else checked_class_numbers(alpha, "alpha"))

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        cross_entropy = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
        # expm1 keeps the digits of 1 - p near p = 1; the floor keeps the slope of a power below 1 finite
        # there.
        doubt = (-torch.expm1(-cross_entropy)).clamp(min=torch.finfo(logits.dtype).tiny)
        losses = doubt**self.gamma * cross_entropy
        return losses if self.alpha is None else self.alpha.to(losses.dtype)[labels.clamp(min=0)] * losses


class FocalConfig(LossConfig):
    """Options of :class:`FocalLoss`; ``class_weights`` (see cross_entropy) make its alpha."""

    type: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0)
    class_weights: ClassWeights = "none"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> FocalLoss:
        alpha = None if self.class_weights == "none" else class_weights(statistics, self.class_weights)
        return FocalLoss(self.gamma, alpha=alpha)
