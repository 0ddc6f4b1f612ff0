"""LDAM: rare classes get a larger margin; and re-weighting in the last part of the training (DRW)."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.cross_entropy import class_weights
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import CountUnit, checked_class_numbers, training_counts
from pointseg.losses.row_loss import RowMean, class_mass


class LDAM(RowMean):
    """Cross entropy with the logit of the true class lowered by scale * m_y.

    Margins are m_c = max_margin (n_min / n_c)^(1/4).

    The paper's logits are cosines times a scale of 30, and margins are in units of the cosine: use the
    ``cosine`` head and the same scale here. With a linear head, scale 1 gives margins in units of the logits.

    Args:
        counts: (K,) positive class counts n.
        max_margin: margin of the rarest class.
        scale: what the cosines were multiplied by.
        class_weights: (K,) weights, as of cross entropy, or None.
        ignore_index: label of rows to leave out.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
    NeurIPS 2019.
    """

    margins: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        counts: Tensor,
        *,
        max_margin: float = 0.5,
        scale: float = 1.0,
        class_weights: Tensor | None = None,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(num_classes=len(counts), ignore_index=ignore_index)
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be a positive number; got {scale}.")
        if class_weights is not None and class_weights.shape != counts.shape:
            raise ValueError(
                f"class_weights must be {len(counts)} numbers, one for each count; got {len(class_weights)}."
            )
        counts = checked_class_numbers(counts, "counts").double()
        self.scale = scale
        self.register_buffer("margins", (max_margin * (counts.min() / counts) ** 0.25).float())
        self.register_buffer("class_weights", class_weights)

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        target = labels.clamp(min=0)
        margin = (self.scale * self.margins.to(logits.dtype))[target]
        weight = None if self.class_weights is None else self.class_weights.to(logits.dtype)
        return F.cross_entropy(
            logits.scatter_add(1, target[:, None], -margin[:, None]),
            labels,
            weight=weight,
            ignore_index=IGNORE,
            reduction="none",
        )

    def mass(self, facts: BatchFacts) -> Tensor:
        return facts.num_rows if self.class_weights is None else class_mass(self.class_weights, facts)


class LDAMConfig(LossConfig):
    """Options of :class:`LDAM` with DRW.

    Args:
        max_margin: margin of the rarest class.
        scale: that of the ``cosine`` head; 1 for a linear head.
        drw_start: share of the training after which rows are weighted by (1 - beta) / (1 - beta^n); None
            never. The paper starts at 160 of 200 epochs.
        beta: of these weights.
        count: ``points`` or ``samples`` as n.
    """

    type: Literal["ldam"] = "ldam"
    max_margin: float = Field(default=0.5, ge=0)
    scale: float = Field(default=1.0, gt=0)
    drw_start: float | None = Field(default=None, ge=0, le=1)
    beta: float = Field(default=0.9999, ge=0, lt=1)
    count: CountUnit = "points"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LDAMTerm:
        counts = training_counts(statistics, self.count)
        plain = LDAM(counts, max_margin=self.max_margin, scale=self.scale)
        if self.drw_start is None:
            return LDAMTerm(plain)
        weights = class_weights(statistics, "class_balanced", beta=self.beta, count=self.count)
        reweighted = LDAM(counts, max_margin=self.max_margin, scale=self.scale, class_weights=weights)
        return LDAMTerm(plain, reweighted, drw_start=self.drw_start)


class LDAMTerm(LossTerm):
    """LDAM, replaced by a re-weighted one from ``drw_start`` of the training on."""

    linear = True

    def __init__(self, plain: LDAM, reweighted: LDAM | None = None, *, drw_start: float = 1.0) -> None:
        super().__init__()
        self.plain, self.reweighted, self.drw_start = plain, reweighted, drw_start

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        return self._now(facts).sums(rows, facts)

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return self._now(facts).value(sums, facts)

    def _now(self, facts: BatchFacts) -> LDAM:
        if self.reweighted is not None and facts.progress >= self.drw_start:
            return self.reweighted
        return self.plain
