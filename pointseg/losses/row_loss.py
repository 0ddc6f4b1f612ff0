"""RowLoss: what losses of logits and labels alone share; and RowMean, a mean of losses of single rows."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.core.rows import IGNORE, Branch, Supervised
from pointseg.losses.base import LossTerm, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.layout import as_rows, at_least_float32, checked_labels


class RowLoss(LossTerm):
    """Base of losses that see logits and labels; it may be called on these, or be a term of an objective.

    Args:
        num_classes: K, where the loss is made for a number of classes, or None.
        ignore_index: label of rows to leave out, when called.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, 0 and connected
    to the logits if there is no labelled row.
    """

    needs_features = False

    def __init__(self, *, num_classes: int | None = None, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index

    def forward(self, logits: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """Scalar loss; ``sample`` (N,) is the scene of each row, where the loss asks for it."""
        return self.of(self.as_supervised(logits, labels, sample))

    def as_supervised(self, logits: Tensor, labels: Tensor, sample: Tensor | None = None) -> Supervised:
        """What it is called with, as rows; those to leave out are labelled IGNORE.

        Raises:
            ValueError: for shapes, labels or a number of classes that do not belong together.
        """
        if self.num_classes not in (None, logits.shape[1]):
            raise ValueError(
                f"{type(self).__name__} was made for {self.num_classes} classes, but the logits have "
                f"{logits.shape[1]}; make it with one prior or weight for each of their classes."
            )
        labels = checked_labels(logits, labels, num_classes=logits.shape[1], ignore_index=self.ignore_index)
        rows = at_least_float32(as_rows(logits))
        number, sample = sample_of_rows(labels, sample)
        return Supervised((Branch(rows),), labels.flatten(), sample, num_samples=number, features=rows)


class RowMean(RowLoss):
    """Base of means over rows; subclasses define :meth:`row_losses`, and the mass of weighted means."""

    linear = True

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        """(N,) losses of (N, K) logits, float32 or wider; 0 for rows whose label is IGNORE."""
        raise TypeError(f"{type(self).__name__} must define row_losses(logits, labels, facts).")

    def mass(self, facts: BatchFacts) -> Tensor:
        """What the sum of the losses is divided by: the number of rows, unless they are weighted."""
        return facts.num_rows

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        return {"loss": self.row_losses(rows.logits, rows.labels, facts).sum()}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        mass = self.mass(facts)
        # The sum is zero too where no row has a label.
        return sums["loss"] / torch.where(mass > 0, mass, 1)


def class_mass(weights: Tensor, facts: BatchFacts) -> Tensor:
    """Sum over the rows of the (K,) weight of their class."""
    return (weights.double() * facts.rows).sum().to(weights.dtype)


def sample_of_rows(labels: Tensor, sample: Tensor | None) -> tuple[int, Tensor]:
    """Number of samples, and the sample of each row in the order of ``labels.flatten()``.

    Args:
        labels: (N,), or (B, *S) where each of the B is a sample.
        sample: (N,) sample of each row, or None; rows (N,) without it are of one sample.
    """
    if sample is not None:
        # To look for the largest waits for a device.
        return (int(sample.max()) + 1 if sample.numel() else 1), sample
    if labels.ndim == 1:
        return 1, torch.zeros_like(labels)
    image = torch.arange(len(labels), device=labels.device)
    return len(labels), image.repeat_interleave(labels[0].numel() if len(labels) else 0)


def labelled_rows(
    values: Tensor, labels: Tensor, num_classes: int, ignore_index: int, sample: Tensor | None = None
) -> Supervised:
    """Features of any layout as rows, float32 or wider, those with a class only.

    Raises:
        ValueError: if the shapes do not belong together, or for a label that is no class.
    """
    labels = checked_labels(values, labels, num_classes=num_classes, ignore_index=ignore_index)
    number, sample = sample_of_rows(labels, sample)
    rows, targets = at_least_float32(as_rows(values)), labels.flatten()
    keep = targets >= 0
    # Training rows arrive without ignored ones: no copy of (N, C) then.
    if not bool(keep.all()):
        rows, targets, sample = rows[keep], targets[keep], sample[keep]
    # Losses of features look at no logits but for the number of classes.
    scores = rows.new_zeros(len(rows), num_classes)
    return Supervised((Branch(scores),), targets, sample, num_samples=number, features=rows)
