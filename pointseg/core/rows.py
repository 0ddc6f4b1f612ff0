"""The view that losses and metrics share: labelled rows by classes, whatever the dimension of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointseg.core.labels import IGNORE
from pointseg.core.take import take_rows

__all__ = ["IGNORE", "Supervised", "Suppressed", "drop_unlabelled"]


@dataclass(frozen=True)
class Suppressed:
    """What a class-suppressing head adds to a prediction (DropClass).

    Args:
        logits: (N, K) logits computed from the suppressed features, row by row beside the plain ones.
        dropped: (M,) int64 train indices of the classes that were suppressed in this forward.
        share: weight of the suppressed logits' loss, in [0, 1]; that of the plain ones' is the rest.
        alpha: weight of the penalty on the probability of the dropped classes.
    """

    logits: Tensor
    dropped: Tensor
    share: float = 1.0
    alpha: float = 10.0


@dataclass(frozen=True)
class Supervised:
    """The labelled rows of one batch: all that a loss may look at. Unlabelled rows are already gone.

    Args:
        logits: (N, K) class scores before softmax.
        labels: (N,) int64 train indices in 0..K-1.
        sample: (N,) int64 index in 0..num_samples-1 of the scene or image each row comes from.
        num_samples: number of scenes or images in the batch, those without a labelled row included.
        features: (N, D) embedding just before the classifier.
        classifier_weight: (K, D) weight of the linear classifier, or None where there is none.
        suppressed: second logits of a class-suppressing head, or None.
        progress: share of the training that is done, in [0, 1].
        all_labelled: whether every label is a class, which is so but for losses on suppressed logits.
    """

    logits: Tensor
    labels: Tensor
    sample: Tensor
    num_samples: int
    features: Tensor
    classifier_weight: Tensor | None = None
    suppressed: Suppressed | None = None
    progress: float = 0.0
    all_labelled: bool = True

    @property
    def num_classes(self) -> int:
        return self.logits.shape[1]


def drop_unlabelled(
    logits: Tensor,
    labels: Tensor,
    sample: Tensor,
    *,
    num_samples: int,
    features: Tensor,
    classifier_weight: Tensor | None = None,
    suppressed: Suppressed | None = None,
    progress: float = 0.0,
    labelled: Tensor | None = None,
) -> Supervised:
    """Keep the rows whose label is not IGNORE: the one place where unlabelled rows leave the computation.

    Args: see :class:`Supervised`; here ``labels`` may hold IGNORE. ``labelled`` are the rows to keep, where
    they are known and their labels checked: finding them waits for the device.

    Raises:
        ValueError: if a label is neither IGNORE nor one of the K classes.
    """
    rows = _labelled_rows(labels, logits.shape[1]) if labelled is None else labelled
    return Supervised(
        logits=take_rows(logits, rows),
        labels=labels[rows],
        sample=sample[rows],
        num_samples=num_samples,
        features=take_rows(features, rows),
        classifier_weight=classifier_weight,
        suppressed=None
        if suppressed is None
        else replace(suppressed, logits=take_rows(suppressed.logits, rows)),
        progress=progress,
    )


def _labelled_rows(labels: Tensor, num_classes: int) -> Tensor:
    """(M,) int64 rows with a class.

    Raises:
        ValueError: if a label is neither IGNORE nor one of the K classes.
    """
    keep = labels != IGNORE
    if bool(((labels >= num_classes) | ((labels < 0) & keep)).any()):
        wrong = labels[(labels >= num_classes) | ((labels < 0) & keep)].unique().tolist()
        raise ValueError(
            f"Labels must be train indices 0..{num_classes - 1} or {IGNORE} (unlabelled); got {wrong[:10]}. "
            "Raw ids have to go through LabelSpace.encode first."
        )
    return torch.nonzero(keep).squeeze(1)
