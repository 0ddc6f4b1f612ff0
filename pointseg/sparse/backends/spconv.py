"""spconv's kernels on our kernel maps: gather, product and scatter fused tap by tap, for CUDA."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.kernel_map import KernelMap


class SpconvBackend:
    """spconv's native algorithm (2.2 or later), which takes any list of pairs by tap.

    Types that spconv has no kernels for (bfloat16) are computed in float32. On a CPU spconv adds products
    with a race between threads, so there it serves comparisons in one thread and nothing else.
    """

    def unavailable(self, device: torch.device) -> str | None:
        if find_spec("spconv") is None:
            return (
                "the package spconv is missing; `pip install spconv-cu126` or the wheel of your CUDA version"
            )
        if device.type == "cpu" and torch.get_num_threads() > 1:
            return (
                "on a CPU its sums are wrong with more than one thread; set train.num_threads or "
                "OMP_NUM_THREADS to 1"
            )
        if device.type == "cuda" and _is_cpu_build():
            return "the spconv that is installed has no CUDA kernels; `pip install spconv-cu126` or the like"
        return None if device.type in ("cpu", "cuda") else f"it has no kernels for {device.type}"

    def plan(self, kernel_map: KernelMap) -> None:
        if kernel_map.num_pairs:
            _plan(kernel_map)

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        self._check(features)
        if kernel_map.num_pairs == 0:
            out = features.new_zeros(kernel_map.num_target, weight.shape[2])
        else:
            pairs, counts = _plan(kernel_map)
            inputs, filters = _computable(features), _filters(weight)
            out = _ops().indice_conv(inputs, filters, pairs, counts, kernel_map.num_target)
        out = out.to(features.dtype)
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
        self._check(features)
        if kernel_map.num_pairs == 0:
            grad_features, grad_weight = torch.zeros_like(features), torch.zeros_like(weight)
        else:
            pairs, counts = _plan(kernel_map)
            inputs, outputs = _computable(features), _computable(grad)
            # One call makes both gradients.
            grad_features, grad_filters = _ops().indice_conv_backward(
                inputs, _filters(weight), outputs, pairs, counts
            )
            # (C_out, taps, C_in) -> (taps, C_in, C_out).
            grad_weight = grad_filters.reshape(weight.shape[2], *weight.shape[:2]).permute(1, 2, 0)
        return (
            grad_features.to(features.dtype) if needs_features else None,
            grad_weight.to(weight.dtype).contiguous() if needs_weight else None,
        )

    def _check(self, features: Tensor) -> None:
        reason = self.unavailable(features.device)
        if reason is None and features.is_cuda and features.dtype == torch.float64:
            reason = "it has no float64 on CUDA"
        if reason is not None:
            raise ValueError(f"engine: spconv cannot run here: {reason}. Or set engine: auto.")


@cache
def _ops() -> Any:
    """spconv's functions, imported when first needed: that takes seconds."""
    from spconv.pytorch import ops

    if not torch.cuda.is_available():
        # Its backward pass on a CPU asks for a CUDA stream, which it then leaves alone.
        ops.get_current_stream = lambda: 0
    return ops


@cache
def _is_cpu_build() -> bool:
    from spconv.cppconstants import CPU_ONLY_BUILD

    return bool(CPU_ONLY_BUILD)


def _computable(tensor: Tensor) -> Tensor:
    half_on_cuda = tensor.dtype == torch.float16 and tensor.is_cuda
    known = half_on_cuda or tensor.dtype in (torch.float32, torch.float64)
    return (tensor if known else tensor.float()).contiguous()


def _filters(weight: Tensor) -> Tensor:
    """(taps, C_in, C_out) -> (C_out, taps, C_in), spconv's order."""
    return _computable(weight.permute(2, 0, 1))


def _plan(kernel_map: KernelMap) -> tuple[Tensor, Tensor]:
    """(2, T, p) int32 source and target rows, -1 after the last pair of a tap; (T,) int32 pairs by tap."""
    if "spconv" not in kernel_map.plans:
        starts = torch.tensor(kernel_map.starts)
        counts = starts.diff()
        shape = (2, kernel_map.num_taps, int(counts.max()))
        pairs = torch.full(shape, -1, dtype=torch.int32, device=kernel_map.source.device)
        for tap, count in enumerate(counts.tolist()):
            source, target = kernel_map.tap(tap)
            pairs[0, tap, :count], pairs[1, tap, :count] = source, target
        kernel_map.plans["spconv"] = (pairs, counts.int().to(pairs.device))
    plan: tuple[Tensor, Tensor] = kernel_map.plans["spconv"]
    return plan
