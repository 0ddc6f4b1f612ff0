"""The same bits in every run on one GPU, for ``train.deterministic``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic_sums(asked: bool) -> Iterator[None]:
    """Sums of one order where torch has them, for a while; an operation without one raises its name.

    Our own kernels have one order always. Sums over the rows of a class, which torch would make by atomics on
    a GPU, in whatever order they come, are made of sorted stretches (``pointseg.losses.sorted_sums``); for
    all else torch's own forms in one order serve. Tile sizes are not measured: another tile is another order.
    On a CPU nothing changes. ``benchmarks/gpu.md`` lists what a step adds up, and how.

    Args:
        asked: without it this does nothing.
    """
    if not asked:
        yield
        return
    was_on = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # cuBLAS reads it when it makes its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Every element is written by somebody; to fill them first would cost as much again.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warned)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
