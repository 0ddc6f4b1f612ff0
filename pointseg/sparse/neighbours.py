"""The neighbours of every voxel under every tap, as one table: what a GPU finds without asking for sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pointseg.sparse.keys import Bounds, KeyLayout
from pointseg.sparse.voxels import Geometry, coarse_bounds

#: Grids up to this stride share one layout of their keys.
_COARSEST = 64


class Neighbours:
    """The table of a kernel map, found when first asked for; of 125 taps and 1.2 M voxels it is 600 MB.

    An engine that keeps a sorted copy says so: then that is the only one in memory, and who asks for the
    table itself gets it out of the copy, each time anew.

    Args:
        find: gives the (T, M) int32 table; called once, if at all.
    """

    def __init__(self, find: Callable[[], Tensor]) -> None:
        self._find = find
        self._table: Tensor | None = None
        self._sorted: tuple[Tensor, Tensor] | None = None

    def __call__(self) -> Tensor:
        if self._sorted is not None:
            table, rows = self._sorted
            unsorted = table.new_empty(table.shape[0], len(rows))
            return unsorted.index_copy_(1, rows.long(), table[:, : len(rows)])
        if self._table is None:
            self._table = self._find()
        return self._table

    @property
    def held(self) -> object:
        """The tensors in memory, in whichever form."""
        return self._table, self._sorted

    def keep_sorted(self, table: Tensor, rows: Tensor) -> None:
        """Forget the table for one with the same columns in another order.

        Args:
            table: (T, P) with P >= M; what lies behind the M columns is not read.
            rows: (M,) int32, the column of the table that each of the first M columns was.
        """
        self._table, self._sorted = None, (table, rows)


def neighbour_table(geometry: Geometry) -> Tensor:
    """(T, M) int32: the source row that a target row meets under each tap, or -1 where no voxel is.

    All columns of taps are looked up at once, in some ten calls whatever the kernel: on a GPU the calls are
    what a map costs. The host learns nothing but the bounds of the coordinates.

    Args:
        geometry: one that is not transposed; for others see :func:`exchanged_table`.
    """
    source, target, kernel_size = geometry.source, geometry.target, geometry.kernel_size
    step = geometry.dilation * source.stride
    # Undilated, no source voxel can lie between two neighbouring taps of a column.
    dense_steps = geometry.dilation == 1
    layout = _shared_layout(geometry, step * kernel_size)
    source_keys, target_keys = source.sorted_keys(layout), target.sorted_keys(layout)
    if not len(source_keys):
        return torch.full(
            (kernel_size**3, len(target_keys)), -1, dtype=torch.int32, device=target_keys.device
        )
    # A last key that nothing equals: a search that runs off the end lands on it.
    padded = torch.nn.functional.pad(source_keys, (0, 1), value=torch.iinfo(torch.int64).max)
    wanted = target_keys + _columns(layout, kernel_size, step, target_keys.device)[:, None]
    place = torch.searchsorted(source_keys, wanted, out_int32=True)
    table = torch.empty(
        kernel_size, kernel_size**2, len(target_keys), dtype=torch.int32, device=target_keys.device
    )
    for z in range(kernel_size):
        hit = padded[place] == wanted
        table[z] = torch.where(hit, place, -1)
        if z + 1 < kernel_size:
            wanted += step
            # One search serves a column: after a hit the next key up is the next entry, else the same one.
            place = place + hit if dense_steps else torch.searchsorted(source_keys, wanted, out_int32=True)
    return _as_rows(table.view(kernel_size**3, -1), source.order, target.order)


def exchanged_table(table: Tensor, num_source: int) -> Tensor:
    """(T, N) int32: the table of the map with its sides exchanged; N is the number of source rows."""
    # Absent neighbours are written to a last column, which nobody reads.
    column = torch.where(table >= 0, table, num_source).long()
    rows = torch.arange(table.shape[1], dtype=torch.int32, device=table.device).expand_as(table)
    turned = torch.full((table.shape[0], num_source + 1), -1, dtype=torch.int32, device=table.device)
    return turned.scatter_(1, column, rows)[:, :num_source]


def pairs_of(table: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """(source rows, target rows, starts) of a table: pairs by tap, targets ascending within a tap.

    The host learns the number of pairs of each tap.
    """
    tap, target = torch.nonzero(table >= 0, as_tuple=True)
    source = table[tap, target]
    starts = torch.searchsorted(tap, torch.arange(table.shape[0] + 1, device=table.device))
    return source, target.int(), tuple(starts.tolist())


def on_device(values: Sequence[int], device: torch.device) -> Tensor:
    """int64 numbers of the host on a device, without waiting for it."""
    tensor = torch.tensor(values, dtype=torch.int64)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _shared_layout(geometry: Geometry, reach: int) -> KeyLayout:
    """A layout that all maps of a scene have in common, so that each grid packs its keys once.

    Args:
        geometry: two grids, which may have been coarsened to strides of up to ``_COARSEST``.
        reach: margin that the kernel needs.
    """
    margin = max(_COARSEST, 1 << (reach - 1).bit_length())
    return KeyLayout.around([_rounded(side.bounds) for side in (geometry.source, geometry.target)], margin)


def _rounded(bounds: Bounds | None) -> Bounds | None:
    """Bounds that are the same for a grid and all grids coarsened from it."""
    if bounds is None:
        return None
    low, high = bounds
    tops = [value // _COARSEST * _COARSEST + _COARSEST for value in high[1:]]
    return coarse_bounds((low, (high[0], tops[0], tops[1], tops[2])), _COARSEST)


def _columns(layout: KeyLayout, kernel_size: int, step: int, device: torch.device) -> Tensor:
    """(K^2,) int64: what the lowest tap of each column adds to a key, x fastest."""
    low = -(kernel_size // 2) if kernel_size % 2 else 0
    along = [step * place for place in range(low, low + kernel_size)]
    return on_device([layout.shift(x, y, step * low) for y in along for x in along], device)


def _as_rows(table: Tensor, source_order: Tensor | None, target_order: Tensor | None) -> Tensor:
    """Ranks in sorted order -> rows."""
    if source_order is not None and source_order.numel():
        table = torch.where(table >= 0, source_order.int()[table.clamp(min=0)], -1)
    if target_order is not None:
        rows = torch.empty_like(table)
        rows[:, target_order] = table
        table = rows
    return table
