"""How the kernels are started: strides, flags, grids and tile sizes."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn import functional

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.triton.kernel_forward import convolve_tiles, sum_splits
from pointseg.sparse.backends.triton.kernel_weight import sum_parts, weight_gradient_parts
from pointseg.sparse.backends.triton.plan import TapTable, Tiles
from pointseg.sparse.backends.triton.tuning import (
    Tile,
    choose_tile,
    forward_tiles,
    power_of_two,
    weight_tiles,
)

#: Whether TRITON_INTERPRET=1 was set when the kernels were made: they run on CPU tensors, slowly.
INTERPRETED = not isinstance(convolve_tiles, triton.JITFunction)
#: Programs that the weight gradient aims at: a few for each multiprocessor of the largest GPUs.
_WEIGHT_PROGRAMS = 1024
#: Rows to a partial sum of the weight gradient, at least.
_SHORTEST_PART = 1024
_SUM_BLOCK = 1024
#: At most so many channels are packed, several taps to a product.
_MAX_PACKED = 8
#: Fewer programs than that share their taps with others: two for each multiprocessor of an H100. A constant
#: and not the device's own number, so that sums have one order everywhere.
_FEW_PROGRAMS = 264
_MOST_SPLITS = 8


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
    if pad and features.stride(0) != pad:
        # Rows of 4 or 8 numbers are read whole, in one asynchronous load each; rows of 3 are not.
        features = functional.pad(features, (0, pad - channels))

    def run(tile: Tile) -> None:
        tiles = table.tiles(tile.m)
        programs = tiles.num_tiles * triton.cdiv(weight.shape[2], tile.n)
        splits = 1 if pad else splits_of(programs, table.num_taps)
        target = out
        if splits > 1:
            lanes = splits * tiles.num_tiles * tile.m
            target = torch.empty(lanes, weight.shape[2], dtype=torch.float32, device=out.device)
        convolve_tiles[(programs, splits)](
            features,
            _or(second, features),
            weight,
            target,
            _or(epilogue.bias, features),
            _or(epilogue.residual, features),
            table.table,
            table.rows,
            tiles.taps,
            tiles.counts,
            table.num_rows,
            tiles.num_tiles,
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
            HAS_BIAS=splits == 1 and epilogue.bias is not None,
            HAS_RESIDUAL=splits == 1 and epilogue.residual is not None,
            RELU=splits == 1 and epilogue.relu,
            REVERSED=reverse_taps,
            PAD=pad,
            K_STEPS=1 if pad else triton.cdiv(channels, tile.k),
            SECOND_K_STEPS=triton.cdiv(second_channels, tile.k),
            EVEN_K=channels % tile.k == 0 and second_channels % tile.k == 0,
            BLOCK_M=tile.m,
            BLOCK_N=tile.n,
            BLOCK_K=tile.k,
            GROUP=tile.group,
            SPLITS=splits,
            **_options(features.dtype, tile),
        )
        if splits > 1:
            _add_splits(target, out, table, tiles, tile.m, splits, epilogue)

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
        run(choose_tile(key, candidates, run, compiled=not INTERPRETED))
    return out


def _add_splits(
    partial: Tensor, out: Tensor, table: TapTable, tiles: Tiles, rows: int, splits: int, epilogue: Epilogue
) -> None:
    """out = the sum of the parts that several programs made of each tile, and what follows it."""
    block_m, block_n = 16, min(128, power_of_two(out.shape[1]))
    grid = (triton.cdiv(table.num_rows, block_m), triton.cdiv(out.shape[1], block_n))
    sum_splits[grid](
        partial,
        out,
        _or(epilogue.bias, out),
        _or(epilogue.residual, out),
        table.rows,
        table.num_rows,
        tiles.num_tiles * rows,
        out.shape[1],
        _or(epilogue.residual, out).stride(0),
        HAS_BIAS=epilogue.bias is not None,
        HAS_RESIDUAL=epilogue.residual is not None,
        RELU=epilogue.relu,
        SPLITS=splits,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        enable_fp_fusion=True,
    )


def launch_weight_gradient(
    features: Tensor, grad: Tensor, table: TapTable, out: Tensor, *, parts: int | None = None
) -> None:
    """out[tap] = the sum over the table's pairs under a tap of features[neighbour] times grad[row].

    Args:
        features: (N, C_in), channels contiguous.
        grad: (M, C_out), channels contiguous.
        table: the neighbours of the M rows.
        out: (T, C_in, C_out), contiguous within a tap; written whole.
        parts: how many partial sums each tap has; None chooses.
    """
    if out.numel() == 0:
        return
    if table.num_rows == 0 or features.shape[0] == 0:
        out.zero_()
        return
    channels, out_channels = features.shape[1], grad.shape[1]

    def run(tile: Tile) -> None:
        blocks = triton.cdiv(channels, tile.m) * triton.cdiv(out_channels, tile.n)
        tiles = table.tiles_of_taps(tile.k)
        num_parts = parts or parts_of(table.num_rows, table.num_taps * blocks)
        partial = torch.empty(
            table.num_taps, num_parts, channels, out_channels, dtype=torch.float32, device=out.device
        )
        weight_gradient_parts[(table.num_taps * num_parts * blocks,)](
            features,
            grad,
            partial,
            table.table,
            table.rows,
            tiles.tiles,
            tiles.counts,
            table.num_rows,
            tiles.num_tiles,
            num_parts,
            table.table.stride(0),
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
        sum_parts[(table.num_taps * triton.cdiv(elements, _SUM_BLOCK),)](
            partial, out, num_parts, elements, out.stride(0), BLOCK=_SUM_BLOCK, enable_fp_fusion=True
        )

    candidates = weight_tiles(channels, out_channels, features.element_size())
    key = ("weight", *_key(features, table.num_rows), table.num_taps, channels, out_channels)
    with torch.cuda.device_of(features):
        run(choose_tile(key, candidates, run, compiled=not INTERPRETED))


def parts_of(num_rows: int, programs: int) -> int:
    """Partial sums of a tap's gradient, where each takes so many programs: enough for the device, few to add.

    A bound on the rows of a tap stands for their number, which only the device knows.
    """
    longest = max(1, num_rows // _SHORTEST_PART)
    return min(longest, -(-_WEIGHT_PROGRAMS // programs))


def splits_of(programs: int, num_taps: int) -> int:
    """How many programs share the taps of a tile: at coarse levels there are few tiles with many channels."""
    wanted = min(_FEW_PROGRAMS // programs, _MOST_SPLITS, num_taps // 2)
    return 1 << max(wanted, 1).bit_length() - 1


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
