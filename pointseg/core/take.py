"""Rows of a tensor, each at most once: a gather whose gradient is a plain scatter."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]`` where no row comes twice.

    Indexing does not know that, so its gradient adds: on a GPU it sorts the rows first, in every step.

    Args:
        values: (N, ...).
        rows: (M,) int64, all different.
    """
    return _Take.apply(values, rows)  # type: ignore[no-any-return]


class _Take(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.num_rows = values.shape[0]
        return values.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return _Put.apply(gradient, rows, ctx.num_rows), None


class _Put(Function):
    """The transpose: rows into zeros. Differentiable too, for losses that take gradients of gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor, num_rows: int) -> Tensor:
        ctx.save_for_backward(rows)
        return values.new_zeros(num_rows, *values.shape[1:]).index_copy_(0, rows, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        return _Take.apply(gradient, rows), None, None
