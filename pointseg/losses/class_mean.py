"""Class-mean cross entropy: every class counts by its prior, however few its rows; the control of PAT."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import Sums
from pointseg.losses.class_prior import ClassPrior, ClassPriorConfig
from pointseg.losses.class_sums import class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss
from pointseg.losses.softmax_rows import row_cross_entropy


class ClassMeanCrossEntropy(RowLoss):
    """L = sum_c q_c (1 / n_c) sum_{y_i = c} CE_i over the classes of the batch.

    Balanced cross entropy: the tilted one at t = 0, and PAT without its row weights, beside which every table
    with PAT shows it.

    Args:
        prior: q; every class of the batch alike if None.
        ignore_index: label of rows to leave out.
    """

    linear = True

    def __init__(self, prior: ClassPrior | None = None, *, ignore_index: int = IGNORE) -> None:
        super().__init__(ignore_index=ignore_index)
        self.prior = prior or ClassPrior()

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        losses = row_cross_entropy(rows.logits, rows.labels)
        return {"losses": class_sums(losses, rows.labels, rows.num_classes)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        means = means_of(sums["losses"], facts.rows)
        return (self.prior(facts).to(means.dtype) * means).sum()


class ClassMeanConfig(ClassPriorConfig):
    """Options of :class:`ClassMeanCrossEntropy`."""

    type: Literal["class_mean"] = "class_mean"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> ClassMeanCrossEntropy:
        return ClassMeanCrossEntropy(self.build_prior(statistics))
