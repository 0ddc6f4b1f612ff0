"""Tilted means (1/t) log sum q exp(t l): the best for t -> -inf, the mean for 0, the worst for t -> inf.

They are made of sums of exponentials below a peak, so that no exponent overflows; of several parts of a batch
the peaks are joined first, by their maximum, and then the sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.losses.base import Sums
from pointseg.losses.class_sums import class_bins, class_sums


def tilted_mean(losses: Tensor, prior: Tensor, t: float) -> Tensor:
    """L(t) = (1/t) log sum_c q_c exp(t l_c); the mean sum_c q_c l_c for t = 0.

    Args:
        losses: (M,) l.
        prior: (M,) q, non-negative; normalised here. Entries with q = 0 do not take part.
        t: tilt, any finite number; negative tilts towards the best.

    Returns:
        Scalar; 0, connected to the losses, if no entry takes part.

    Source: TERM (Li et al., ICLR 2021), equation 2.
    """
    peak = torch.zeros_like(losses[:0].sum()) if t == 0 else peak_of(losses.detach(), prior, t)
    return tilt_of(tilt_sums(losses, prior, peak, t), peak, t)


def peak_of(losses: Tensor, prior: Tensor, t: float) -> Tensor:
    """The largest loss that takes part, for t > 0, or the smallest with its sign turned; -inf for none."""
    sign = 1.0 if t > 0 else -1.0
    candidates = torch.where(prior > 0, sign * losses, -torch.inf)
    return candidates.max() if len(losses) else losses.new_tensor(-torch.inf)


def tilt_sums(losses: Tensor, prior: Tensor, peak: Tensor, t: float) -> dict[str, Tensor]:
    """What a :func:`tilted_mean` adds up over its entries; ``peak`` is that of :func:`peak_of`."""
    part = prior > 0
    losses = torch.where(part, losses, 0.0)
    if t == 0:
        return {"mean": (prior * losses).sum(), "prior": prior.sum()}
    below = torch.where(part, t * (losses - _reference(peak, t)), 0.0)
    return {
        "excess": (prior * torch.expm1(below)).sum(),
        "mean": (prior * torch.exp(below)).sum(),
        "prior": prior.sum(),
    }


def tilt_of(sums: Sums, peak: Tensor, t: float) -> Tensor:
    """The tilted mean that follows from the sums."""
    total = sums["prior"].clamp(min=torch.finfo(sums["mean"].dtype).tiny)
    if t == 0:
        return sums["mean"] / total
    return _reference(peak, t) + _log_mean(sums["excess"] / total, sums["mean"] / total) / t


def class_peaks(rows: Tensor, labels: Tensor, num_classes: int, t: float) -> Tensor:
    """(K,) peaks of the (N,) losses of each class, see :func:`peak_of`."""
    lowest = torch.full((num_classes + 1,), -torch.inf, dtype=rows.dtype, device=rows.device)
    sign = 1.0 if t > 0 else -1.0
    return lowest.scatter_reduce(0, class_bins(labels, num_classes), sign * rows, "amax")[:num_classes]


def class_tilt_sums(rows: Tensor, labels: Tensor, peaks: Tensor, t: float) -> dict[str, Tensor]:
    """What (1/t) log mean exp(t l_i) over the rows of each class adds up, (K,) each; t is not 0."""
    num_classes = len(peaks)
    reference = torch.cat([_reference(peaks, t), peaks.new_zeros(1)])
    below = t * (rows - reference[class_bins(labels, num_classes)])
    return {
        "excess": class_sums(torch.expm1(below), labels, num_classes),
        "mean": class_sums(torch.exp(below), labels, num_classes),
    }


def class_tilts_of(sums: Sums, peaks: Tensor, counts: Tensor, t: float) -> Tensor:
    """(K,) tilted means of the classes with ``counts`` (K,) rows; zero for absent ones."""
    number = counts.clamp(min=1)
    tilts = _reference(peaks, t) + _log_mean(sums["excess"] / number, sums["mean"] / number) / t
    return torch.where(counts > 0, tilts, 0.0)


def normalised(prior: Tensor) -> Tensor:
    """Non-negative numbers divided by their sum; zeros stay zeros."""
    return prior / prior.sum().clamp(min=torch.finfo(prior.dtype).tiny)


def _reference(peak: Tensor, t: float) -> Tensor:
    """The loss at the peak; no exponent of a loss below it overflows. 0 where there is none."""
    peak = torch.where(peak.isinf(), torch.zeros_like(peak), peak)
    return peak if t > 0 else -peak


def _log_mean(excess: Tensor, mean: Tensor) -> Tensor:
    """log of ``mean`` = 1 + ``excess``, without loss of digits at either end.

    Near 1, which is where a small tilt lives, the excess has the digits; near 0 the mean has them.
    """
    near_one = excess > -0.5
    tiny = torch.finfo(mean.dtype).tiny
    return torch.where(near_one, torch.log1p(excess.clamp(min=-0.5)), torch.log(mean.clamp(min=tiny)))
