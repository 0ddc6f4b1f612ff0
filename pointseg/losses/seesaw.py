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
from pointseg.losses.base import LossConfig
from pointseg.losses.class_sums import class_counts
from pointseg.losses.processes import sum_over_processes
from pointseg.losses.row_loss import LogitTerm, RowLoss


class SeesawLoss(RowLoss):
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

    State: ``seen``, counted while training, over all processes.

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

    def of_labelled(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.training:
            # Without a row too: other processes may have some and wait for the sum.
            counts = class_counts(labels, logits.shape[1], dtype=self.seen.dtype)
            self.seen += sum_over_processes(counts)
        return super().of_labelled(logits, labels)

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits + self._log_factors(logits.detach(), labels), labels)

    @torch.no_grad()
    def _log_factors(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K) log S_yj; 0 for the true class."""
        log_seen = self.seen.clamp(min=1).log().to(logits.dtype)
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
    ) -> LogitTerm:
        return LogitTerm(
            SeesawLoss(statistics.num_classes, p=self.p, q=self.q, min_probability=self.min_probability)
        )
