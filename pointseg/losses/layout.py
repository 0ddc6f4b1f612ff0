"""From the layouts that people have to the rows that losses think in, with a check of the labels."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.core.rows import IGNORE


def at_least_float32(values: Tensor) -> Tensor:
    """float16 and bfloat16 to float32: float16 ends at 65,504, fewer than the wall points of one batch."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def as_rows(values: Tensor) -> Tensor:
    """(N, C) or (B, C, *S) -> (N, C), rows in the order of ``labels.flatten()``."""
    return values if values.ndim == 2 else values.movedim(1, -1).reshape(-1, values.shape[1])


def checked_labels(values: Tensor, labels: Tensor, *, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
    """Labels with IGNORE in place of the caller's ignore index, in the layout they came in.

    Args:
        values: logits or features, (N, C) or (B, C, *S).
        labels: (N,) or (B, *S) integers in 0..K-1 or ``ignore_index``.
        num_classes: K.
        ignore_index: label of rows to leave out.

    Raises:
        ValueError: if the shapes do not belong together, or for any other label.
    """
    if values.ndim < 2 or labels.shape != (values.shape[0], *values.shape[2:]):
        raise ValueError(
            "Expected values (N, C) with labels (N,), or (B, C, H, W) with (B, H, W); "
            f"got {tuple(values.shape)} with {tuple(labels.shape)}."
        )
    ignored = labels == ignore_index
    wrong = ((labels < 0) | (labels >= num_classes)) & ~ignored
    if bool(wrong.any()):
        raise ValueError(
            f"Labels must be 0..{num_classes - 1} or the ignore index {ignore_index}; "
            f"got {labels[wrong].unique()[:10].tolist()}. If that marks unlabelled rows, pass it as "
            "ignore_index."
        )
    return labels.long().masked_fill(ignored, IGNORE)
