"""How the kernels are started: strides, flags, grids and tile sizes."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.triton.kernel_forward import convolve_tiles
from pointseg.sparse.backends.triton.kernel_weight import sum_chunks, weight_gradient_chunks
from pointseg.sparse.backends.triton.plan import TapTable, pair_chunks
from pointseg.sparse.backends.triton.tuning import (
    Tile,
    choose_tile,
    forward_tiles,
    power_of_two,
    weight_tiles,
)
from pointseg.sparse.kernel_map import KernelMap

#: Whether TRITON_INTERPRET=1 was set when the kernels were made: they run on CPU tensors, slowly.
INTERPRETED = not isinstance(convolve_tiles, triton.JITFunction)
#: Programs that the weight gradient aims at: a few for each multiprocessor of the largest GPUs.
_WEIGHT_PROGRAMS = 1024
_SHORTEST_CHUNK = 1024
_SUM_BLOCK = 1024
#: At most so many channels are packed, several taps to a product.
_MAX_PACKED = 8


def launch_convolution(
    features: Tensor,
    second: Tensor | None,
    weight: Tensor,
    table: TapTable,
    *,
    reverse_taps: bool = False,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """(M, C_out): the convolution of one feature tensor, or of two as if they were concatenated.

    Args:
        features: (N, C1), channels contiguous.
        second: (N, C2) or None.
        weight: (T, C1 + C2, C_out) with any strides.
        table: the neighbours of the output rows.
        reverse_taps: whether tap t of the table takes weight T - 1 - t.
        epilogue: what follows the sums.
    """
    out = features.new_empty(table.num_rows, weight.shape[2])
    if out.numel() == 0:
        return out
    epilogue = epilogue or Epilogue()
    channels = features.shape[1]
    second_channels = 0 if second is None else second.shape[1]
    pad = packed_channels(channels) if second is None else 0

    def run(tile: Tile) -> None:
        tiles = table.tiles(tile.m)
        convolve_tiles[(tiles.num_tiles * triton.cdiv(weight.shape[2], tile.n),)](
            features,
            _or(second, features),
            weight,
            out,
            _or(epilogue.bias, features),
            _or(epilogue.residual, features),
            table.table,
            table.rows,
            tiles.taps,
            tiles.counts,
            table.num_rows,
            table.num_taps,
            table.table.stride(0),
            channels,
            second_channels,
            weight.shape[2],
            features.stride(0),
            _or(second, features).stride(0),
            _or(epilogue.residual, features).stride(0),
            *weight.stride(),
            HAS_SECOND=second is not None,
            HAS_BIAS=epilogue.bias is not None,
            HAS_RESIDUAL=epilogue.residual is not None,
            RELU=epilogue.relu,
            REVERSED=reverse_taps,
            PAD=pad,
            EVEN_K=channels % tile.k == 0 and second_channels % tile.k == 0,
            BLOCK_M=tile.m,
            BLOCK_N=tile.n,
            BLOCK_K=tile.k,
            **_options(features.dtype, tile),
        )

    candidates = forward_tiles(
        32 if pad else channels, weight.shape[2], out.element_size(), second_channels=second_channels
    )
    key = (
        "forward",
        *_key(features, table.num_rows),
        table.num_taps,
        channels,
        second_channels,
        out.shape[1],
    )
    # Triton starts kernels on the current device, wherever the tensors are.
    with torch.cuda.device_of(features):
        run(choose_tile(key, candidates, run))
    return out


def launch_weight_gradient(
    features: Tensor, grad: Tensor, kernel_map: KernelMap, out: Tensor, *, chunk: int | None = None
) -> None:
    """out[tap] = features[source].T @ grad[target] over the pairs of each tap.

    Args:
        features: (N, C_in), channels contiguous.
        grad: (M, C_out), channels contiguous.
        kernel_map: the pairs.
        out: (T, C_in, C_out), contiguous within a tap; written whole.
        chunk: pairs to a partial sum; None chooses.
    """
    if out.numel() == 0:
        return
    channels, out_channels = features.shape[1], grad.shape[1]

    def run(tile: Tile) -> None:
        num_tiles = triton.cdiv(channels, tile.m) * triton.cdiv(out_channels, tile.n)
        chunks = pair_chunks(kernel_map, chunk or chunk_length(kernel_map.num_pairs, num_tiles))
        partial = torch.empty(
            chunks.num_chunks, channels, out_channels, dtype=torch.float32, device=out.device
        )
        if chunks.num_chunks:
            weight_gradient_chunks[(chunks.num_chunks * num_tiles,)](
                features,
                grad,
                partial,
                kernel_map.source,
                kernel_map.target,
                chunks.begins,
                chunks.ends,
                channels,
                out_channels,
                features.stride(0),
                grad.stride(0),
                BLOCK_P=tile.k,
                BLOCK_I=tile.m,
                BLOCK_O=tile.n,
                **_options(features.dtype, tile),
            )
        elements = channels * out_channels
        sum_chunks[(out.shape[0] * triton.cdiv(elements, _SUM_BLOCK),)](
            partial, out, chunks.first, elements, out.stride(0), BLOCK=_SUM_BLOCK, enable_fp_fusion=True
        )

    candidates = weight_tiles(channels, out_channels, features.element_size())
    key = ("weight", *_key(features, kernel_map.num_pairs), out.shape[0], channels, out_channels)
    with torch.cuda.device_of(features):
        run(choose_tile(key, candidates, run))


def chunk_length(num_pairs: int, num_tiles: int) -> int:
    """Pairs to a partial sum: enough programs for the device, and few partial sums to add. A power of two."""
    wanted = max(_SHORTEST_CHUNK, num_pairs * num_tiles // _WEIGHT_PROGRAMS)
    return 1 << (wanted - 1).bit_length()


def packed_channels(channels: int) -> int:
    """Columns that a tap takes where several taps make one product; 0 where each makes its own."""
    return 0 if channels > _MAX_PACKED else max(4, 1 << (channels - 1).bit_length())


def precision_of(dtype: torch.dtype) -> str:
    """How float32 is multiplied: exactly, or in tf32 where torch's own products may be."""
    exact = dtype != torch.float32 or torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact else "tf32"


def _options(dtype: torch.dtype, tile: Tile) -> dict[str, Any]:
    return {
        # The interpreter multiplies the bits of bfloat16 as if they were integers.
        "WIDEN": INTERPRETED and dtype == torch.bfloat16,
        "PRECISION": precision_of(dtype),
        "num_warps": tile.warps,
        "num_stages": tile.stages,
        "enable_fp_fusion": True,
    }


def _key(features: Tensor, count: int) -> tuple[object, ...]:
    """Type and order of magnitude: what the best tile depends on besides the channels."""
    return features.dtype, precision_of(features.dtype), power_of_two(count)


def _or(tensor: Tensor | None, stand_in: Tensor) -> Tensor:
    """A pointer has to be given even where the flags say that it is not read."""
    return stand_in if tensor is None else tensor
