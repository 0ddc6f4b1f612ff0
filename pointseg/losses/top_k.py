"""Top-k cross entropy (online hard example mining): train on the rows that cost most, forget the others."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss


class TopKCrossEntropy(RowLoss):
    """Mean cross entropy of the k costliest rows of the batch.

    k is the largest of: ``fraction`` of the rows (rounded up); ``min_rows``; and, with a ``threshold``, the
    number of rows whose true class has a probability below it. It never exceeds the rows there are.

    It is ``local``: the costliest rows of a batch do not follow from those of its parts. Under data parallel,
    and where steps accumulate, it is the mean of the losses of the parts, each with a k of its own.

    Args:
        fraction: share of the rows, in [0, 1].
        min_rows: rows to keep at least.
        threshold: keep every row with p_y below it (OHEM of segmentation codebases: 0.7), or None.
        ignore_index: label of rows to leave out.

    Source: Shrivastava et al., CVPR 2016 (OHEM); Wu et al., "Bridging Category-level and Instance-level
    Semantic Image Segmentation", arXiv 1605.06885 (bootstrapped cross entropy).
    """

    def __init__(
        self,
        fraction: float = 0.25,
        *,
        min_rows: int = 1,
        threshold: float | None = None,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction must lie in [0, 1]; got {fraction}.")
        if min_rows < 1:
            raise ValueError(f"min_rows must be at least 1; got {min_rows}.")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1]; got {threshold}.")
        self.fraction, self.min_rows, self.threshold = fraction, min_rows, threshold

    local = True

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        losses = F.cross_entropy(rows.logits, rows.labels, ignore_index=IGNORE, reduction="none")
        valid = rows.labels >= 0
        total = facts.num_rows
        k = (self.fraction * total.double()).ceil().long().clamp(min=self.min_rows)
        if self.threshold is not None:
            # Rows below the threshold are the costliest ones, so both rules keep a head of one order: the
            # longer.
            k = torch.maximum(k, (valid & (losses > -math.log(self.threshold))).sum())
        k = torch.minimum(k, total)
        # Sorted whole: how many to pick only the device knows. Rows without a class come last.
        order = losses.detach().masked_fill(~valid, -1.0).argsort(descending=True)
        kept = torch.arange(len(losses), device=losses.device) < k
        return {"loss": torch.where(kept, losses[order], 0.0).sum() / k.clamp(min=1)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return sums["loss"]


class TopKConfig(LossConfig):
    """Options of :class:`TopKCrossEntropy`."""

    type: Literal["top_k"] = "top_k"
    fraction: float = Field(default=0.25, ge=0, le=1)
    min_rows: int = Field(default=1, ge=1)
    threshold: float | None = Field(default=None, gt=0, le=1)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> TopKCrossEntropy:
        return TopKCrossEntropy(self.fraction, min_rows=self.min_rows, threshold=self.threshold)
