"""TapTable: a kernel map in the form that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pointseg.sparse.kernel_map import KernelMap

#: Columns of a table are padded to a multiple of the largest tile, so that its loads need no mask.
PADDING = 256
#: Taps that take part in the sorting of rows: bits of one int64 that stay positive.
_SORTED_TAPS = 62
_TAPS_AT_A_TIME = 16


@dataclass(frozen=True)
class Tiles:
    """The taps that occur in each tile of consecutive columns of a table.

    Args:
        taps: (tiles, T) int32; the taps of a tile, ascending, come first.
        counts: (tiles,) int32 number of them.
    """

    taps: Tensor
    counts: Tensor

    @property
    def num_tiles(self) -> int:
        return self.counts.shape[0]


@dataclass(frozen=True)
class TilesOfTaps:
    """The tiles of consecutive columns of a table in which each tap occurs.

    Args:
        tiles: (T, tiles) int32; the tiles of a tap, ascending, come first.
        counts: (T,) int32 number of them.
    """

    tiles: Tensor
    counts: Tensor

    @property
    def num_tiles(self) -> int:
        return self.tiles.shape[1]


@dataclass(frozen=True)
class TapTable:
    """For each output row and tap the input row under it, with rows of like neighbourhoods side by side.

    A tile multiplies every tap that one of its rows has, so rows are sorted by the bits of their taps, the
    rarest tap as the highest bit: rows with a rare tap share tiles, and all others skip it.

    Args:
        table: (T, P) int32 input rows, -1 where there is none; P is a multiple of ``PADDING``.
        rows: (M,) int32 output row of each of the first M columns.
        tiles_of: memory of :meth:`tiles`.
        taps_of: memory of :meth:`tiles_of_taps`.
    """

    table: Tensor
    rows: Tensor
    tiles_of: dict[int, Tiles] = field(default_factory=dict, repr=False)
    taps_of: dict[int, TilesOfTaps] = field(default_factory=dict, repr=False)

    @property
    def num_taps(self) -> int:
        return self.table.shape[0]

    @property
    def num_rows(self) -> int:
        return self.rows.shape[0]

    def tiles(self, size: int) -> Tiles:
        """The active taps of tiles of ``size`` columns, a divisor of ``PADDING``; memoised."""
        if size not in self.tiles_of:
            present = self._present(size).T.contiguous()
            taps = present.int().argsort(dim=1, descending=True, stable=True).int()
            self.tiles_of[size] = Tiles(taps, present.sum(dim=1, dtype=torch.int32))
        return self.tiles_of[size]

    def tiles_of_taps(self, size: int) -> TilesOfTaps:
        """The same the other way round, for the weight gradient: which tiles a tap has; memoised."""
        if size not in self.taps_of:
            present = self._present(size)
            tiles = present.int().argsort(dim=1, descending=True, stable=True).int()
            self.taps_of[size] = TilesOfTaps(tiles, present.sum(dim=1, dtype=torch.int32))
        return self.taps_of[size]

    def _present(self, size: int) -> Tensor:
        """(T, tiles) whether a tap has a pair in a tile."""
        columns = -(-self.num_rows // size) * size
        return (self.table[:, :columns] >= 0).view(self.num_taps, -1, size).any(dim=2)


def tap_table(kernel_map: KernelMap) -> TapTable:
    """The table of a kernel map; memoised in the map, in which it takes the place of the unsorted one."""
    name = "triton table"
    if name not in kernel_map.plans:
        arranged = arrange(kernel_map.neighbours)
        kernel_map.plans[name] = arranged
        kernel_map.keep_sorted(arranged.table, arranged.rows)
    table: TapTable = kernel_map.plans[name]
    return table


def arrange(neighbours: Tensor) -> TapTable:
    """The table of (T, M) neighbours with its columns sorted; the host learns nothing."""
    num_taps, num_rows = neighbours.shape
    order = _keys_by_rarity(neighbours >= 0).argsort(stable=True)
    columns = -(-num_rows // PADDING) * PADDING
    table = torch.full((num_taps, columns), -1, dtype=torch.int32, device=neighbours.device)
    torch.index_select(neighbours, 1, order, out=table[:, :num_rows])
    return TapTable(table, order.int())


def _keys_by_rarity(present: Tensor) -> Tensor:
    """(M,) int64: the taps of each row as bits, the highest for the tap with the fewest pairs."""
    taps = present.sum(dim=1).argsort(stable=True)[:_SORTED_TAPS]
    places = torch.arange(_SORTED_TAPS - 1, _SORTED_TAPS - 1 - len(taps), -1, device=present.device)
    keys = torch.zeros(present.shape[1], dtype=torch.int64, device=present.device)
    # A few taps at a time: as 64-bit numbers the flags of all of them would be eight times the table.
    for some, bits in zip(taps.split(_TAPS_AT_A_TIME), places.split(_TAPS_AT_A_TIME), strict=True):
        keys += (present[some].long() << bits[:, None]).sum(dim=0)
    return keys
