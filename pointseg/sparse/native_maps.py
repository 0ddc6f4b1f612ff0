"""Kernel maps of sorted grids in C: a walk over both sides for each column of taps, in all threads."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.sparse.native_library import native_library

#: Taps of a column that the C code has room for.
_MAX_KERNEL = 64


def can_find_pairs(device: torch.device, kernel_size: int) -> bool:
    """Whether :func:`find_sorted_pairs` can be called."""
    return device.type == "cpu" and kernel_size <= _MAX_KERNEL and native_library() is not None


def find_sorted_pairs(
    source_keys: Tensor,
    target_keys: Tensor,
    column_shifts: list[int],
    step: int,
    kernel_size: int,
    *,
    mirrored: bool,
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Pairs of ranks with source key = target key + shift of the tap, by tap; within a tap both ascend.

    Args:
        source_keys: (N,) int64, ascending, none twice.
        target_keys: (M,) int64, likewise; the same tensor where ``mirrored``.
        column_shifts: K^2 shifts of the lowest tap of each column; tap ``column + i * K^2`` is i steps above.
        step: what a step along a column adds to a key.
        kernel_size: K.
        mirrored: whether both sides are one grid and K is odd, so that half of the taps give the others.

    Returns:
        Source and target ranks, (P,) int32 each, and K^3 + 1 positions at which the taps start.
    """
    area, num_taps = kernel_size**2, kernel_size**3
    columns = [(shift, column, kernel_size) for column, shift in enumerate(column_shifts)]
    if mirrored:
        centre, half = area // 2, kernel_size // 2
        # Of the middle column the half above the centre.
        above = (column_shifts[centre] + (half + 1) * step, centre + (half + 1) * area, half)
        columns = columns[:centre] + ([above] if half else [])
    shifts, first_taps, column_taps = torch.tensor(columns, dtype=torch.int64).reshape(-1, 3).T.contiguous()
    counts = torch.zeros(num_taps, dtype=torch.int64)

    def walk(starts: Tensor | None, source: Tensor | None, target: Tensor | None) -> None:
        results = (None if t is None else t.data_ptr() for t in (starts, source, target))
        native_library().pointseg_pairs(
            torch.get_num_threads(), source_keys.data_ptr(), len(source_keys), target_keys.data_ptr(),
            len(target_keys), step, shifts.data_ptr(), first_taps.data_ptr(), column_taps.data_ptr(),
            len(shifts), area, num_taps - 1 if mirrored else 0, counts.data_ptr(), *results,
        )  # fmt: skip

    walk(None, None, None)
    if mirrored:
        counts += counts.flip(0)
        counts[num_taps // 2] = len(source_keys)
    starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    source = torch.empty(int(starts[-1]), dtype=torch.int32)
    target = torch.empty_like(source)
    walk(starts, source, target)
    positions = tuple(starts.tolist())
    if mirrored:
        itself = slice(positions[num_taps // 2], positions[num_taps // 2 + 1])
        torch.arange(len(source_keys), dtype=torch.int32, out=source[itself])
        target[itself] = source[itself]
    return source, target, positions
