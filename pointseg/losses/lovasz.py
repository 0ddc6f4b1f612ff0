"""Lovasz-softmax: a surrogate of the mean IoU of the classes present."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig
from pointseg.losses.class_sums import class_counts
from pointseg.losses.row_loss import LogitTerm, RowLoss


class LovaszSoftmax(RowLoss):
    """Mean over the present classes of the Lovasz extension of 1 - IoU at the errors of the softmax.

    The errors of class c are 1 - p_c on its rows and p_c on the others. Sorted from the largest, error i is
    multiplied by J(i) - J(i-1), J(i) being 1 - IoU of c when the i rows with the largest errors are wrong.
    Rows of all scenes of a process are taken together. Combine it with cross entropy.

    Source: Berman et al., "The Lovasz-Softmax loss", CVPR 2018.
    """

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        probability = logits.softmax(dim=1)
        # The one look at the labels: a sort for each of 200 classes would cost more than a GPU's wait.
        counts = class_counts(labels, logits.shape[1]).tolist()
        present = [c for c, count in enumerate(counts) if count]
        factors, offset = self._factors(probability.detach(), labels, present)
        # Given the order, the extension is linear: its factors are its gradient, and no sort enters the
        # graph.
        return (factors * probability).sum() + offset

    @torch.no_grad()
    def _factors(self, probability: Tensor, labels: Tensor, present: list[int]) -> tuple[Tensor, Tensor]:
        """(N, K) factors of the probabilities and the constant beside them."""
        factors = torch.zeros_like(probability)
        offset = probability.new_zeros(())
        for c in present:
            inside = labels == c
            errors = torch.where(inside, 1 - probability[:, c], probability[:, c])
            order = errors.argsort(descending=True)
            steps = torch.empty_like(errors)
            steps[order] = jaccard_steps(inside[order], errors.dtype)
            factors[:, c] = torch.where(inside, -steps, steps)
            offset += torch.where(inside, steps, 0.0).sum()
        return factors / len(present), offset / len(present)


def jaccard_steps(inside: Tensor, dtype: torch.dtype) -> Tensor:
    """J(i) - J(i-1) for rows in order of falling error.

    Args:
        inside: (N,) bool, whether the row is of the class; at least one is.
        dtype: of the result.
    """
    # Counted in float64: float32 has no unit left above 16,777,216 rows.
    total = inside.sum().double()
    intersection = total - inside.double().cumsum(0)
    union = total + (~inside).double().cumsum(0)
    loss = 1 - intersection / union
    return torch.diff(loss, prepend=loss.new_zeros(1)).to(dtype)


class LovaszConfig(LossConfig):
    """Options of :class:`LovaszSoftmax`; it has none."""

    type: Literal["lovasz"] = "lovasz"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LogitTerm:
        return LogitTerm(LovaszSoftmax())
