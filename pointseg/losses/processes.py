"""What the reducer asks of the other processes of a data-parallel run; one process answers itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Key = TypeVar("Key")


def num_processes() -> int:
    """Processes of the default group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(values: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """Sums of tensors over the processes, with gradient; one message for each type of numbers.

    All processes give the same names and shapes. Data-parallel training averages the parameters' gradients.
    Each process's share of the gradient is therefore multiplied by the number of processes: the average is
    then exactly the gradient of one process on the joined batch. The backward pass talks to nobody, so it
    cannot get out of step with other processes.
    """
    return _in_messages(values, _Sum.apply)


@torch.no_grad()
def max_over_processes(values: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """Element-wise maxima over the processes, without gradient; one message for each type of numbers."""

    def largest(flat: Tensor) -> Tensor:
        dist.all_reduce(flat, op=dist.ReduceOp.MAX)
        return flat

    return _in_messages({key: value.detach() for key, value in values.items()}, largest)


@torch.no_grad()
def same_on_all_processes(values: Tensor) -> Tensor:
    """The values of the first process: random choices that all processes have to share."""
    if num_processes() == 1:
        return values
    shared = values.clone()
    dist.broadcast(shared, src=0)
    return shared


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * num_processes()


def _in_messages(values: Mapping[Key, Tensor], exchange: object) -> dict[Key, Tensor]:
    if num_processes() == 1 or not values:
        return dict(values)
    result: dict[Key, Tensor] = dict(values)
    for dtype in _types(values.values()):
        keys = [key for key, value in values.items() if value.dtype == dtype]
        parts = [values[key] for key in keys]
        flat = exchange(torch.cat([part.reshape(-1) for part in parts]))  # type: ignore[operator]
        split = flat.split([part.numel() for part in parts])
        result.update({key: new.view_as(old) for key, new, old in zip(keys, split, parts, strict=True)})
    return result


def _types(tensors: Iterable[Tensor]) -> list[torch.dtype]:
    """In one order on all processes."""
    return sorted({tensor.dtype for tensor in tensors}, key=str)
