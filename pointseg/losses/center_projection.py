"""CeCo's projection of class centers, with BatchNorm's moments taken from a covariance.

The released projection maps every row from D to 128 channels, normalises them over the batch and then takes
class means. Convolution and BatchNorm are affine, so the mean of the projected rows is the projected mean,
and BatchNorm's variances are diag(W S W') with the covariance S of the features: the same value and gradient
without an N x 128 tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointseg.losses.class_sums import class_sums

#: Widths of the released projection: features -> 128 (with BatchNorm) -> 512.
HIDDEN_DIM, EMBEDDING_DIM = 128, 512
#: As torch.nn.BatchNorm1d.
EPS, MOMENTUM = 1e-5, 0.1
#: Rows of a chunk on a CPU; see softmax_rows.
CHUNK_ROWS = 16_384


class CenterProjection(nn.Module):
    """D -> 128 (no bias) -> BatchNorm -> [class mean] -> 512 (with bias) -> ReLU, applied to class means.

    Args:
        feature_dim: D.
        num_classes: K; the 512 dimensions grow to K - 1 where K is larger.
        learned: trained; else random and fixed, the same on every process and machine. BatchNorm's running
            moments move in both.
        seed: of the weights, drawn as torch draws those of a linear layer.
    """

    reduce: Tensor
    scale: Tensor
    shift: Tensor
    expand: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, feature_dim: int, num_classes: int, *, learned: bool, seed: int = 0) -> None:
        super().__init__()
        self.out_dim = max(EMBEDDING_DIM, num_classes - 1)
        generator = torch.Generator().manual_seed(seed)

        def uniform(*shape: int, fan_in: int) -> Tensor:
            return (torch.rand(*shape, generator=generator) * 2 - 1) / math.sqrt(fan_in)

        weights = {
            "reduce": uniform(HIDDEN_DIM, feature_dim, fan_in=feature_dim),
            "scale": torch.ones(HIDDEN_DIM),
            "shift": torch.zeros(HIDDEN_DIM),
            "expand": uniform(self.out_dim, HIDDEN_DIM, fan_in=HIDDEN_DIM),
            "bias": uniform(self.out_dim, fan_in=HIDDEN_DIM),
        }
        for name, value in weights.items():
            if learned:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.register_buffer("running_mean", torch.zeros(HIDDEN_DIM))
        self.register_buffer("running_var", torch.ones(HIDDEN_DIM))

    def forward(self, centers: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """(M, D) class means -> (M, out_dim), with the moments of the 128 channels."""
        dtype = centers.dtype
        normalised = (centers @ self.reduce.to(dtype).T - mean) / torch.sqrt(variance + EPS)
        hidden = normalised * self.scale.to(dtype) + self.shift.to(dtype)
        return F.relu(hidden @ self.expand.to(dtype).T + self.bias.to(dtype))

    def moments_of(self, total: Tensor, gram: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the 128 channels over a batch.

        Args:
            total: (D,) sum of the features.
            gram: (D, D) sum of (x - m)(x - m)', m the mean of the features.
            count: their number, a scalar.
        """
        count = count.to(total.dtype).clamp(min=1)
        weight = self.reduce.to(total.dtype)
        return weight @ (total / count), ((weight @ (gram / count)) * weight).sum(1)

    def running_moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and variance of the 128 channels as followed over the batches, for evaluation mode."""
        return self.running_mean.to(dtype), self.running_var.to(dtype)

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running moments by those of a batch of ``count`` rows."""
        count = count.to(variance.dtype)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), MOMENTUM)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), MOMENTUM)


def class_moments(rows: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Class sums, and the scatter of all rows about their mean, with one gradient.

    Args:
        rows: (N, D).
        labels: (N,) int64, all of them in 0..K-1.
        num_classes: K.

    Returns:
        (K, D) sums and (D, D) sum of (x - m)(x - m)', m the mean of the rows. Differentiable once.
    """
    return _ClassMoments.apply(rows, labels, num_classes)  # type: ignore[no-any-return]


def scatter_of_means(total: Tensor, count: Tensor) -> Tensor:
    """(D, D) n m m' of ``count`` rows with (D,) sum ``total`` and mean m, in float64.

    By Chan's rule, the scatter of a batch about its mean is the sum of those of its parts about theirs, plus
    the sum of the parts' n m m', less the n m m' of the whole. The difference is one of large numbers, which
    is why it is made in float64; for a batch in one part it is zero to the last digit.
    """
    total = total.double()
    return torch.outer(total, total) / count.clamp(min=1)


class _ClassMoments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        sums = class_sums(rows, labels, num_classes)
        mean = sums.sum(0) / max(1, len(rows))
        gram = rows.new_zeros(rows.shape[1], rows.shape[1])
        for part in _chunks(rows):
            deviation = rows[part] - mean
            gram.addmm_(deviation.T, deviation)
        ctx.save_for_backward(rows, labels, mean)
        return sums, gram

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sums_gradient: Tensor, gram_gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, labels, mean = ctx.saved_tensors
        # dG/dm vanishes: the deviations sum to zero.
        matrix = gram_gradient + gram_gradient.T
        by_class = sums_gradient - mean @ matrix
        result = torch.empty_like(rows)
        for part in _chunks(rows):
            result[part].copy_(by_class.index_select(0, labels[part])).addmm_(rows[part], matrix)
        return result, None, None


def _chunks(rows: Tensor) -> Iterator[slice]:
    """Slices of rows that stay in the cache of a CPU; all at once on a GPU."""
    step = CHUNK_ROWS if rows.device.type == "cpu" else max(1, len(rows))
    for begin in range(0, len(rows), step):
        yield slice(begin, begin + step)
