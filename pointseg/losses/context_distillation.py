"""CAC's distillation: scores that know the labels' class means teach those that know the predicted ones."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.class_sums import class_sums, mean_over_present
from pointseg.losses.facts import BatchFacts

#: Released: beside the sum of the entropies of a class.
_EPS = 1e-4


class ContextDistillation(LossTerm):
    """Mean over classes of the rows' cross entropy to a softened target, weighed by the teacher's entropy.

    With the teacher's probabilities t (the prediction's second branch, held constant) and the student's
    scores s (the first): cost_i = -sum_c ((1 - smooth) [c = y_i] + smooth t_ic) log softmax(s_i)_c, and of a
    class sum_i H(t_i) cost_i / sum_i H(t_i). Where the prediction has one branch it is 0.

    Args:
        smooth: share of the teacher in the target; 0.5 as released.

    Source: Tian et al., "Learning Context-Aware Classifier for Semantic Segmentation", AAAI 2023, and its
    released code (``get_distill_loss``), also in Pointcept. Departure: H is the entropy itself; with the 1e-4
    that the released code adds within its logarithm rows that the teacher is sure of weigh less than nothing.
    """

    needs_features = False

    def __init__(self, smooth: float = 0.5) -> None:
        super().__init__()
        if not 0 <= smooth <= 1:
            raise ValueError(f"smooth must lie in [0, 1]; got {smooth}.")
        self.smooth = smooth

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        labels, number = rows.labels, rows.num_classes
        if len(rows.branches) == 1:
            nothing = class_sums(0 * rows.logits.sum(1), labels, number)
            return {"costs": nothing, "entropy": nothing.detach()}
        teacher = rows.branches[1].logits.detach().log_softmax(1)
        student = rows.logits.log_softmax(1)
        share = teacher.exp()
        own = student.gather(1, labels[:, None]).squeeze(1)
        costs = -((1 - self.smooth) * own + self.smooth * (share * student).sum(1))
        entropy = -(share * teacher).sum(1).clamp(max=0)
        return {
            "costs": class_sums(entropy * costs, labels, number),
            "entropy": class_sums(entropy, labels, number),
        }

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return mean_over_present(sums["costs"] / (sums["entropy"] + _EPS), facts.rows)


class ContextDistillationConfig(LossConfig):
    """Options of :class:`ContextDistillation`; the context_aware head brings it along."""

    trains_classifier: ClassVar[bool] = False

    type: Literal["context_distillation"] = "context_distillation"
    smooth: float = Field(default=0.5, ge=0, le=1)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> ContextDistillation:
        return ContextDistillation(self.smooth)
