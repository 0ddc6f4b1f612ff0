"""The same bits in every run, for ``train.deterministic``."""

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
    On a CPU see :func:`one_thread`. ``benchmarks/gpu.md`` lists what a step adds up, and how.

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


def one_thread(device: torch.device) -> str:
    """Compute with one thread on a CPU, and what to tell people of how far the same bits go.

    Several threads each add up a share of the rows, so that their number is in the last digits of every mean
    and every product of matrices; one thread has one order, however many are asked for. Workers of the
    loader only read, and change nothing.
    """
    if device.type != "cpu":
        return (
            f"deterministic: the same bits in every run on {torch.cuda.get_device_name(device)} with these "
            "versions of torch and CUDA; another kind of GPU adds up in another order"
        )
    torch.set_num_threads(1)
    return (
        "deterministic: computed with one CPU thread whatever train.num_threads says; the same bits for any "
        f"number of loader workers, on processors with {torch.backends.cpu.get_cpu_capability()}"
    )
