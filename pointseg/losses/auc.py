"""AUC loss: the scores of each class's rows should exceed those of every other class's rows by a margin."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.class_sums import class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss


class SquareAUC(RowLoss):
    """Mean over ordered pairs of classes i, j of E[(margin - s_i(a) + s_i(b))^2] / 2, a of class i, b of j.

    s = sigmoid(z), and the mean goes over all pairs of rows of the classes present: each pair of classes
    counts once, however few its rows. The square makes means over pairs of rows out of means over rows:
    nothing is as large as the pairs.

    Args:
        margin: 1 as released.
        ignore_index: label of rows to leave out.

    Source: Han et al., "AUCSeg: AUC-oriented Pixel-level Long-tail Semantic Segmentation", NeurIPS 2024, and
    its released code (``SquareAUCLoss``, ``ovo``), where it stands beside cross entropy with weight 4;
    without the memory bank of tail classes, which pastes stored pixels into images.
    """

    def __init__(self, margin: float = 1.0, *, ignore_index: int = IGNORE) -> None:
        super().__init__(ignore_index=ignore_index)
        self.margin = margin

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        scores = rows.logits.sigmoid()
        return {
            "scores": class_sums(scores, rows.labels, rows.num_classes),
            "squares": class_sums(scores.square(), rows.labels, rows.num_classes),
        }

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        # [j, i]: of score i over the rows of class j.
        mean, square = (means_of(sums[name], facts.rows) for name in ("scores", "squares"))
        own, own_square = mean.diagonal(), square.diagonal()
        short = own - self.margin
        short_square = own_square - 2 * self.margin * own + self.margin**2
        of_pairs = (short_square[None] + square) / 2 - short[None] * mean
        present = facts.present
        pairs = (present[:, None] & present[None, :]).fill_diagonal_(False)
        return torch.where(pairs, of_pairs, 0.0).sum() / pairs.sum().clamp(min=1)


class SquareAUCConfig(LossConfig):
    """Options of :class:`SquareAUC`, which stands beside a classification loss."""

    trains_classifier: ClassVar[bool] = False

    type: Literal["auc"] = "auc"
    weight: float = Field(default=4.0, ge=0)
    margin: float = Field(default=1.0, gt=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> SquareAUC:
        return SquareAUC(self.margin)
