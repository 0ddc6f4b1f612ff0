"""Tilted means (1/t) log sum q exp(t l): the best for t -> -inf, the mean for 0, the worst for t -> inf."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.losses.class_sums import class_counts, class_sums
from pointseg.losses.processes import max_over_processes, sum_over_processes


def tilted_mean(losses: Tensor, prior: Tensor, t: float, *, synchronize: bool = False) -> Tensor:
    """L(t) = (1/t) log sum_c q_c exp(t l_c); the mean sum_c q_c l_c for t = 0.

    Args:
        losses: (M,) l.
        prior: (M,) q, non-negative; normalised here. Entries with q = 0 do not take part.
        t: tilt, any finite number; negative tilts towards the best.
        synchronize: the entries of all processes make one mean.

    Returns:
        Scalar; 0, connected to the losses, if no entry takes part.

    Source: TERM (Li et al., ICLR 2021), equation 2.
    """
    q = normalised(prior, synchronize=synchronize)
    part = q > 0
    losses = torch.where(part, losses, torch.zeros_like(losses))
    if t == 0:
        return _total((q * losses).sum(), synchronize)
    extreme = _extreme(losses.detach(), part, t, synchronize)
    below = torch.where(part, t * (losses - extreme), torch.zeros_like(losses))
    excess = _total((q * torch.expm1(below)).sum(), synchronize)
    mean = _total((q * torch.exp(below)).sum(), synchronize)
    return extreme + _log_mean(excess, mean) / t


def tilted_class_means(
    rows: Tensor, labels: Tensor, num_classes: int, t: float, *, synchronize: bool = False
) -> tuple[Tensor, Tensor]:
    """(1/t) log mean exp(t l_i) over the rows of each class, t not 0.

    Args:
        rows: (N,) l.
        labels: (N,) int64; rows outside 0..K-1 belong to no class.
        num_classes: K.
        t: tilt within the class.
        synchronize: the rows of all processes make one mean.

    Returns:
        (K,) tilted means, zero for absent classes, and (K,) rows of each.
    """
    counts = class_counts(labels, num_classes, dtype=rows.dtype)
    counts = _total(counts, synchronize)
    bins = torch.where(labels >= 0, labels, num_classes)
    sign = 1.0 if t > 0 else -1.0
    lowest = torch.full((num_classes + 1,), -torch.inf, dtype=rows.dtype, device=rows.device)
    extreme = lowest.scatter_reduce(0, bins, sign * rows.detach(), "amax")
    if synchronize:
        extreme = max_over_processes(extreme)
    extreme = sign * torch.where(extreme.isinf(), torch.zeros_like(extreme), extreme)
    below = t * (rows - extreme[bins])
    number = counts.clamp(min=1)
    excess = _total(class_sums(torch.expm1(below), labels, num_classes), synchronize) / number
    mean = _total(class_sums(torch.exp(below), labels, num_classes), synchronize) / number
    means = extreme[:num_classes] + _log_mean(excess, mean) / t
    return torch.where(counts > 0, means, torch.zeros_like(means)), counts


def normalised(prior: Tensor, *, synchronize: bool = False) -> Tensor:
    """Non-negative numbers divided by their sum (over all processes); zeros stay zeros."""
    return prior / _total(prior.sum(), synchronize).clamp(min=torch.finfo(prior.dtype).tiny)


def _total(values: Tensor, synchronize: bool) -> Tensor:
    return sum_over_processes(values) if synchronize else values


def _extreme(losses: Tensor, part: Tensor, t: float, synchronize: bool) -> Tensor:
    """The largest loss that takes part, for t > 0, or the smallest: no exponent below it overflows."""
    sign = 1.0 if t > 0 else -1.0
    candidates = torch.where(part, sign * losses, torch.full_like(losses, -torch.inf))
    largest = candidates.max() if len(losses) else losses.new_tensor(-torch.inf)
    if synchronize:
        largest = max_over_processes(largest)
    return sign * torch.where(largest.isinf(), torch.zeros_like(largest), largest)


def _log_mean(excess: Tensor, mean: Tensor) -> Tensor:
    """log of ``mean`` = 1 + ``excess``, without loss of digits at either end.

    Near 1, which is where a small tilt lives, the excess has the digits; near 0 the mean has them.
    """
    near_one = excess > -0.5
    tiny = torch.finfo(mean.dtype).tiny
    return torch.where(near_one, torch.log1p(excess.clamp(min=-0.5)), torch.log(mean.clamp(min=tiny)))
