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
from dataclasses import replace

import torch
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.rows import IGNORE, Supervised
from pointseg.losses.base import LossTerm
from pointseg.losses.layout import checked_labels
from pointseg.losses.softmax_rows import class_probability, mean_cross_entropy

#: Name of the penalty among the terms of an objective.
PENALTY = "suppression"


def without_classes(labels: Tensor, classes: Tensor) -> Tensor:
    """Labels with IGNORE in place of ``classes`` (M,)."""
    return labels.masked_fill(torch.isin(labels, classes), IGNORE)


class ClassSuppression(nn.Module):
    """The loss of a prediction by ClassSuppressionHead, for anybody's training loop.

    Args:
        base: classification loss, called as ``base(logits, labels)`` and leaving label -100 out: such as
            PixelAdaptive() or TiltedCrossEntropy(1.0). None for the cross entropy.
        ignore_index: label of rows to leave out.

    Shapes: a prediction for features (N, D) with labels (N,), or (B, D, H, W) with (B, H, W); returns a
    scalar. Without a labelled row it is 0, connected to the logits.

    Departure: the penalty's mean goes over the labelled rows; unlabelled ones take no part in any loss here.
    """

    def __init__(self, base: nn.Module | None = None, *, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.base: Callable[[Tensor, Tensor], Tensor] = mean_cross_entropy if base is None else base
        self.dropped_base = copy.deepcopy(self.base)
        self.ignore_index = ignore_index

    def forward(self, prediction: Prediction, labels: Tensor) -> Tensor:
        logits, suppressed = prediction.logits, prediction.suppressed
        labels = checked_labels(logits, labels, num_classes=logits.shape[1], ignore_index=self.ignore_index)
        if suppressed is None:
            return self.base(logits, labels)
        kept = without_classes(labels, suppressed.dropped)
        share = suppressed.share
        loss = (1 - share) * self.base(logits, labels) + share * self.dropped_base(suppressed.logits, kept)
        if len(suppressed.dropped) == 0:
            return loss
        valid = labels >= 0
        probability = class_probability(suppressed.logits, suppressed.dropped)
        penalty = torch.where(valid, probability, torch.zeros_like(probability)).sum()
        return loss + suppressed.alpha * penalty / valid.sum().clamp(min=1)


class OnBothBranches(LossTerm):
    """A classification term of the objective on the plain and on the suppressed logits: (1 - p) l + p l_drop.

    Args:
        plain: the term for the plain logits; without a suppressing head it is all there is.
        dropped: another of the same kind, for the suppressed logits.
    """

    def __init__(self, plain: LossTerm, dropped: LossTerm) -> None:
        super().__init__()
        self.plain, self.dropped = plain, dropped
        self.accepts_ignored = plain.accepts_ignored

    def forward(self, supervised: Supervised) -> Tensor:
        suppressed = supervised.suppressed
        plain = replace(supervised, suppressed=None)
        if suppressed is None:
            return self.plain(plain)  # type: ignore[no-any-return]
        labels = without_classes(plain.labels, suppressed.dropped)
        share = suppressed.share
        all_labelled = plain.all_labelled and len(suppressed.dropped) == 0
        view = replace(plain, logits=suppressed.logits, labels=labels, all_labelled=all_labelled)
        dropped = self._dropped_loss(view)
        return (1 - share) * self.plain(plain) + share * dropped

    def _dropped_loss(self, view: Supervised) -> Tensor:
        if self.accepts_ignored or view.all_labelled:
            return self.dropped(view)  # type: ignore[no-any-return]
        rows = torch.nonzero(view.labels >= 0).squeeze(1)
        if len(rows) == 0:
            return view.logits.sum() * 0
        if len(rows) < len(view.labels):
            view = replace(
                view,
                logits=view.logits[rows],
                labels=view.labels[rows],
                sample=view.sample[rows],
                features=view.features[rows],
                all_labelled=True,
            )
        return self.dropped(view)  # type: ignore[no-any-return]


class SuppressionPenalty(LossTerm):
    """alpha times the mean probability of the dropped classes; 0 where nothing was dropped. In [0, alpha]."""

    def forward(self, supervised: Supervised) -> Tensor:
        suppressed = supervised.suppressed
        if suppressed is None or len(suppressed.dropped) == 0:
            return supervised.logits.sum() * 0
        return suppressed.alpha * class_probability(suppressed.logits, suppressed.dropped).mean()
