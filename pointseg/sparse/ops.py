"""convolve(): sparse convolution with exact gradients, over whichever backend fits the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.bfloat16 import bfloat16_instructions
from pointseg.sparse.engines import current_backend
from pointseg.sparse.kernel_map import KernelMap


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """out[target] = sum over pairs of features[source] @ weight[tap].

    Under autocast, both inputs are cast to the autocast type first.

    Args:
        features: (N, C_in), rows of the source grid.
        weight: (T, C_in, C_out), taps in the order of the kernel map.
        kernel_map: pairs of rows by tap.

    Returns:
        (M, C_out), rows of the target grid; zero where a row has no pair.

    Raises:
        ValueError: if shapes do not fit together.
    """
    features, weight = _checked(features, weight, kernel_map)
    return _Convolve.apply(features, weight, kernel_map)


def multiply(features: Tensor, weight: Tensor) -> Tensor:
    """features @ weight, a convolution of one tap on one grid.

    In bfloat16 on a CPU without products of it, in float32 with the result rounded: torch's own would take
    ten times as long.
    """
    narrow = torch.bfloat16 in (features.dtype, weight.dtype)
    if torch.is_autocast_enabled("cpu"):
        narrow |= torch.get_autocast_dtype("cpu") == torch.bfloat16 and features.dtype != torch.float64
    if features.device.type != "cpu" or not narrow or bfloat16_instructions() is not None:
        return features @ weight
    with torch.autocast("cpu", enabled=False):
        return (features.float() @ weight.float()).bfloat16()


def convolve_and_finish(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue
) -> Tensor:
    """A convolution and what follows it in one pass, without gradients; arguments as for convolve()."""
    features, weight = _checked(features, weight, kernel_map)
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        engine = current_backend(features.device)
        return engine.forward(features.contiguous(), weight.contiguous(), kernel_map, epilogue)


def _checked(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> tuple[Tensor, Tensor]:
    """Both inputs in the type of the computation.

    Raises:
        ValueError: if shapes do not fit together.
    """
    if features.ndim != 2 or features.shape[0] != kernel_map.num_source:
        raise ValueError(
            f"Features must be ({kernel_map.num_source}, C) for this kernel map; got {tuple(features.shape)}."
        )
    if weight.ndim != 3 or weight.shape[:2] != (kernel_map.num_taps, features.shape[1]):
        raise ValueError(
            f"The weight must be ({kernel_map.num_taps} taps, {features.shape[1]} input channels, C_out); "
            f"got {tuple(weight.shape)}."
        )
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    return features, weight


class _Convolve(torch.autograd.Function):
    """Autograd's view of a backend. Autocast is off inside: types were settled by convolve()."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        # Kept for the backward pass, which may run in another thread, or under another setting.
        ctx.engine = current_backend(features.device)
        with torch.autocast(features.device.type, enabled=False):
            out: Tensor = ctx.engine.forward(features.contiguous(), weight.contiguous(), kernel_map)
            return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        with torch.autocast(features.device.type, enabled=False):
            grad_features, grad_weight = ctx.engine.backward(
                grad.contiguous(),
                features.contiguous(),
                weight.contiguous(),
                ctx.kernel_map,
                needs_features=ctx.needs_input_grad[0],
                needs_weight=ctx.needs_input_grad[1],
            )
        return grad_features, grad_weight, None
