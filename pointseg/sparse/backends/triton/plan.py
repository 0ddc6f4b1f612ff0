"""TapTable and PairChunks: a kernel map in the two forms that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from pointseg.sparse.kernel_map import KernelMap

#: Columns of a table are padded to a multiple of the largest tile, so that its loads need no mask.
PADDING = 128
#: Taps that take part in the sorting of rows: bits of one int64 that stay positive.
_SORTED_TAPS = 62


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
        kernel_map.plans[name] = _build_table(kernel_map)
    table: TapTable = kernel_map.plans[name]
    return table


def pair_chunks(kernel_map: KernelMap, length: int) -> PairChunks:
    """Chunks of at most ``length`` pairs; memoised in the map."""
    name = f"triton chunks of {length}"
    if name not in kernel_map.plans:
        kernel_map.plans[name] = _cut(kernel_map, length)
    chunks: PairChunks = kernel_map.plans[name]
    return chunks


def to_device(values: Sequence[Sequence[int]] | Sequence[int], device: torch.device) -> Tensor:
    """int64 numbers of the host on a device, without waiting for it."""
    tensor = torch.tensor(values, dtype=torch.int64)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _build_table(kernel_map: KernelMap) -> TapTable:
    source, target = kernel_map.source, kernel_map.target
    num_taps, device = kernel_map.num_taps, source.device
    columns = -(-kernel_map.num_target // PADDING) * PADDING
    counts = [stop - start for start, stop in pairwise(kernel_map.starts)]
    numbers = to_device([counts, _bits_by_rarity(counts)], device)
    tap = torch.repeat_interleave(
        torch.arange(num_taps, device=device), numbers[0], output_size=kernel_map.num_pairs
    )
    target = target.long()
    # Integer sums of different bits: their order does not matter, so neither do atomics.
    bits = torch.zeros(kernel_map.num_target, dtype=torch.int64, device=device)
    bits.index_add_(0, target, numbers[1][tap])
    order = bits.argsort(stable=True)
    column = torch.empty_like(order)
    column[order] = torch.arange(kernel_map.num_target, device=device)
    table = torch.full((num_taps * columns,), -1, dtype=torch.int32, device=device)
    table.scatter_(0, tap * columns + column[target], source)
    return TapTable(table.view(num_taps, columns), order.int())


def _bits_by_rarity(counts: Sequence[int]) -> list[int]:
    """A bit for each tap, the highest for the one with the fewest pairs; 0 for the most common beyond 62."""
    rare_first = sorted(range(len(counts)), key=lambda tap: counts[tap])
    bits = [0] * len(counts)
    for place, tap in enumerate(rare_first[:_SORTED_TAPS]):
        bits[tap] = 1 << (_SORTED_TAPS - 1 - place)
    return bits


def _cut(kernel_map: KernelMap, length: int) -> PairChunks:
    begins: list[int] = []
    ends: list[int] = []
    first = [0]
    for start, stop in pairwise(kernel_map.starts):
        begins.extend(range(start, stop, length))
        ends.extend(min(begin + length, stop) for begin in range(start, stop, length))
        first.append(len(begins))
    numbers = to_device(begins + ends + first, kernel_map.source.device)
    count = len(begins)
    return PairChunks(numbers[:count], numbers[count : 2 * count], numbers[2 * count :].int(), count)
