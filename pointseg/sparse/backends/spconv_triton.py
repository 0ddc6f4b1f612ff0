"""spconv-triton's kernels on our tables of neighbours: Triton as well, proven by others on many GPUs."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.kernel_map import KernelMap

_TYPES = (torch.float32, torch.bfloat16, torch.float16)
#: Taps whose flags fit in one 32-bit word with its sign: more go without the order that skips absent taps.
_FLAGGED_TAPS = 31


class SpconvTritonBackend:
    """The gather-GEMM kernels of the package spconv-triton (1.0 or later), on NVIDIA and AMD GPUs.

    They are called below the package's own layers, with our tables in place of its hash maps: they take any
    table. float32 is exact; float64 goes to the plain-torch engine.

    Source: https://github.com/L-Reichardt/spconv-triton, Apache-2.0.
    """

    def __init__(self) -> None:
        self._wide = ReferenceBackend()

    def unavailable(self, device: torch.device) -> str | None:
        if find_spec("spconv_triton") is None:
            return "the package spconv-triton is missing; `pip install spconv-triton`"
        if find_spec("triton") is None:
            return "Triton is not installed; CUDA and ROCm builds of torch for Linux bring it"
        if device.type != "cuda" or not torch.cuda.is_available():
            return "it needs a GPU"
        if os.environ.get("TRITON_INTERPRET", "0") == "1":
            return "TRITON_INTERPRET is set, which runs kernels on the CPU, very slowly, for tests"
        return None

    def plan(self, kernel_map: KernelMap) -> None:
        _plan(kernel_map)

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        if features.dtype not in _TYPES:
            return self._wide.forward(features, weight, kernel_map, epilogue)
        out = _gathered(features, weight, kernel_map)
        return out if epilogue is None else epilogue.apply(out)

    def backward(
        self,
        grad: Tensor,
        features: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs_features: bool,
        needs_weight: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        if features.dtype not in _TYPES:
            return self._wide.backward(
                grad,
                features,
                weight,
                kernel_map,
                needs_features=needs_features,
                needs_weight=needs_weight,
            )
        grad_features, grad_weight = None, None
        if needs_features:
            # An odd kernel on one grid is its own transpose with the taps in reverse.
            back = kernel_map if kernel_map.mirrored else kernel_map.transposed()
            taps = weight.flip(0) if kernel_map.mirrored else weight
            grad_features = _gathered(grad, taps.transpose(1, 2), back)
        if needs_weight:
            grad_weight = _weight_gradient(features, grad, weight, kernel_map)
        return grad_features, grad_weight


def _gathered(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """(N, C_in) -> (M, C_out), by the kernel that its gradient of the input calls: it asks for no device."""
    if not len(features):
        return features.new_zeros(kernel_map.num_target, weight.shape[2])
    table, flags, order = _plan(kernel_map)
    # There (K, taps, C): K are the channels that come in, C those that go out.
    filters = weight.permute(1, 0, 2)
    with torch.cuda.device_of(features):
        out: Tensor = _gemm().conv_backward_input(
            features, filters, table, kernel_map.num_target, pair_mask=flags, mask_argsort=order
        )
    return out


def _weight_gradient(features: Tensor, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """(T, C_in, C_out)."""
    if not len(features) or not len(grad):
        return torch.zeros_like(weight)
    shape = (weight.shape[2], weight.shape[0], weight.shape[1])
    with torch.cuda.device_of(features):
        made: Tensor = _gemm().conv_backward_weight(features, grad, _plan(kernel_map)[0], shape)
    return made.permute(1, 2, 0).contiguous()


def _plan(kernel_map: KernelMap) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(T, M) int32 neighbours; for few taps each row's as bits, ascending, and the order of rows."""
    if "spconv_triton" not in kernel_map.plans:
        table = kernel_map.neighbours.contiguous()
        flags, order = None, None
        if 1 < len(table) <= _FLAGGED_TAPS:
            bits = 1 << torch.arange(len(table), device=table.device)
            flags, order = ((table >= 0) * bits[:, None]).sum(dim=0).int().sort(stable=True)
            order = order.int()
        kernel_map.plans["spconv_triton"] = (table, flags, order)
    plan: tuple[Tensor, Tensor | None, Tensor | None] = kernel_map.plans["spconv_triton"]
    return plan


@cache
def _gemm() -> Any:
    """The module of its kernels: not what the package exports, so the version is pinned."""
    return import_module("spconv_triton.pytorch._impl.gemm")
