"""TapTable and PairChunks: a kernel map in the two forms that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.neighbours import on_device

#: Columns of a table are padded to a multiple of the largest tile, so that its loads need no mask.
PADDING = 128
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
class TapTable:
    """For each output row and tap the input row under it, with rows of like neighbourhoods side by side.

    A tile multiplies every tap that one of its rows has, so rows are sorted by the bits of their taps, the
    rarest tap as the highest bit: rows with a rare tap share tiles, and all others skip it.

    Args:
        table: (T, P) int32 input rows, -1 where there is none; P is a multiple of ``PADDING``.
        rows: (M,) int32 output row of each of the first M columns.
        tiles_of: memory of :meth:`tiles`.
    """

    table: Tensor
    rows: Tensor
    tiles_of: dict[int, Tiles] = field(default_factory=dict, repr=False)

    @property
    def num_taps(self) -> int:
        return self.table.shape[0]

    @property
    def num_rows(self) -> int:
        return self.rows.shape[0]

    def tiles(self, size: int) -> Tiles:
        """The active taps of tiles of ``size`` columns, a divisor of ``PADDING``; memoised."""
        if size not in self.tiles_of:
            columns = -(-self.num_rows // size) * size
            present = (self.table[:, :columns] >= 0).view(self.num_taps, -1, size).any(dim=2).T.contiguous()
            taps = present.int().argsort(dim=1, descending=True, stable=True).int()
            self.tiles_of[size] = Tiles(taps, present.sum(dim=1, dtype=torch.int32))
        return self.tiles_of[size]


@dataclass(frozen=True)
class PairChunks:
    """The pairs of each tap cut into chunks, so that many programs share the sum over a tap.

    Args:
        begins: (chunks,) int64 first pair of a chunk.
        ends: (chunks,) int64 one past its last.
        first: (T + 1,) int32 first chunk of each tap.
        num_chunks: how many chunks there are.
    """

    begins: Tensor
    ends: Tensor
    first: Tensor
    num_chunks: int


def tap_table(kernel_map: KernelMap) -> TapTable:
    """The table of a kernel map; memoised in the map."""
    name = "triton table"
    if name not in kernel_map.plans:
        kernel_map.plans[name] = arrange(kernel_map.neighbours)
    table: TapTable = kernel_map.plans[name]
    return table


def pair_chunks(kernel_map: KernelMap, length: int) -> PairChunks:
    """Chunks of at most ``length`` pairs; memoised in the map."""
    name = f"triton chunks of {length}"
    if name not in kernel_map.plans:
        kernel_map.plans[name] = _cut(kernel_map, length)
    chunks: PairChunks = kernel_map.plans[name]
    return chunks


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


def _cut(kernel_map: KernelMap, length: int) -> PairChunks:
    begins: list[int] = []
    ends: list[int] = []
    first = [0]
    for start, stop in pairwise(kernel_map.starts):
        begins.extend(range(start, stop, length))
        ends.extend(min(begin + length, stop) for begin in range(start, stop, length))
        first.append(len(begins))
    numbers = on_device(begins + ends + first, kernel_map.source.device)
    count = len(begins)
    return PairChunks(numbers[:count], numbers[count : 2 * count], numbers[2 * count :].int(), count)
