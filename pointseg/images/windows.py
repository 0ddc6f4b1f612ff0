"""The choice of a training window: one that is not nearly all of one class, where there is such a one."""

from __future__ import annotations

import torch
from torch import Tensor

#: Windows drawn anew where the first is of one class; the last of them is taken as it comes.
NUM_REDRAWN = 10
#: Of a window every so manieth pixel is looked at, down and across.
_EVERY = 8


def varied_windows(
    labels: Tensor,
    factor: Tensor,
    top: Tensor,
    left: Tensor,
    size: tuple[int, int],
    *,
    num_labels: int,
    max_share: float,
) -> Tensor:
    """(B,) int64 the first of C windows of each image with two classes and none with ``max_share`` of them.

    Where there is none it is the last. Shares are of the labelled pixels, counted on every eighth pixel.

    Args:
        labels: (B, H, W) integers; 0 is unlabelled, and so is what lies beyond the image.
        factor: (B,) by which an image is scaled before a window is cut.
        top, left: (B, C) where windows begin in the scaled image, in pixels; negative before it.
        size: (height, width) of a window.
        num_labels: labels are 0..num_labels-1.
        max_share: of the commonest class, in (0, 1).

    Source: ``cat_max_ratio`` of mmsegmentation's RandomCrop, which counts all pixels.
    """
    count, number = top.shape
    rows, inside_y = _source(top, factor, size[0], labels.shape[1])
    columns, inside_x = _source(left, factor, size[1], labels.shape[2])
    image = torch.arange(count, device=labels.device)[:, None, None, None]
    seen = labels[image, rows[..., :, None], columns[..., None, :]].long()
    seen = torch.where(inside_y[..., :, None] & inside_x[..., None, :], seen, 0).flatten(2)
    counts = torch.zeros(count, number, num_labels, device=labels.device)
    counts = counts.scatter_add_(2, seen, torch.ones_like(seen, dtype=counts.dtype))[..., 1:]
    total, most = counts.sum(2), counts.amax(2)
    varied = ((counts > 0).sum(2) > 1) & (most < max_share * total)
    varied[:, -1] = True
    return varied.int().argmax(1)


def _source(start: Tensor, factor: Tensor, length: int, limit: int) -> tuple[Tensor, Tensor]:
    """(B, C, n) pixels of the image along one side of its windows, and whether they are in the image."""
    along = torch.arange(_EVERY // 2, length, _EVERY, device=start.device)
    along = along if len(along) else torch.zeros(1, dtype=torch.int64, device=start.device)
    # The centre of pixel i lies at i + 0.5, in the image and in the window.
    place = ((start[..., None] + along + 0.5) / factor[:, None, None]).floor().long()
    return place.clamp(0, limit - 1), (place >= 0) & (place < limit)
