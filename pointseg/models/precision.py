"""In which types a network computes where it does not train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

Amp = Literal["none", "bf16", "fp16"]
AMP_TYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """How products are made outside training.

    Args:
        amp: type under torch's rules of mixed precision; ``none`` leaves everything in float32.
        tf32: whether a GPU may round the factors of float32 products to 10 bits.
    """

    amp: Amp = "none"
    tf32: bool = False

    @contextlib.contextmanager
    def used_on(self, device: torch.device) -> Iterator[None]:
        """Compute like this for a while; torch's own settings are as before afterwards."""
        if device.type == "cpu":
            with _autocast(self.amp, device):
                yield
            return
        products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high" if self.tf32 else "highest")
        # torch's default allows it here, and only here.
        torch.backends.cudnn.allow_tf32 = self.tf32
        try:
            with _autocast(self.amp, device):
                yield
        finally:
            torch.set_float32_matmul_precision(products)
            torch.backends.cudnn.allow_tf32 = convolutions


EXACT = Precision()


def check_amp(amp: Amp, device: torch.device, *, option: str) -> None:
    """Refuse a type that a device does not compute in.

    Args:
        amp: the type.
        device: where.
        option: what an error calls it.

    Raises:
        ValueError: for fp16 without a GPU.
    """
    if amp == "fp16" and device.type != "cuda":
        raise ValueError(f"{option}: fp16 needs a GPU; use bf16 or none on {device}.")


def _autocast(amp: Amp, device: torch.device) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext() if amp == "none" else torch.autocast(device.type, dtype=AMP_TYPES[amp])
