"""ClassPrior: how much each class weighs in a class-wise loss, q_c proportional to n_c^a."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import checked_class_numbers, training_counts

#: What is counted: rows of the batch, or points or samples (scenes, images) of the training set.
Counted = Literal["batch", "points", "samples"]


class ClassPrior(nn.Module):
    """q_c = n_c^a / sum n^a over the classes with a row in the batch: 1 is frequency, 0 every class alike.

    Over the rows of the batch, a = 1 makes a mean of class means the mean over rows. Cross entropy whose rows
    weigh f_c^p (``class_weights: {power: p}``) is a mean of class means with a = 1 + p, up to the difference
    between the batch and the training set: compare a class-wise loss with the weighted one of its exponent.

    Args:
        exponent: a.
        counts: (K,) positive numbers to take for n; None takes the rows of the batch.
    """

    counts: Tensor | None

    def __init__(self, exponent: float = 0.0, counts: Tensor | None = None) -> None:
        super().__init__()
        if not math.isfinite(exponent):
            raise ValueError(f"exponent must be a finite number; got {exponent}.")
        self.exponent = float(exponent)
        if counts is not None:
            counts = checked_class_numbers(counts, "counts").double()
        # Not among the state: it follows from the training set.
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, facts: BatchFacts) -> Tensor:
        """(K,) float64 shares, 0 for absent classes; they sum to 1, or to 0 where the batch has no row."""
        return self.of_rows(facts.rows)

    def of_rows(self, rows: Tensor) -> Tensor:
        """:meth:`forward` for (K,) numbers of rows."""
        numbers = rows if self.counts is None else self.counts
        # A power of the largest share cannot overflow, whatever the exponent.
        share = numbers.double() / numbers.max().clamp(min=1)
        weight = torch.where(rows > 0, share.clamp(min=1e-300) ** self.exponent, 0.0)
        return weight / weight.sum().clamp(min=torch.finfo(torch.float64).tiny)


class ClassPriorConfig(LossConfig):
    """Options of class-wise losses.

    Args:
        exponent: a in q_c proportional to n_c^a: 1 is frequency, 0 every class of the batch alike.
        counts: what n counts: rows of the ``batch``, or ``points`` or ``samples`` (scenes, images) of the
            training set.
    """

    exponent: float = 0.0
    counts: Counted = "batch"

    def build_prior(self, statistics: ClassStatistics) -> ClassPrior:
        counts = None if self.counts == "batch" else training_counts(statistics, self.counts)
        return ClassPrior(self.exponent, counts)
