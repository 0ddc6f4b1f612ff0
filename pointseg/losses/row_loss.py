"""RowLoss: what losses of logits and labels alone share, and LogitTerm, which makes them a term."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointseg.core.rows import IGNORE, Supervised
from pointseg.losses.base import LossTerm
from pointseg.losses.layout import as_rows, at_least_float32, checked_labels


class RowLoss(nn.Module):
    """Base of losses that see logits and labels. Subclasses define :meth:`of_rows`.

    Args:
        num_classes: K, where the loss is made for a number of classes, or None.
        ignore_index: label of rows to leave out.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, 0 and connected
    to the logits if there is no labelled row.
    """

    def __init__(self, *, num_classes: int | None = None, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.num_classes not in (None, logits.shape[1]):
            raise ValueError(
                f"{type(self).__name__} was made for {self.num_classes} classes, but the logits have "
                f"{logits.shape[1]}; make it with one prior or weight for each of their classes."
            )
        return self.of_labelled(*labelled_rows(logits, labels, logits.shape[1], self.ignore_index))

    def of_labelled(self, logits: Tensor, labels: Tensor) -> Tensor:
        """As :meth:`of_rows`, also for no row; a loss with state moves it here."""
        # The sum over no row is a zero with a gradient.
        return self.of_rows(logits, labels) if len(labels) else logits.sum()

    def of_rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (N, K) logits, float32 or wider, and (N,) labels in 0..K-1, N >= 1."""
        raise TypeError(f"{type(self).__name__} must define of_rows(logits, labels) -> scalar.")


class LogitTerm(LossTerm):
    """A loss of logits and labels, on the rows of a batch.

    Args:
        loss: of (logits (N, K), labels (N,)), of which some or all labels may be IGNORE.
    """

    accepts_ignored = True

    def __init__(self, loss: RowLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, supervised: Supervised) -> Tensor:
        return loss_of(self.loss, supervised)


def loss_of(loss: RowLoss, supervised: Supervised) -> Tensor:
    """The loss of a batch, whose labels were checked when it was made: a second look would wait for a GPU."""
    logits, labels = supervised.logits, supervised.labels
    if not supervised.all_labelled:
        rows = torch.nonzero(labels >= 0).squeeze(1)
        logits, labels = logits[rows], labels[rows]
    return loss.of_labelled(logits, labels)


def labelled_rows(
    values: Tensor, labels: Tensor, num_classes: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Any layout -> (N, C) float32 or wider and (N,) int64, the rows with a class only.

    Raises:
        ValueError: if the shapes do not belong together, or for a label that is no class.
    """
    targets = checked_labels(values, labels, num_classes=num_classes, ignore_index=ignore_index).flatten()
    rows = as_rows(at_least_float32(values))
    keep = targets >= 0
    # Training rows arrive without ignored ones: no copy of (N, C) then.
    return (rows, targets) if bool(keep.all()) else (rows[keep], targets[keep])
