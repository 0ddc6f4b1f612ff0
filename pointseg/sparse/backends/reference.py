"""Sparse convolution in plain torch, tap by tap: gather, multiply, add. Any device, any floating type."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.kernel_map import KernelMap


def accumulation_type(dtype: torch.dtype) -> torch.dtype:
    """Sums over taps run in float32 for 16-bit types: bfloat16 has 8 bits, 27 roundings would show."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


class ReferenceBackend:
    """One gather, product and scatter per tap.

    A target row occurs once per tap and taps follow each other, so sums have one order and results are the
    same in every run, on CUDA too.
    """

    def unavailable(self, device: torch.device) -> str | None:
        return None

    def plan(self, kernel_map: KernelMap) -> None:
        _ = kernel_map.pairs

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        return self._convolve((features,), (weight,), kernel_map, epilogue)

    def forward_joined(
        self,
        first: Tensor,
        second: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        widths = [first.shape[1], second.shape[1]]
        return self._convolve((first, second), weight.split(widths, dim=1), kernel_map, epilogue)

    def _convolve(
        self,
        parts: tuple[Tensor, ...],
        weights: tuple[Tensor, ...],
        kernel_map: KernelMap,
        epilogue: Epilogue | None,
    ) -> Tensor:
        dtype = parts[0].dtype
        wide = accumulation_type(dtype)
        out = parts[0].new_zeros(kernel_map.num_target, weights[0].shape[2], dtype=wide)
        for tap in range(kernel_map.num_taps):
            source, target = kernel_map.tap(tap)
            if len(source):
                for features, weight in zip(parts, weights, strict=True):
                    out.index_add_(0, target, (features[source] @ weight[tap]).to(wide))
        out = out.to(dtype)
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
        wide = accumulation_type(features.dtype)
        grad_features = torch.zeros_like(features, dtype=wide) if needs_features else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        for tap in range(kernel_map.num_taps):
            source, target = kernel_map.tap(tap)
            if not len(source):
                continue
            rows = grad[target]
            if grad_features is not None:
                grad_features.index_add_(0, source, (rows @ weight[tap].T).to(wide))
            if grad_weight is not None:
                torch.mm(features[source].T, rows, out=grad_weight[tap])
        return None if grad_features is None else grad_features.to(features.dtype), grad_weight

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
        of_first, of_second = weight.split([first.shape[1], second.shape[1]], dim=1)
        grad_first, upper = self.backward(
            grad, first, of_first, kernel_map, needs_features=needs[0], needs_weight=needs[2]
        )
        grad_second, lower = self.backward(
            grad, second, of_second, kernel_map, needs_features=needs[1], needs_weight=needs[2]
        )
        # Of the size of the weight, not of the features.
        grad_weight = None if upper is None or lower is None else torch.cat([upper, lower], dim=1)
        return grad_first, grad_second, grad_weight
