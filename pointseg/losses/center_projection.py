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

from pointseg.losses.class_sums import class_bins, class_sums
from pointseg.losses.processes import sum_over_processes

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

    def batch_moments(
        self, sums: Tensor, counts: Tensor, gram: Tensor, *, synchronize: bool
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of the 128 channels over a batch; moves the running ones.

        Args:
            sums: (M, D) sums of the features of each class in this process.
            counts: (M,) number of rows of each.
            gram: (D, D) sum of (x - m)(x - m)' over this process's rows, m their mean.
            synchronize: take the moments over the rows of all processes.
        """
        local_count, local_sum = counts.sum(), sums.sum(0)
        count, total = local_count, local_sum
        if synchronize:
            count, total = sum_over_processes(local_count), sum_over_processes(local_sum)
        mean = total / count.clamp(min=1)
        if synchronize:
            # Chan's rule for joining the second moments of parts. Weighted offsets sum to zero over the
            # processes, so the joint mean takes no gradient here.
            offset = local_sum / local_count.clamp(min=1) - mean.detach()
            gram = sum_over_processes(gram + local_count * torch.outer(offset, offset))
        weight = self.reduce.to(sums.dtype)
        hidden_mean = weight @ mean
        hidden_variance = ((weight @ (gram / count.clamp(min=1))) * weight).sum(1)
        self._follow(hidden_mean, hidden_variance, count)
        return hidden_mean, hidden_variance

    def running_moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and variance of the 128 channels as followed over the batches, for evaluation mode."""
        return self.running_mean.to(dtype), self.running_var.to(dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        rate = MOMENTUM * (count > 0)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate.to(self.running_mean.dtype))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate.to(self.running_var.dtype))


def class_moments(
    rows: Tensor, labels: Tensor, num_classes: int, *, all_valid: bool = False
) -> tuple[Tensor, Tensor]:
    """Class sums, and the scatter of all rows that have a class about their mean, with one gradient.

    Args:
        rows: (N, D).
        labels: (N,) int64; rows outside 0..K-1 do not take part.
        num_classes: K.
        all_valid: whether it is known that every row has a class; else that is looked at.

    Returns:
        (K, D) sums and (D, D) sum of (x - m)(x - m)', m the mean of the rows. Differentiable once.
    """
    bins = class_bins(labels, num_classes)
    return _ClassMoments.apply(rows, bins, num_classes, all_valid)  # type: ignore[no-any-return]


class _ClassMoments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, bins: Tensor, num_classes: int, all_valid: bool
    ) -> tuple[Tensor, Tensor]:
        valid = bins < num_classes
        mask = None if all_valid or bool(valid.all()) else valid.to(rows.dtype)[:, None]
        sums = class_sums(rows, bins, num_classes)
        mean = sums.sum(0) / valid.sum().clamp(min=1)
        gram = rows.new_zeros(rows.shape[1], rows.shape[1])
        for part in _chunks(rows):
            deviation = rows[part] - mean
            if mask is not None:
                deviation *= mask[part]
            gram.addmm_(deviation.T, deviation)
        ctx.save_for_backward(rows, bins, mean)
        ctx.mask = mask
        return sums, gram

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sums_gradient: Tensor, gram_gradient: Tensor) -> tuple[Tensor, None, None, None]:
        rows, bins, mean = ctx.saved_tensors
        # dG/dm vanishes: the deviations sum to zero.
        matrix = gram_gradient + gram_gradient.T
        by_bin = torch.cat([sums_gradient - mean @ matrix, rows.new_zeros(1, rows.shape[1])])
        result = torch.empty_like(rows)
        for part in _chunks(rows):
            out = result[part]
            out.copy_(by_bin.index_select(0, bins[part])).addmm_(rows[part], matrix)
            if ctx.mask is not None:
                out *= ctx.mask[part]
        return result, None, None, None


def _chunks(rows: Tensor) -> Iterator[slice]:
    """Slices of rows that stay in the cache of a CPU; all at once on a GPU."""
    step = CHUNK_ROWS if rows.device.type == "cpu" else max(1, len(rows))
    for begin in range(0, len(rows), step):
        yield slice(begin, begin + step)
