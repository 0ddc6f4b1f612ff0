"""Sums of rows by bin in one order, without atomics: what ``train.deterministic`` takes on a GPU.

torch's own deterministic ``index_add`` sorts too, but then adds all rows of a bin one after the other, and a
floor has a third of all points. Here a bin is cut into stretches that are summed side by side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: Rows of a stretch.
_STRETCH = 256


def are_wanted(values: Tensor) -> bool:
    """Whether sums of these must have one order and would not have it by themselves."""
    return values.is_cuda and torch.are_deterministic_algorithms_enabled()


def sorted_sums(values: Tensor, bins: Tensor, num_bins: int) -> Tensor:
    """Sum of the rows of each bin, as ``zeros.index_add(0, bins, values)``; the host learns nothing.

    Args:
        values: (N,) or (N, D) floats.
        bins: (N,) int64, 0..num_bins-1.
        num_bins: number of bins.

    Returns:
        (num_bins,) or (num_bins, D); differentiable in ``values``.
    """
    return _SortedSums.apply(values, bins, num_bins)  # type: ignore[no-any-return]


def sorted_counts(bins: Tensor, num_bins: int) -> Tensor:
    """(num_bins,) int64 number of rows of each bin."""
    return _starts(bins.sort().values, num_bins).diff()


def _starts(ascending: Tensor, num_bins: int) -> Tensor:
    """(num_bins + 1,) int64: where each bin begins, and the end of the last."""
    return torch.searchsorted(ascending, torch.arange(num_bins + 1, device=ascending.device))


class _SortedSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, bins: Tensor, num_bins: int) -> Tensor:
        ctx.save_for_backward(bins)
        if not len(values):
            return values.new_zeros(num_bins, *values.shape[1:])
        ascending, order = bins.sort(stable=True)
        starts = _starts(ascending, num_bins)
        # Stretches end where a bin ends and after every 256th row: their number is known, their lengths are
        # the device's own affair, and some are zero.
        ends = torch.arange(0, len(bins), _STRETCH, device=bins.device)
        borders = torch.cat([ends, starts]).sort().values
        stretches = _segments(values.index_select(0, order), borders)
        return _segments(stretches, torch.searchsorted(borders, starts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (bins,) = ctx.saved_tensors
        return gradient.index_select(0, bins), None, None


def _segments(values: Tensor, borders: Tensor) -> Tensor:
    """Sums of the rows between neighbouring borders, which ascend."""
    # The lengths are right; to check them would ask the device twice.
    return torch.segment_reduce(values, "sum", lengths=borders.diff(), axis=0, unsafe=True)
