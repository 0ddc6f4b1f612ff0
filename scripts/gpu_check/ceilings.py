"""What the device can do at most: bytes moved and products made in a second, measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from gpu_check.record import Recorder

#: name -> type of the tensors and torch's precision of float32 products.
PRECISIONS: dict[str, tuple[torch.dtype, str]] = {
    "float32": (torch.float32, "highest"),
    "tf32": (torch.float32, "high"),
    "bf16": (torch.bfloat16, "highest"),
    "fp16": (torch.float16, "highest"),
}


@contextlib.contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """torch's precision of float32 products, for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def measure_ceilings(recorder: Recorder) -> None:
    """Fill ``recorder.ceilings``: ``GB/s`` and a TFLOP/s for each precision."""
    source = torch.empty(recorder.scale.copy_mib * 2**20, dtype=torch.uint8, device=recorder.device)
    target = torch.empty_like(source)
    ms = recorder.time_ms(lambda: target.copy_(source))["min_ms"]
    recorder.ceilings["GB/s"] = 2 * source.numel() / ms / 1e6
    recorder.add("ceiling", "copy", **{"GB/s": recorder.ceilings["GB/s"]})
    edge = recorder.scale.matrix
    for name, (dtype, precision) in PRECISIONS.items():
        a, b = (torch.randn(edge, edge, device=recorder.device).to(dtype) for _ in range(2))
        with float32_products(precision):
            ms = recorder.time_ms(lambda a=a, b=b: a @ b)["min_ms"]  # type: ignore[misc]
        recorder.ceilings[name] = 2 * edge**3 / ms / 1e9
        recorder.add("ceiling", f"{edge}^3 product, {name}", **{"TFLOP/s": recorder.ceilings[name]})
