"""Soft Dice loss: 1 - F1 of each present class, with probabilities for counts."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.class_sums import class_sums, mean_over_present
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss


class DiceLoss(RowLoss):
    """Mean over the present classes of 1 - (2 sum_i p_ic y_ic + s) / (sum_i p_ic^e + n_c + s).

    Rows of all scenes are taken together. Combine it with cross entropy.

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

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        labels = rows.labels
        probability = rows.logits.softmax(dim=1)
        own = probability.gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
        mass = probability if self.exponent == 1 else probability.square()
        return {
            "overlap": class_sums(own, labels, rows.num_classes),
            "mass": (mass * (labels >= 0)[:, None]).sum(0),
        }

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        counts = facts.rows.to(sums["mass"].dtype)
        # Where it is zero, no row is there at all, and the ratio of no class is asked for.
        total = (sums["mass"] + counts + self.smooth).clamp(min=torch.finfo(counts.dtype).tiny)
        return mean_over_present(1 - (2 * sums["overlap"] + self.smooth) / total, counts)


class DiceConfig(LossConfig):
    """Options of :class:`DiceLoss`."""

    type: Literal["dice"] = "dice"
    exponent: Literal[1, 2] = 2
    smooth: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> DiceLoss:
        return DiceLoss(exponent=self.exponent, smooth=self.smooth)
