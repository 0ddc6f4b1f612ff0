"""Which convolutions in bfloat16 get bfloat16 products: decided here, by processor and number of channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch

#: What torch calls the instructions -> what people call them, fastest first.
_INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
#: With fewer channels a row costs more to gather and to sum than its product saves (benchmarks/engine.md).
NARROWEST = 32


def bfloat16_instructions() -> str | None:
    """The instructions by which oneDNN multiplies bfloat16 quicker than float32; None where there are none.

    Processors with AVX-512 alone can do it too, but take as long as in float32.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    # Older versions of torch do not tell: float32 is right everywhere.
    ask = getattr(torch.cpu, "get_capabilities", None)
    found: Mapping[str, object] = {} if ask is None else ask()
    return next((name for key, name in _INSTRUCTIONS.items() if found.get(key)), None)


def explain_bfloat16(instructions: str | None) -> str:
    """What an engine that was made with these instructions does with bfloat16, in words."""
    if instructions is None:
        return "computed in float32: this processor (or torch) has no bfloat16 products"
    return (
        f"products of bfloat16 by oneDNN ({instructions}) from {NARROWEST} channels on, others in float32; "
        "its speed was never measured on such a processor"
    )
