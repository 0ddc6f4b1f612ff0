"""Which convolutions in bfloat16 get bfloat16 products: decided here, by processor and number of channels."""

from __future__ import annotations

from pointseg.sparse.native_library import bfloat16_sets

#: With fewer channels on either side most of a tile would be empty (benchmarks/engine.md).
NARROWEST = 16


def bfloat16_instructions() -> str | None:
    """The instructions by which the C kernels multiply bfloat16 quicker than float32; None without any.

    Processors with AVX-512 BF16 alone would gain a factor of two at most, and in products only: they compute
    in float32 like all others.
    """
    return "AMX" if "amx" in bfloat16_sets() else None


def explain_bfloat16(instructions: str | None) -> str:
    """What the engine native does with bfloat16, in words."""
    if instructions is None:
        return "computed in float32, and no quicker: processor, system or build lack AMX"
    return (
        f"products of bfloat16 ({instructions}) in layers of {NARROWEST} channels and more, else float32; "
        "a training step takes about half the time of float32"
    )
