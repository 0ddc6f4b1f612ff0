"""Soft Dice loss: 1 - F1 of each present class, with probabilities for counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig
from pointseg.losses.class_sums import class_counts, class_sums, mean_over_present
from pointseg.losses.row_loss import LogitTerm, RowLoss


class DiceLoss(RowLoss):
    """Mean over the present classes of 1 - (2 sum_i p_ic y_ic + s) / (sum_i p_ic^e + n_c + s).

    Rows of all scenes of a process are taken together. Combine it with cross entropy.

    Args:
        exponent: e; 2 as in V-Net, or 1.
        smooth: s.
        ignore_index: label of rows to leave out.

    Source: Milletari et al., "V-Net", 3DV 2016.
    """

    def __init__(
        self, *, exponent: Literal[1, 2] = 2, smooth: float = 1.0, ignore_index: int = IGNORE
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if exponent not in (1, 2):
            raise ValueError(f"exponent must be 1 or 2; got {exponent}.")
        if not smooth >= 0:
            raise ValueError(f"smooth must be 0 or more; got {smooth}.")
        self.exponent, self.smooth = exponent, smooth

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        num_classes = logits.shape[1]
        probability = logits.softmax(dim=1)
        own = probability.gather(1, labels[:, None]).squeeze(1)
        overlap = class_sums(own, labels, num_classes)
        counts = class_counts(labels, num_classes, dtype=logits.dtype)
        mass = (probability if self.exponent == 1 else probability.square()).sum(0)
        return mean_over_present(1 - (2 * overlap + self.smooth) / (mass + counts + self.smooth), counts)


class DiceConfig(LossConfig):
    """Options of :class:`DiceLoss`."""

    type: Literal["dice"] = "dice"
    exponent: Literal[1, 2] = 2
    smooth: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitTerm:
        return LogitTerm(DiceLoss(exponent=self.exponent, smooth=self.smooth))
