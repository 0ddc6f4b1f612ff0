"""DropClass: training on suppressed features beside the plain ones, and a penalty on the suppressed classes.

The features are suppressed by a head (pointseg.models.suppression); here is what is made of its two sets of
logits. For a classification loss l of any kind, with p the share of the suppressed branch (progress of the
training):

    L = (1 - p) l(h(A), y) + p l(h(A_drop), y without the dropped classes) + alpha mean
    softmax(h(A_drop))_dropped

and the last term only where something was dropped. In the released code l is the cross entropy; any other is
an addition, in which both branches have a loss of their own, so that running state is not mixed.

Source: Chu, Kim, Han, "Learning Debiased and Disentangled Representations for Semantic Segmentation"
(DropClass), NeurIPS 2021, arXiv 2111.00531, and its released code.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.rows import IGNORE
from pointseg.losses.layout import checked_labels
from pointseg.losses.softmax_rows import class_probability, mean_cross_entropy


class ClassSuppression(nn.Module):
    """The loss of a prediction by ClassSuppressionHead, for anybody's training loop.

    Args:
        base: classification loss, called as ``base(logits, labels)`` and leaving label -100 out: such as
            PixelAdaptive() or TiltedCrossEntropy(1.0). None for the cross entropy.
        alpha: weight of the penalty on the probability of the dropped classes.
        ignore_index: label of rows to leave out.

    Shapes: a prediction for features (N, D) with labels (N,), or (B, D, H, W) with (B, H, W); returns a
    scalar. Without a labelled row it is 0, connected to the logits.

    Departure: the penalty's mean goes over the labelled rows; unlabelled ones take no part in any loss here.
    """

    def __init__(
        self, base: nn.Module | None = None, *, alpha: float = 10.0, ignore_index: int = IGNORE
    ) -> None:
        super().__init__()
        if not alpha >= 0:
            raise ValueError(f"alpha must be 0 or more; got {alpha}.")
        self.base: Callable[[Tensor, Tensor], Tensor] = mean_cross_entropy if base is None else base
        self.dropped_base = copy.deepcopy(self.base)
        self.alpha, self.ignore_index = alpha, ignore_index

    def forward(self, prediction: Prediction, labels: Tensor) -> Tensor:
        logits = prediction.logits
        labels = checked_labels(logits, labels, num_classes=logits.shape[1], ignore_index=self.ignore_index)
        if len(prediction.branches) == 1:
            return self.base(logits, labels)
        plain, suppressed = prediction.branches
        dropped = logits.new_zeros(0, dtype=torch.int64) if suppressed.ignored is None else suppressed.ignored
        kept = labels.masked_fill(torch.isin(labels, dropped), IGNORE)
        loss = plain.weight * self.base(logits, labels)
        loss = loss + suppressed.weight * self.dropped_base(suppressed.logits, kept)
        if len(dropped) == 0:
            return loss
        valid = labels >= 0
        probability = class_probability(suppressed.logits, dropped)
        penalty = torch.where(valid, probability, torch.zeros_like(probability)).sum()
        return loss + self.alpha * penalty / valid.sum().clamp(min=1)
