"""Sums over the rows of each class: the reduction that class-wise losses share."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.losses.sorted_sums import are_wanted, sorted_counts, sorted_sums

#: Rows that are added up one after the other.
ROWS_OF_A_SUM = 2048


def class_sums(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Sum of the rows of each class.

    Args:
        values: (N,) or (N, D) floats, float32 or wider.
        labels: (N,) int64; rows outside 0..K-1 belong to no class.
        num_classes: K.

    Returns:
        (K,) or (K, D); zero for absent classes; differentiable in ``values``.
    """
    bins, size = class_bins(labels, num_classes), num_classes + 1
    if values.ndim == 1:
        wide = values.double()
        total = (
            sorted_sums(wide, bins, size)
            if are_wanted(values)
            else wide.new_zeros(size).index_add(0, bins, wide)
        )
        return total[:num_classes].to(values.dtype)
    if are_wanted(values):
        return sorted_sums(values, bins, size)[:num_classes]
    # Adding 70,000 rows one after the other in float32 loses four digits: stretches are summed, then joined.
    num_parts = 1 + min(len(values) // ROWS_OF_A_SUM, len(values) // size)
    part = torch.arange(len(values), device=values.device) * num_parts // max(1, len(values))
    total = values.new_zeros((num_parts * size, values.shape[1]))
    total = total.index_add(0, bins + part * size, values)
    return total.reshape(num_parts, size, values.shape[1]).sum(0)[:num_classes]


def class_bins(labels: Tensor, num_classes: int) -> Tensor:
    """Labels with K in place of everything outside 0..K-1.

    One spare bin takes the rows without a class: no copy of (N, D) without them is made.
    """
    return torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)


def class_counts(labels: Tensor, num_classes: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(K,) number of rows of each class, counted in integers (float32 stops counting at 16,777,216)."""
    # Not bincount, which asks a GPU for the largest label.
    bins = class_bins(labels, num_classes)
    if are_wanted(bins):
        # Integers add up to the same in any order, but torch would sort them and add one after the other.
        return sorted_counts(bins, num_classes + 1)[:num_classes].to(dtype)
    counts = labels.new_zeros(num_classes + 1, dtype=torch.int64)
    return counts.index_add_(0, bins, torch.ones_like(counts[:1]).expand(len(bins)))[:num_classes].to(dtype)


def class_means(values: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean of the rows of each class and their number.

    Args: see :func:`class_sums`.

    Returns:
        (K,) or (K, D) means, zero for absent classes, and (K,) counts of the same type.
    """
    counts = class_counts(labels, num_classes, dtype=values.dtype)
    return means_of(class_sums(values, labels, num_classes), counts), counts


def means_of(sums: Tensor, counts: Tensor) -> Tensor:
    """(K,) or (K, D) class sums over the (K,) numbers of their rows; zero for absent classes."""
    return sums / counts.to(sums.dtype).clamp(min=1).reshape(-1, *[1] * (sums.ndim - 1))


def mean_over_present(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of (K,) ``values`` over the classes with a row; 0, connected to the graph, if there is none."""
    present = counts > 0
    return torch.where(present, values, torch.zeros_like(values)).sum() / present.sum().clamp(min=1)
