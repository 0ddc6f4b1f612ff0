"""convolve(): sparse convolution with exact gradients, over whichever backend fits the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointseg.sparse.backends.base import Backend, Epilogue, JoiningBackend
from pointseg.sparse.engines import current_backend
from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.tensor import SparseTensor


def convolve(features: Tensor | tuple[Tensor, ...], weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """out[target] = sum over pairs of features[source] @ weight[tap].

    Under autocast, all inputs are cast to the autocast type first.

    Args:
        features: (N, C_in), rows of the source grid; or two tensors (N, C1) and (N, C2) of one type with
            C1 + C2 = C_in, which are read as one, and concatenated where the engine cannot do that.
        weight: (T, C_in, C_out), taps in the order of the kernel map.
        kernel_map: pairs of rows by tap.

    Returns:
        (M, C_out), rows of the target grid; zero where a row has no pair.

    Raises:
        ValueError: if shapes do not fit together.
    """
    parts, weight = _checked(features, weight, kernel_map)
    return _Convolve.apply(kernel_map, weight, *parts)


def is_bfloat16_on_cpu(features: Tensor, weight: Tensor) -> bool:
    """Whether convolve() would compute these in bfloat16 on a CPU, where torch's own products are no choice.

    Without instructions for them they take ten times as long as in float32, and with them oneDNN compiles a
    kernel for every new number of rows, which takes longer than the product.
    """
    if features.device.type != "cpu" or features.dtype == torch.float64:
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return torch.bfloat16 in (features.dtype, weight.dtype)


def convolve_and_finish(
    features: Tensor | tuple[Tensor, ...], weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue
) -> Tensor:
    """A convolution and what follows it in one pass, without gradients; arguments as for convolve()."""
    parts, weight = _checked(features, weight, kernel_map)
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        return _forward(current_backend(weight.device), parts, weight, kernel_map, epilogue)


def parts_to_read(x: SparseTensor) -> tuple[Tensor, ...]:
    """The tensors that a convolution of ``x`` reads: its parts where the engine can read two, else one."""
    return x.parts if isinstance(current_backend(x.parts[0].device), JoiningBackend) else (x.features,)


def _checked(
    features: Tensor | tuple[Tensor, ...], weight: Tensor, kernel_map: KernelMap
) -> tuple[tuple[Tensor, ...], Tensor]:
    """All inputs in the type of the computation; two feature tensors where the engine reads two.

    Raises:
        ValueError: if shapes do not fit together.
    """
    parts = (features,) if isinstance(features, Tensor) else features
    if any(part.ndim != 2 or part.shape[0] != kernel_map.num_source for part in parts):
        raise ValueError(
            f"Features must be ({kernel_map.num_source}, C) for this kernel map; got "
            f"{' and '.join(str(tuple(part.shape)) for part in parts)}."
        )
    channels = sum(part.shape[1] for part in parts)
    if weight.ndim != 3 or weight.shape[:2] != (kernel_map.num_taps, channels):
        raise ValueError(
            f"The weight must be ({kernel_map.num_taps} taps, {channels} input channels, C_out); "
            f"got {tuple(weight.shape)}."
        )
    if len(parts) > 1 and not isinstance(current_backend(weight.device), JoiningBackend):
        parts = (torch.cat(parts, dim=1),)
    device = weight.device.type
    if torch.is_autocast_enabled(device) and parts[0].dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        parts, weight = tuple(part.to(dtype) for part in parts), weight.to(dtype)
    return parts, weight


def _forward(
    engine: Backend,
    parts: tuple[Tensor, ...],
    weight: Tensor,
    kernel_map: KernelMap,
    epilogue: Epilogue | None = None,
) -> Tensor:
    first, *others = (part.contiguous() for part in parts)
    if not others:
        return engine.forward(first, weight.contiguous(), kernel_map, epilogue)
    assert isinstance(engine, JoiningBackend)
    return engine.forward_joined(first, others[0], weight.contiguous(), kernel_map, epilogue)


class _Convolve(torch.autograd.Function):
    """Autograd's view of a backend. Autocast is off inside: types were settled by convolve()."""

    @staticmethod
    def forward(ctx: Any, kernel_map: KernelMap, weight: Tensor, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(weight, *parts)
        ctx.kernel_map = kernel_map
        # Kept for the backward pass, which may run in another thread, or under another setting.
        ctx.engine = current_backend(weight.device)
        with torch.autocast(weight.device.type, enabled=False):
            return _forward(ctx.engine, parts, weight, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *parts = (saved.contiguous() for saved in ctx.saved_tensors)
        _, needs_weight, *needs_parts = ctx.needs_input_grad
        grad = grad.contiguous()
        with torch.autocast(weight.device.type, enabled=False):
            if len(parts) == 1:
                grad_features, grad_weight = ctx.engine.backward(
                    grad,
                    parts[0],
                    weight,
                    ctx.kernel_map,
                    needs_features=needs_parts[0],
                    needs_weight=needs_weight,
                )
                return None, grad_weight, grad_features
            grad_first, grad_second, grad_weight = ctx.engine.backward_joined(
                grad, *parts, weight, ctx.kernel_map, needs=(*needs_parts, needs_weight)
            )
        return None, grad_weight, grad_first, grad_second
