"""Recall loss: cross entropy weighted by the share of the class that the batch misses."""

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
from pointseg.losses.class_sums import class_counts, class_sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss


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

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        labels, num_classes = rows.labels, rows.num_classes
        losses = F.cross_entropy(rows.logits, labels, ignore_index=IGNORE, reduction="none")
        missed = labels.masked_fill(rows.logits.argmax(dim=1) == labels, IGNORE)
        return {
            "losses": class_sums(losses, labels, num_classes),
            "misses": class_counts(missed, num_classes, dtype=torch.int64),
        }

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        weights = sums["misses"].clamp(min=self.min_misses) / facts.rows.clamp(min=1)
        total = (weights.to(sums["losses"].dtype) * sums["losses"]).sum()
        return total / facts.num_rows.clamp(min=1)


class RecallConfig(LossConfig):
    """Options of :class:`RecallLoss`."""

    type: Literal["recall"] = "recall"
    min_misses: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> RecallLoss:
        return RecallLoss(min_misses=self.min_misses)
