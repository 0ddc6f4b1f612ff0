"""SyncedBatchNorm: batch normalisation over the rows of all processes, without waiting for the device."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


def synchronised(module: nn.Module) -> nn.Module:
    """The module with its batch norms over all processes; parameters and buffers stay the same tensors.

    Norms without running statistics stay as they are.
    """
    if isinstance(module, _BatchNorm) and module.track_running_stats:
        made = SyncedBatchNorm(module.num_features, module.eps, module.momentum, module.affine)
        made.weight, made.bias = module.weight, module.bias
        made._buffers.update(module._buffers)
        return made.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, synchronised(child))
    return module


class SyncedBatchNorm(_BatchNorm):
    """torch's SyncBatchNorm for (N, C, ...) inputs on any device, in one message forward and one backward.

    torch gathers means, variances and counts and leaves out processes without a row by a mask: for its size a
    GPU has to be waited for, at every norm. Here the number of rows, their sum and their sum of squares are
    added up, in float64, in which the difference of squares loses nothing that float32 has. It follows torch
    in all else: the gradients of weight and bias are those of the own rows, which data-parallel training
    averages. Of fewer than two rows in all processes there is no variance: they are normalised with the
    running statistics, which stay as they are.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"Expected rows of channels, (N, C) or (N, C, ...); got {tuple(input.shape)}.")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        assert self.running_mean is not None and self.running_var is not None
        if not self.training:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        with torch.no_grad():
            count, mean, variance = _joined_moments(input)
            few = count < 2
            self._follow(mean, variance * count / (count - 1).clamp(min=1), few)
            mean = torch.where(few, self.running_mean, mean.to(self.running_mean))
            variance = torch.where(few, self.running_var, variance.to(self.running_var))
            # A row's share of mean and variance; where these are running ones it has none.
            share = torch.where(few, 0.0, 1 / count.clamp(min=1))
        weight = mean.new_ones(mean.shape) if self.weight is None else self.weight
        bias = mean.new_zeros(mean.shape) if self.bias is None else self.bias
        out: Tensor = _Normalise.apply(input, weight, bias, mean, variance, share, self.eps)
        return out

    def _follow(self, mean: Tensor, variance: Tensor, few: Tensor) -> None:
        """Move the running statistics; not where there are too few rows, which only the device knows."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(~few)
        rate: float | Tensor = (
            1 / self.num_batches_tracked.clamp(min=1) if self.momentum is None else self.momentum
        )
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            running.copy_(torch.where(few, running, running + rate * (now.to(running) - running)))


def _joined_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of all processes, their mean and biased variance by channel, in float64; zeros of no row."""
    dims = [0, *range(2, x.dim())]
    own = x.numel() // x.shape[1]
    if not own:
        total = squares = x.new_zeros(x.shape[1], dtype=torch.float64)
    elif x.dtype in (torch.float16, torch.bfloat16):
        # The squares of such rows are exact in float32, and no wider copy of the rows is made.
        total = x.sum(dims, dtype=torch.float32).double()
        squares = torch.linalg.vector_norm(x, dim=dims, dtype=torch.float32).double().square()
    else:
        variance, mean = (moment.double() for moment in torch.var_mean(x, dims, correction=0))
        total, squares = own * mean, own * (variance + mean.square())
    message = torch.cat([total, squares, total.new_full((1,), own)])
    dist.all_reduce(message)
    total, squares, count = *message[:-1].chunk(2), message[-1]
    mean = total / count.clamp(min=1)
    return count, mean, (squares / count.clamp(min=1) - mean.square()).clamp(min=0)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, where mean and variance are those of all rows."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        share: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, share)
        ctx.eps = eps
        return functional.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, share = ctx.saved_tensors
        if x.numel():
            # As if mean and variance were constants.
            grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
                grad.contiguous(), x, weight, mean, variance, None, None, False, ctx.eps, [True] * 3
            )
        else:
            grad_x, grad_weight, grad_bias = grad, torch.zeros_like(weight), torch.zeros_like(weight)
        message = torch.cat([grad_weight.double(), grad_bias.double()])
        dist.all_reduce(message)
        if ctx.needs_input_grad[0] and x.numel():
            # What reaches x through them: both sums over all rows, a share for each.
            scale = weight * torch.rsqrt(variance + ctx.eps)
            through_variance, through_mean = ((share * part).to(scale) * scale for part in message.chunk(2))
            grad_x -= functional.batch_norm(x, mean, variance, through_variance, through_mean, eps=ctx.eps)
        return grad_x, grad_weight, grad_bias, None, None, None, None
