"""Confusion: the counts behind every number we report, those of the official evaluation to the integer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointseg.core.rows import IGNORE

Indices = npt.NDArray[np.integer] | Tensor


class Confusion:
    """How often a vertex of class r was predicted as class c, summed over all scenes.

    Rows are true classes 0..K-1; columns are predicted classes 0..K-1 and, last, UNKNOWN: a prediction
    outside the label set. An UNKNOWN prediction is a miss of the true class and a false alarm of nobody.
    A vertex whose truth is IGNORE is not counted, whatever is predicted there.

    Args:
        num_classes: K.
        counts: (K, K+1) int64 counts to start from; zeros if None.

    Source: ScanNet, BenchmarkScripts/3d_evaluation/evaluate_semantic_label.py, which has rows and columns by
    raw id and the same UNKNOWN column.
    """

    def __init__(self, num_classes: int, counts: npt.ArrayLike | None = None) -> None:
        if num_classes < 1:
            raise ValueError(f"A confusion matrix needs at least one class; got {num_classes}.")
        shape = (num_classes, num_classes + 1)
        if counts is None:
            self.counts: npt.NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
        else:
            self.counts = np.array(counts, dtype=np.int64)
            if self.counts.shape != shape or bool((self.counts < 0).any()):
                raise ValueError(f"Counts of {num_classes} classes must be {shape}, not negative.")

    @property
    def num_classes(self) -> int:
        return self.counts.shape[0]

    @property
    def unknown(self) -> int:
        """Column of predictions outside the label set."""
        return self.num_classes

    def update(self, truth_train_index: Indices, predicted_train_index: Indices) -> Confusion:
        """Count (P,) vertices, numpy or torch; returns itself.

        Args:
            truth_train_index: (P,) 0..K-1, or IGNORE for vertices that do not count.
            predicted_train_index: (P,) any integer; outside 0..K-1 counts as UNKNOWN.

        Raises:
            ValueError: for different lengths, no integers, or a truth that is no train index.
        """
        truth = _as_int64(truth_train_index, "truth")
        predicted = _as_int64(predicted_train_index, "prediction")
        if truth.shape != predicted.shape:
            raise ValueError(
                f"Truth and prediction must be equally many; got {truth.shape} and {predicted.shape}."
            )
        counted = (truth >= 0) & (truth < self.num_classes)
        if not bool(np.all(counted | (truth == IGNORE))):
            wrong = np.unique(truth[~counted & (truth != IGNORE)])[:10].tolist()
            raise ValueError(
                f"The truth must be train indices 0..{self.num_classes - 1} or {IGNORE} (unlabelled); got "
                f"{wrong}. Raw ids have to go through LabelSpace.encode first."
            )
        truth, predicted = truth[counted], predicted[counted]
        known = (predicted >= 0) & (predicted < self.num_classes)
        cell = truth * (self.num_classes + 1) + np.where(known, predicted, self.unknown)
        self.counts += np.bincount(cell, minlength=self.counts.size).reshape(self.counts.shape)
        return self

    def merge(self, other: Confusion) -> Confusion:
        """Add the counts of another part of the data; returns itself. The order does not matter."""
        if other.num_classes != self.num_classes:
            raise ValueError(
                f"Confusions of {self.num_classes} and {other.num_classes} classes cannot be merged; "
                "both must be of one label set."
            )
        self.counts += other.counts
        return self

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(K,) vertices of each class in the ground truth."""
        return self.counts.sum(axis=1)

    @property
    def tp(self) -> npt.NDArray[np.int64]:
        """(K,) vertices of each class that were found."""
        return self.counts.diagonal().copy()

    @property
    def fp(self) -> npt.NDArray[np.int64]:
        """(K,) labelled vertices of other classes that were taken for each class."""
        return self.counts[:, : self.num_classes].sum(axis=0) - self.tp

    @property
    def fn(self) -> npt.NDArray[np.int64]:
        """(K,) vertices of each class that were missed, UNKNOWN predictions among them."""
        return self.truth - self.tp

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Confusion) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Confusion(num_classes={self.num_classes}, vertices={int(self.counts.sum())})"


def _as_int64(values: Indices, what: str) -> npt.NDArray[np.int64]:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"The {what} must be (P,) integers; got shape {array.shape}, {array.dtype}.")
    return array.astype(np.int64, copy=False)
