"""Quantities of each row's softmax with their gradients, made chunk by chunk.

torch.nn.functional.cross_entropy holds log-probabilities and two gradients of the size of the logits. Here
the
softmax is computed a second time in the backward pass, while a chunk is in the cache: beyond the logits only
their gradient is ever whole, and on a CPU the time is less too. Under data-type rules of mixed precision the
arithmetic is float32; the gradient has the type of the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointseg.losses.class_sums import class_sums
from pointseg.losses.layout import as_rows

#: Numbers of a chunk on a CPU: 8 MB of float32. Smaller ones fit a core's own cache and are a tenth quicker
#: on an idle machine, but on a busy one each operation waits for its slowest thread.
CHUNK_NUMBERS = 1 << 21


def row_cross_entropy(logits: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """-log softmax(logits / temperature)[label] of each row; 0 for rows with a negative label.

    Args:
        logits: (N, K) or (B, K, *S) floats.
        labels: (N,) or (B, *S) int64, 0..K-1, or negative for rows to leave out.
        temperature: tau.

    Returns:
        As ``labels``, float32 or wider. Differentiable once.
    """
    return _RowCrossEntropy.apply(logits, labels, temperature)  # type: ignore[no-any-return]


def class_probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Sum over ``classes`` of softmax(logits), for each row.

    Args:
        logits: (N, K) or (B, K, *S) floats.
        classes: (M,) int64 different classes.

    Returns:
        (N,) or (B, *S), float32 or wider. Differentiable once.
    """
    return _ClassProbability.apply(logits, classes)  # type: ignore[no-any-return]


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of :func:`row_cross_entropy` over the rows with a class; 0, connected, if there is none."""
    return row_cross_entropy(logits, labels).sum() / (labels >= 0).sum().clamp(min=1)


@torch.no_grad()
def class_logit_gradients(
    logits: Tensor, labels: Tensor, slope: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """Sum over the rows of each class of dl_i / dlogits_i, for losses l_i that depend on the row's CE alone.

    Args:
        logits: (N, K) or (B, K, *S).
        labels: (N,) or (B, *S) int64; negative for rows to leave out.
        slope: (N,) or (B, *S) dl_i / dCE_i; ones for cross entropy itself.
        temperature: tau of the softmax.

    Returns:
        (K, K), class by logit, in the type of ``slope``.
    """
    num_classes = logits.shape[1]
    gradient = slope.new_zeros(num_classes, num_classes)
    for part, probability in _softmax_chunks(logits, temperature):
        weighted = as_rows(probability.mul_(slope[part].unsqueeze(1)))
        gradient += class_sums(weighted, labels[part].flatten(), num_classes)
    gradient.diagonal().sub_(class_sums(slope.flatten(), labels.flatten(), num_classes))
    return gradient / temperature


class _RowCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.temperature = temperature
        losses = logits.new_empty(labels.shape, dtype=_wide(logits.dtype))
        for part in _chunks(logits):
            log_p = torch.log_softmax(_tempered(logits[part], temperature), dim=1)
            target = labels[part].clamp(min=0).unsqueeze(1)
            losses[part] = log_p.gather(1, target).squeeze(1).neg_()
        return losses.masked_fill_(labels < 0, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, labels = ctx.saved_tensors
        slope = (gradient / ctx.temperature).masked_fill(labels < 0, 0.0).unsqueeze(1)
        result = torch.empty_like(logits)
        for part, probability in _softmax_chunks(logits, ctx.temperature, into=result):
            probability.mul_(slope[part])
            probability.scatter_add_(1, labels[part].clamp(min=0).unsqueeze(1), -slope[part])
        return result, None, None


class _ClassProbability(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, classes: Tensor) -> Tensor:
        shape = (logits.shape[0], *logits.shape[2:])
        total = logits.new_empty(shape, dtype=_wide(logits.dtype))
        for part, probability in _softmax_chunks(logits):
            total[part] = probability.index_select(1, classes).sum(1)
        ctx.save_for_backward(logits, classes, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, classes, total = ctx.saved_tensors
        # dS / dz_j = p_j ([j in classes] - S)
        elsewhere, inside = (-gradient * total).unsqueeze(1), gradient.unsqueeze(1)
        # As a mask: to add columns by their number is to add them by atomics on a GPU.
        chosen = total.new_zeros(logits.shape[1]).index_fill_(0, classes, 1)
        chosen = chosen.view(-1, *[1] * (logits.ndim - 2))
        result = torch.empty_like(logits)
        for part, probability in _softmax_chunks(logits, into=result):
            own = (probability * chosen).mul_(inside[part])
            probability.mul_(elsewhere[part]).add_(own)
        return result, None


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    wide = logits.to(_wide(logits.dtype))
    return wide if temperature == 1 else wide / temperature


def _chunks(logits: Tensor) -> Iterator[slice]:
    """Slices of the first dimension; all at once on a GPU, whose kernels want work more than cache."""
    total = logits.shape[0]
    per_item = max(1, logits[:1].numel())
    step = max(1, CHUNK_NUMBERS // per_item) if logits.device.type == "cpu" else max(1, total)
    for begin in range(0, total, step):
        yield slice(begin, begin + step)


def _softmax_chunks(
    logits: Tensor, temperature: float = 1.0, *, into: Tensor | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Slices of the first dimension with the softmax there; what it is made into ends up in ``into``."""
    for part in _chunks(logits):
        scores = _tempered(logits[part], temperature)
        if into is not None and into.dtype == scores.dtype:
            yield part, torch.softmax(scores, dim=1, out=into[part])
            continue
        probability = torch.softmax(scores, dim=1)
        yield part, probability
        if into is not None:
            into[part] = probability
