"""TritonBackend: the convolution and its gradients by the kernels of this package."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.backends.triton.plan import tap_table
from pointseg.sparse.kernel_map import KernelMap

_TYPES = (torch.float32, torch.bfloat16, torch.float16)


class TritonBackend:
    """Implicit GEMM: nothing is gathered into memory, every output is written once, sums have one order.

    Products of 16-bit types run on tensor cores with float32 sums; float32 runs in tf32 where
    ``torch.set_float32_matmul_precision`` allows it and exactly otherwise. float64, which no tensor core of
    Triton's takes, goes to the plain-torch engine.
    """

    def __init__(self) -> None:
        self._wide = ReferenceBackend()

    def unavailable(self, device: torch.device) -> str | None:
        if find_spec("triton") is None:
            return "Triton is not installed; CUDA builds of torch for Linux bring it"
        interpreted = os.environ.get("TRITON_INTERPRET", "0") == "1"
        if device.type == "cpu":
            return None if interpreted else "it needs a CUDA device"
        if device.type != "cuda" or not torch.cuda.is_available():
            return "it needs a CUDA device"
        if interpreted:
            return "TRITON_INTERPRET is set, which runs kernels on the CPU, very slowly, for tests"
        if torch.cuda.get_device_capability(device) < (8, 0):
            return "it needs a GPU of compute capability 8.0 (Ampere) or newer"
        return None

    def plan(self, kernel_map: KernelMap) -> None:
        tap_table(kernel_map)

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        if features.dtype not in _TYPES:
            return self._wide.forward(features, weight, kernel_map, epilogue)
        out: Tensor = _launch().launch_convolution(
            features, None, weight, tap_table(kernel_map), epilogue=epilogue
        )
        return out

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
            grad_features = _gradient_of_features(grad, weight, kernel_map)
        if needs_weight:
            grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
            _launch().launch_weight_gradient(features, grad, tap_table(kernel_map), grad_weight)
        return grad_features, grad_weight

    def forward_joined(
        self,
        first: Tensor,
        second: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        if first.dtype not in _TYPES:
            return self._wide.forward_joined(first, second, weight, kernel_map, epilogue)
        out: Tensor = _launch().launch_convolution(
            first, second, weight, tap_table(kernel_map), epilogue=epilogue
        )
        return out

    def backward_joined(
        self,
        grad: Tensor,
        first: Tensor,
        second: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if first.dtype not in _TYPES:
            return self._wide.backward_joined(grad, first, second, weight, kernel_map, needs=needs)
        # Two passes instead of one and a split: their results are contiguous, as the layers before want them.
        of_first, of_second = weight.split([first.shape[1], second.shape[1]], dim=1)
        grad_first = _gradient_of_features(grad, of_first, kernel_map) if needs[0] else None
        grad_second = _gradient_of_features(grad, of_second, kernel_map) if needs[1] else None
        grad_weight = None
        if needs[2]:
            grad_weight = torch.empty_like(weight, memory_format=torch.contiguous_format)
            upper, lower = grad_weight.split([first.shape[1], second.shape[1]], dim=1)
            table = tap_table(kernel_map)
            _launch().launch_weight_gradient(first, grad, table, upper)
            _launch().launch_weight_gradient(second, grad, table, lower)
        return grad_first, grad_second, grad_weight


def _gradient_of_features(grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """The input gradient: the convolution over the transposed map.

    An odd kernel on one grid is its own transpose with the taps in reverse, so it needs no second table.
    """
    back = kernel_map if kernel_map.mirrored else kernel_map.transposed()
    gradient: Tensor = _launch().launch_convolution(
        grad, None, weight.transpose(1, 2), tap_table(back), reverse_taps=kernel_map.mirrored
    )
    return gradient


@cache
def _launch() -> ModuleType:
    """The module with the kernels: importing it needs Triton, naming this engine does not."""
    return import_module("pointseg.sparse.backends.triton.launch")
