"""Sparse convolution for CPUs in C: register tiles that read rows where they lie, without gather buffers."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.bfloat16 import NARROWEST
from pointseg.sparse.backends.block_products import BlocksBackend
from pointseg.sparse.backends.reference import accumulation_type
from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.native_library import (
    bfloat16_sets,
    check,
    instruction_sets,
    native_library,
    why_missing,
)

#: The types of the C kernels -> their number there.
_KERNEL_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}
#: Bytes of a block's sums: with the rows that it reads they stay in a second-level cache. Products of tiles
#: are quick: there blocks are larger, for longer runs of rows under one tap.
_BLOCK_BYTES = {torch.float32: 128 * 1024, torch.float64: 128 * 1024, torch.bfloat16: 512 * 1024}
_BLOCK_ROWS = 512
#: From so many output rows on a weight is transposed once, not by each block of rows for itself.
_TURNED_ROWS = 4 * _BLOCK_ROWS
#: Rows of a register tile of the widest set.
_TILE_ROWS = 8
#: Units of work for each thread, so that the last ones finish together.
_UNITS_PER_THREAD = 4


class NativeBackend:
    """The C kernels of pointseg/sparse/native, with the widest instruction set that the processor has.

    float32 and float64 are computed as they are, bfloat16 with sums in float32 and results rounded once: by
    products of tiles where the processor has AMX and the layer is wide enough, else all in float32. Other
    types go to plain torch. Threads are torch's number; results do not depend on it.

    Args:
        instruction_set: ``portable``, ``avx2`` or ``avx512``; None takes the widest.
        bfloat16_set: ``amx``, or ``portable``, which is the same in plain C; None takes AMX or nothing.
    """

    def __init__(self, instruction_set: str | None = None, bfloat16_set: str | None = None) -> None:
        self._torch = BlocksBackend()
        sets = instruction_sets()
        self.instruction_set = instruction_set or (next(reversed(sets)) if sets else None)
        if self.instruction_set is not None and self.instruction_set not in sets:
            raise ValueError(f"This machine runs {', '.join(sets) or 'none'}; got {instruction_set!r}.")
        self._set = sets.get(self.instruction_set or "", -1)
        tiles = bfloat16_sets()
        if bfloat16_set is not None and bfloat16_set not in tiles:
            raise ValueError(f"This machine runs {', '.join(tiles) or 'none'}; got {bfloat16_set!r}.")
        self._bfloat16_set = tiles.get(bfloat16_set or "amx")

    def unavailable(self, device: torch.device) -> str | None:
        if device.type != "cpu":
            return f"it is made for CPUs; the device is {device}"
        return why_missing()

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        wide = self._computed_in(features.dtype, weight)
        if wide is None:
            return self._torch.forward(features, weight, kernel_map, epilogue)
        epilogue = epilogue or Epilogue()
        out = self._convolve(features.to(wide), weight.to(wide), kernel_map, epilogue, backwards=False)
        return out.to(features.dtype)

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
        wide = self._computed_in(grad.dtype, weight)
        if wide is None:
            return self._torch.backward(
                grad,
                features,
                weight,
                kernel_map,
                needs_features=needs_features,
                needs_weight=needs_weight,
            )
        grad_features = grad_weight = None
        upstream = grad.to(wide)
        if needs_features:
            # The transposed convolution; an odd kernel on one grid is its own transpose with taps reversed.
            back = kernel_map if kernel_map.mirrored else kernel_map.transposed()
            grad_features = self._convolve(upstream, weight.to(wide), back, Epilogue(), backwards=True)
            grad_features = grad_features.to(features.dtype)
        if needs_weight:
            grad_weight = self._weight(features.to(wide), upstream, kernel_map).to(weight.dtype)
        return grad_features, grad_weight

    def _computed_in(self, dtype: torch.dtype, weight: Tensor) -> torch.dtype | None:
        """The type in which the C kernels compute a layer; None where plain torch does."""
        if dtype == torch.bfloat16:
            is_quick = self._bfloat16_set is not None and min(weight.shape[1:]) >= NARROWEST
            return torch.bfloat16 if is_quick else torch.float32
        return dtype if dtype in _KERNEL_TYPES else None

    def _set_of(self, dtype: torch.dtype) -> int:
        """The number of the instruction set for a type."""
        if dtype != torch.bfloat16:
            return self._set
        assert self._bfloat16_set is not None
        return self._bfloat16_set

    def _convolve(
        self, x: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue, *, backwards: bool
    ) -> Tensor:
        """x @ weight[tap], or for gradients x @ weight[tap].T, over the pairs of a map."""
        taps, rows_stride, columns = weight.shape
        c_in, c_out = (columns, rows_stride) if backwards else (rows_stride, columns)
        tap_stride, k_stride, n_stride = rows_stride * columns, c_out, 1
        if backwards and x.dtype != torch.bfloat16 and kernel_map.num_target >= _TURNED_ROWS:
            weight = weight.transpose(1, 2).contiguous()
        elif backwards:
            k_stride, n_stride = 1, c_in
        first = weight.data_ptr()
        if backwards and kernel_map.mirrored:
            first += (taps - 1) * tap_stride * weight.element_size()
            tap_stride = -tap_stride
        if x.dtype == torch.bfloat16:
            packed = _packed(weight, first, (taps, c_in, c_out, tap_stride, k_stride, n_stride))
            first, tap_stride = packed.data_ptr(), packed.stride(0)
        out = x.new_empty(kernel_map.num_target, c_out)
        threads = torch.get_num_threads()
        block_rows, block_columns = self._blocks(len(out), c_out, x.dtype, threads)
        # Held until the call is over: the kernel sees addresses only.
        extras = [
            None if extra is None else extra.to(dtype).contiguous()
            for extra, dtype in ((epilogue.bias, accumulation_type(x.dtype)), (epilogue.residual, x.dtype))
        ]
        failed = native_library().pointseg_convolve(
            self._set_of(x.dtype), _KERNEL_TYPES[x.dtype], threads, x.data_ptr(), first, out.data_ptr(),
            *_pairs(kernel_map),
            *(None if extra is None else extra.data_ptr() for extra in extras), int(epilogue.relu),
            taps, c_in, c_out, len(out), tap_stride, k_stride, n_stride, block_rows, block_columns,
        )  # fmt: skip
        check(failed)
        return out

    def _weight(self, x: Tensor, grad: Tensor, kernel_map: KernelMap) -> Tensor:
        c_in, c_out, taps = x.shape[1], grad.shape[1], kernel_map.num_taps
        threads, number = torch.get_num_threads(), _KERNEL_TYPES[x.dtype]
        tile: int = native_library().pointseg_columns(self._set_of(x.dtype), number)
        stride = -(-c_out // tile) * tile
        if x.dtype == torch.bfloat16:
            # Both sides are of whole tiles; units are groups of taps, as products of tiles want long rows.
            whole, units, slices = tile, 2 * threads, -(-2 * threads // taps)
            dw = x.new_zeros(taps, -(-c_in // whole) * whole, stride, dtype=torch.float32)
        else:
            # Slices of the inputs first: all taps of a slice share the rows that are copied for them.
            whole, units = _TILE_ROWS, 2 * threads if threads > 1 else 1
            slices = units
            dw = x.new_empty(taps, c_in, stride)
        slice_channels = -(-c_in // (min(slices, c_in) * whole)) * whole
        slices = -(-c_in // slice_channels)
        groups = _groups(kernel_map.starts, units if x.dtype == torch.bfloat16 else -(-units // slices))
        failed = native_library().pointseg_weight(
            self._set_of(x.dtype), number, threads, x.data_ptr(), grad.data_ptr(), dw.data_ptr(),
            *_pairs(kernel_map),
            (ctypes.c_int64 * len(groups))(*groups), taps, c_in, c_out, kernel_map.num_target, stride,
            len(groups) - 1, slices, slice_channels,
        )  # fmt: skip
        check(failed)
        return dw[:, :c_in, :c_out].contiguous()

    def _blocks(self, rows: int, columns: int, dtype: torch.dtype, threads: int) -> tuple[int, int]:
        """Rows and columns of a unit of work."""
        tile: int = native_library().pointseg_columns(self._set_of(dtype), _KERNEL_TYPES[dtype])
        size, block_bytes = accumulation_type(dtype).itemsize, _BLOCK_BYTES[dtype]
        # Wide layers are cut into columns: a block of few rows would read all weights for little work.
        widest = max(tile, block_bytes // (_BLOCK_ROWS * size) // tile * tile)
        splits = -(-columns // widest)
        units = splits * -(-rows // _BLOCK_ROWS)
        # Few rows: more and narrower pieces, so that all threads have some.
        splits = max(splits, -(-splits * _UNITS_PER_THREAD * threads // max(units, 1)) if threads > 1 else 1)
        width = -(-columns // (tile * splits)) * tile
        return max(_BLOCK_ROWS, min(2048, block_bytes // (width * size))), width


def _groups(starts: tuple[int, ...], count: int) -> list[int]:
    """Where to cut the taps into at most ``count`` groups of about as many pairs."""
    share = max(1, -(-starts[-1] // count))
    cuts = [0]
    for tap in range(1, len(starts) - 1):
        if starts[tap] - starts[cuts[-1]] >= share or starts[tap + 1] - starts[cuts[-1]] > share * 1.5:
            cuts.append(tap)
    return [*cuts, len(starts) - 1]


def _packed(weight: Tensor, first: int, layout: tuple[int, ...]) -> Tensor:
    """(taps, values) bfloat16 of a weight as the products of tiles read it.

    Args:
        weight: what ``first`` is an address of.
        first: address of the first tap.
        layout: taps, C_in, C_out and the strides of the three.
    """
    taps, c_in, c_out = layout[:3]
    packed = weight.new_empty(taps, (-(-c_in // 32) * 32) * (-(-c_out // 32) * 32))
    native_library().pointseg_pack(first, *layout, packed.data_ptr())
    return packed


def _pairs(kernel_map: KernelMap) -> tuple[int, int, Any]:
    """Addresses of a map's pairs; the starts are kept in the map."""
    if "native" not in kernel_map.plans:
        starts = kernel_map.starts
        kernel_map.plans["native"] = (ctypes.c_int64 * len(starts))(*starts)
    return kernel_map.source.data_ptr(), kernel_map.target.data_ptr(), kernel_map.plans["native"]
