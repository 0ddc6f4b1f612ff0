"""Which convolutions in bfloat16 get bfloat16 products: decided here, by processor and number of channels."""

from __future__ import annotations

from pointseg.sparse.native_library import bfloat16_sets

#: With fewer channels on either side most of a tile would be empty (benchmarks/engine.md).
NARROWEST = 32


def bfloat16_instructions() -> str | None:
    """The instructions by which the C kernels multiply bfloat16 quicker than float32; None where there are none.

    Processors with AVX-512 BF16 alone would gain a factor of two at most, in products only: they compute in
    float32 like all others.
    """
    return "AMX" if "amx" in bfloat16_sets() else None


def explain_bfloat16(instructions: str | None) -> str:
    """What the engine native does with bfloat16, in words."""
    if instructions is None:
        return "computed in float32, and no quicker: this processor has no AMX (or this system does not allow it)"
    return (
        f"products of bfloat16 ({instructions}) in layers of {NARROWEST} channels and more, others in float32; "
        "a training step takes about half the time of float32 (benchmarks/engine.md)"
    )
