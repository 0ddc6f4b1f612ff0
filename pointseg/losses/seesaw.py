"""Seesaw loss: a row of a frequent class pushes the logits of rare classes down less."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowMean


class SeesawLoss(RowMean):
    """-log of e^{z_y} / (e^{z_y} + sum_{j != y} S_yj e^{z_j}), S_ij = M_ij C_ij, mean over rows.

    Mitigation M_ij = min(1, N_j / N_i)^p with the rows N_c seen so far; compensation
    C_ij = max(1, p_j / p_y)^q with the softmax p of the row. S is held constant. Prediction is the plain
    softmax.

    Args:
        num_classes: K.
        p: exponent of the mitigation; 0 turns it off.
        q: exponent of the compensation; 0 turns it off.
        min_probability: p_y of the compensation is not taken below it (0.01 as published).
        ignore_index: label of rows to leave out.

    State: ``seen``, counted while training.

    Source: Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation", CVPR 2021; without its
    normalised linear classifier (use the ``cosine`` head) and its objectness branch (segmentation has no
    background class).
    """

    seen: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        p: float = 0.8,
        q: float = 2.0,
        min_probability: float = 0.01,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(num_classes=num_classes, ignore_index=ignore_index)
        if p < 0 or q < 0:
            raise ValueError(f"The exponents must not be negative; got p={p}, q={q}.")
        if not 0 < min_probability <= 1:
            raise ValueError(f"min_probability must lie in (0, 1]; got {min_probability}.")
        self.p, self.q, self.min_probability = p, q, min_probability
        # float64: float32 stops counting at 16,777,216 rows, some hundred batches.
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.float64))

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        # In training the rows of this batch count as seen already.
        seen = self.seen + facts.rows if self.training else self.seen
        factors = self._log_factors(logits.detach(), labels.clamp(min=0), seen)
        return F.cross_entropy(logits + factors, labels, ignore_index=IGNORE, reduction="none")

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        self.seen += facts.rows

    @torch.no_grad()
    def _log_factors(self, logits: Tensor, labels: Tensor, seen: Tensor) -> Tensor:
        """(N, K) log S_yj; 0 for the true class."""
        log_seen = seen.clamp(min=1).log().to(logits.dtype)
        mitigation = self.p * (log_seen[None, :] - log_seen[:, None]).clamp(max=0)
        log_p = logits.log_softmax(dim=1)
        own = log_p.gather(1, labels[:, None]).exp().clamp(min=self.min_probability).log()
        return mitigation[labels] + self.q * (log_p - own).clamp(min=0)


class SeesawConfig(LossConfig):
    """Options of :class:`SeesawLoss`."""

    type: Literal["seesaw"] = "seesaw"
    p: float = Field(default=0.8, ge=0)
    q: float = Field(default=2.0, ge=0)
    min_probability: float = Field(default=0.01, gt=0, le=1)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> SeesawLoss:
        return SeesawLoss(statistics.num_classes, p=self.p, q=self.q, min_probability=self.min_probability)
