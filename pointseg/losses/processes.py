"""What class-wise losses ask of the other processes of a data-parallel run; one process answers itself."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def num_processes() -> int:
    """Processes of the default group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of a tensor over the processes, with gradient, for losses that all processes compute alike from it.

    Data-parallel training averages the parameters' gradients. Each process's share of the gradient is
    therefore multiplied by the number of processes: the average is then exactly the gradient of one process
    on the joined batch. The backward pass talks to nobody, so it cannot get out of step with other processes.
    """
    return values if num_processes() == 1 else _Sum.apply(values)  # type: ignore[no-any-return]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * num_processes()


@torch.no_grad()
def max_over_processes(values: Tensor) -> Tensor:
    """Element-wise maximum over the processes, without gradient."""
    if num_processes() == 1:
        return values.detach()
    largest = values.detach().clone()
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest


@torch.no_grad()
def same_on_all_processes(values: Tensor) -> Tensor:
    """The values of the first process: random choices that all processes have to share."""
    if num_processes() == 1:
        return values
    shared = values.clone()
    dist.broadcast(shared, src=0)
    return shared
