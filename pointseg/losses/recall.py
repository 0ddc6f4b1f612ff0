"""Recall loss: cross entropy weighted by the share of the class that the batch misses."""

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
from pointseg.losses.class_sums import class_counts
from pointseg.losses.row_loss import LogitTerm, RowLoss


class RecallLoss(RowLoss):
    """Mean over rows of w_y CE, w_c = 1 - recall_c = misses_c / n_c over the batch.

    Args:
        min_misses: misses that every class is taken to have: 1 as in the released code, so that a class
            without a miss is not forgotten; 0 is the formula of the paper.
        ignore_index: label of rows to leave out.

    Source: Tian et al., "Striking the Right Balance: Recall Loss for Semantic Segmentation", ICRA 2022.
    """

    def __init__(self, *, min_misses: float = 1.0, ignore_index: int = IGNORE) -> None:
        super().__init__(ignore_index=ignore_index)
        if not min_misses >= 0:
            raise ValueError(f"min_misses must be 0 or more; got {min_misses}.")
        self.min_misses = min_misses

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.class_weights(logits, labels).to(logits.dtype)
        return (weights[labels] * F.cross_entropy(logits, labels, reduction="none")).mean()

    @torch.no_grad()
    def class_weights(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(K,) weights of (N, K) logits and (N,) labels."""
        num_classes = logits.shape[1]
        missed = labels.masked_fill(logits.argmax(dim=1) == labels, IGNORE)
        misses = class_counts(missed, num_classes).clamp(min=self.min_misses)
        return misses / class_counts(labels, num_classes).clamp(min=1)


class RecallConfig(LossConfig):
    """Options of :class:`RecallLoss`."""

    type: Literal["recall"] = "recall"
    min_misses: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitTerm:
        return LogitTerm(RecallLoss(min_misses=self.min_misses))
