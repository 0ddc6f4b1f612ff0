"""Lovasz-softmax: a surrogate of the mean IoU of the classes present."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss


class LovaszSoftmax(RowLoss):
    """Mean over the present classes of the Lovasz extension of 1 - IoU at the errors of the softmax.

    The errors of class c are 1 - p_c on its rows and p_c on the others. Sorted from the largest, error i is
    multiplied by J(i) - J(i-1), J(i) being 1 - IoU of c when the i rows with the largest errors are wrong.
    Rows of all scenes are taken together. Combine it with cross entropy.

    It is ``local``: the order of the errors of all rows does not follow from orders of parts. Under data
    parallel, and where steps accumulate, it is the mean of the losses of the parts.

    Source: Berman et al., "The Lovasz-Softmax loss", CVPR 2018.
    """

    local = True

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        probability = rows.logits.softmax(dim=1)
        # The one look at the labels: a sort for each of 200 classes would cost more than a GPU's wait.
        present = [c for c, count in enumerate(facts.rows.tolist()) if count]
        factors, offset = self._factors(probability.detach(), rows.labels, present)
        # Given the order, the extension is linear: its factors are its gradient, and no sort enters the
        # graph.
        return {"loss": (factors * probability).sum() + offset}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return sums["loss"]

    @torch.no_grad()
    def _factors(self, probability: Tensor, labels: Tensor, present: list[int]) -> tuple[Tensor, Tensor]:
        """(N, K) factors of the probabilities and the constant beside them."""
        factors = torch.zeros_like(probability)
        offset = probability.new_zeros(())
        # Rows without a class come last in every order: they change nothing before them.
        valid = labels >= 0
        for c in present:
            inside = labels == c
            errors = torch.where(inside, 1 - probability[:, c], probability[:, c])
            errors = torch.where(valid, errors, -1.0)
            order = errors.argsort(descending=True)
            steps = torch.empty_like(errors)
            steps[order] = jaccard_steps(inside[order], errors.dtype)
            factors[:, c] = torch.where(inside, -steps, steps) * valid
            offset += torch.where(inside, steps, 0.0).sum()
        number = max(1, len(present))
        return factors / number, offset / number


def jaccard_steps(inside: Tensor, dtype: torch.dtype) -> Tensor:
    """J(i) - J(i-1) for rows in order of falling error.

    Args:
        inside: (N,) bool, whether the row is of the class; at least one is.
        dtype: of the result.
    """
    # Counted in integers, which have one order everywhere, and divided in float64: float32 has no unit left
    # above 16,777,216 rows.
    total = inside.sum()
    intersection = (total - inside.cumsum(0)).double()
    union = (total + (~inside).cumsum(0)).double()
    loss = 1 - intersection / union
    return torch.diff(loss, prepend=loss.new_zeros(1)).to(dtype)


class LovaszConfig(LossConfig):
    """Options of :class:`LovaszSoftmax`; it has none."""

    type: Literal["lovasz"] = "lovasz"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LovaszSoftmax:
        return LovaszSoftmax()
