"""The view that losses and metrics share: labelled rows by classes, whatever the dimension of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pointseg.core.labels import IGNORE
from pointseg.core.surroundings import Surroundings
from pointseg.core.take import take_rows

__all__ = ["IGNORE", "MAIN", "Branch", "Supervised", "drop_unlabelled"]

#: Name of the head that a network has in any case, and of its labels.
MAIN = "main"


@dataclass(frozen=True)
class Branch:
    """One set of class scores. A head may give several; each has a classification loss of its own.

    Weight and ignored classes are the same for all parts (processes, micro-batches) of a step.

    Args:
        logits: class scores before softmax, laid out as its prediction or as its rows.
        weight: of this branch's classification loss; those of a prediction add up to one, unless the authors
            of its head add up whole losses.
        ignored: (M,) int64 train indices whose rows this branch's loss leaves out; None for none.
    """

    logits: Tensor
    weight: float = 1.0
    ignored: Tensor | None = None


@dataclass(frozen=True)
class Supervised:
    """The labelled rows of one batch: all that a loss may look at. Unlabelled rows are already gone.

    Args:
        branches: sets of class scores (N, K), at least one; the first one's are ``logits``.
        labels: (N,) int64 train indices in 0..K-1.
        sample: (N,) int64 index in 0..num_samples-1 of the scene or image each row comes from.
        num_samples: number of scenes or images in the batch, those without a labelled row included.
        features: (N, D) embedding just before the classifier.
        classifier_weight: (K, D) weight of the linear classifier, or None where there is none.
        progress: share of the training that is done, in [0, 1].
        surroundings: what lies around each row, where a loss asks for it, or None.
    """

    branches: tuple[Branch, ...]
    labels: Tensor
    sample: Tensor
    num_samples: int
    features: Tensor
    classifier_weight: Tensor | None = None
    progress: float = 0.0
    surroundings: Surroundings | None = None

    @property
    def logits(self) -> Tensor:
        """(N, K) class scores of the first branch."""
        return self.branches[0].logits

    @property
    def num_classes(self) -> int:
        return self.logits.shape[1]

    def of_branch(self, number: int) -> Supervised:
        """The rows as the classification loss of one branch sees them: IGNORE for its ignored classes.

        They are masked, not picked: how many they are only the device knows, and to ask it would be to wait.
        """
        branch = self.branches[number]
        labels = self.labels
        if branch.ignored is not None:
            labels = labels.masked_fill(torch.isin(labels, branch.ignored), IGNORE)
        return replace(self, branches=(Branch(branch.logits),), labels=labels)


def drop_unlabelled(
    branches: tuple[Branch, ...],
    labels: Tensor,
    sample: Tensor,
    *,
    num_samples: int,
    features: Tensor,
    classifier_weight: Tensor | None = None,
    progress: float = 0.0,
    labelled: Tensor | None = None,
    table: Tensor | None = None,
) -> Supervised:
    """Keep the rows whose label is not IGNORE: the one place where unlabelled rows leave the computation.

    Args: see :class:`Supervised`; here ``labels`` may hold IGNORE. ``labelled`` are the rows to keep, where
    they are known and their labels checked: finding them waits for the device. ``table`` (T, M) says which
    rows lie around each, see Surroundings.of, where a loss asks for it.

    Raises:
        ValueError: if a label is neither IGNORE nor one of the K classes.
    """
    rows = _labelled_rows(labels, branches[0].logits.shape[1]) if labelled is None else labelled
    return Supervised(
        branches=tuple(replace(branch, logits=take_rows(branch.logits, rows)) for branch in branches),
        labels=labels[rows],
        sample=sample[rows],
        num_samples=num_samples,
        features=take_rows(features, rows),
        classifier_weight=classifier_weight,
        progress=progress,
        surroundings=None if table is None else Surroundings.of(table, rows),
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
