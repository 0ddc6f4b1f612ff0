"""A penalty on the probability of the classes that a branch of the prediction leaves out."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.softmax_rows import class_probability


class IgnoredProbability(LossTerm):
    """alpha times the mean over rows of the probability of a branch's ignored classes, summed over branches.

    In [0, alpha] for one such branch, and 0 where no class is ignored.

    Args:
        alpha: factor.

    Source: DropClass (see pointseg.losses.suppression), whose second branch ignores the suppressed classes.
    """

    linear = True

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        total = rows.logits.new_zeros(())
        for branch in rows.branches:
            if branch.ignored is None or len(branch.ignored) == 0:
                total = total + 0 * branch.logits[:0].sum()
            else:
                total = total + class_probability(branch.logits, branch.ignored).sum()
        return {"probability": total}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return self.alpha * sums["probability"] / facts.num_rows.clamp(min=1)


class IgnoredProbabilityConfig(LossConfig):
    """Options of :class:`IgnoredProbability`; a head whose branches ignore classes brings it along."""

    trains_classifier: ClassVar[bool] = False

    type: Literal["ignored_probability"] = "ignored_probability"
    alpha: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> IgnoredProbability:
        return IgnoredProbability(self.alpha)
