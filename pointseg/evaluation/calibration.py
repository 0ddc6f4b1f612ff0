"""Calibration: whether a network is right as often as it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Bins of equal width that confidences are sorted into.
NUM_BINS = 15

Floats = npt.NDArray[np.float64]


class Calibration:
    """Confidence and correctness of predictions, by bins of confidence and by group of the true class.

    Args:
        num_groups: G groups.
        counts: (G, NUM_BINS, 3) to start from: predictions, right ones, sum of confidences; zeros if None.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """

    def __init__(self, num_groups: int, counts: npt.ArrayLike | None = None) -> None:
        shape = (num_groups, NUM_BINS, 3)
        self.counts: Floats = np.zeros(shape) if counts is None else np.array(counts, dtype=np.float64)
        if self.counts.shape != shape:
            raise ValueError(f"Calibration counts must be {shape}; got {self.counts.shape}.")

    def update(
        self,
        confidence: npt.NDArray[np.floating],
        is_right: npt.NDArray[np.bool_],
        group: npt.NDArray[np.integer],
    ) -> None:
        """Add (P,) predictions: probability, whether they are right, and group of the true class."""
        # The upper edge belongs to a bin, as in the paper: 1 is in the last one.
        place = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
        cell = group * NUM_BINS + place
        for column, weight in enumerate((None, is_right, confidence)):
            added = np.bincount(cell, weights=weight, minlength=self.counts[..., 0].size)
            self.counts[..., column] += added.reshape(self.counts.shape[:2])

    def curve(self, group: int | None = None) -> tuple[Floats, Floats, Floats]:
        """Mean confidence, share of right ones, and number of predictions of each bin; NaN in empty bins.

        Args:
            group: one group, or None for all together.
        """
        number, right, confidence = np.moveaxis(self._of(group), 1, 0)
        per_one = np.divide(1.0, number, out=np.full_like(number, np.nan), where=number > 0)
        return confidence * per_one, right * per_one, number

    def expected_error(self, group: int | None = None) -> float | None:
        """Expected calibration error: mean distance of confidence and share of right ones over the bins, each
        weighed by its predictions; None without any.
        """
        number, right, confidence = np.moveaxis(self._of(group), 1, 0)
        total = float(number.sum())
        return float(np.abs(right - confidence).sum() / total) if total else None

    def _of(self, group: int | None) -> Floats:
        chosen: Floats = self.counts.sum(axis=0) if group is None else self.counts[group]
        return chosen
