"""convolve(): sparse convolution with exact gradients, over whichever backend fits the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointseg.sparse.backends import choose_backend
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
    return _Convolve.apply(features, weight, kernel_map)


class _Convolve(torch.autograd.Function):
    """Autograd's view of a backend. Autocast is off inside: types were settled by convolve()."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        with torch.autocast(features.device.type, enabled=False):
            return choose_backend(features.device).forward(features.contiguous(), weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        with torch.autocast(features.device.type, enabled=False):
            grad_features, grad_weight = choose_backend(features.device).backward(
                grad.contiguous(),
                features.contiguous(),
                weight,
                ctx.kernel_map,
                needs_features=ctx.needs_input_grad[0],
                needs_weight=ctx.needs_input_grad[1],
            )
        return grad_features, grad_weight, None
