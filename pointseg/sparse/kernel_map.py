"""KernelMap: which input voxel meets which output voxel under which tap of a kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pointseg.sparse.keys import KeyLayout


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs of rows, sorted by tap; within a tap, target rows ascend.

    A row occurs at most once per tap on either side, so a tap scatters without collisions. Where both grids
    are sorted, source rows ascend too.

    Args:
        source: (P,) int32 rows of the input features.
        target: (P,) int32 rows of the output features.
        starts: T + 1 positions; pairs of tap t are ``starts[t]:starts[t + 1]``.
        num_source: rows of the input.
        num_target: rows of the output.
        mirrored: whether swapping the two sides reverses the order of taps and changes nothing else (odd
            kernels on one grid).
        plans: memory of the backends, keyed by their name.
    """

    source: Tensor
    target: Tensor
    starts: tuple[int, ...]
    num_source: int
    num_target: int
    mirrored: bool = False
    plans: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def num_taps(self) -> int:
        return len(self.starts) - 1

    @property
    def num_pairs(self) -> int:
        return self.starts[-1]

    def tap(self, index: int) -> tuple[Tensor, Tensor]:
        """The (source, target) rows of one tap."""
        pairs = slice(self.starts[index], self.starts[index + 1])
        return self.source[pairs], self.target[pairs]

    def transposed(self) -> KernelMap:
        """The map with its sides exchanged: the one of the transposed convolution; memoised."""
        return self._transposed

    @cached_property
    def _transposed(self) -> KernelMap:
        source, target = self.target, self.source
        falls = target.diff() < 0
        falls[[start - 1 for start in self.starts[1:-1] if 0 < start < self.num_pairs]] = False
        if bool(falls.any()):
            source, target = source.clone(), target.clone()
            for tap in range(self.num_taps):
                pairs = slice(self.starts[tap], self.starts[tap + 1])
                target[pairs], order = target[pairs].sort()
                source[pairs] = source[pairs][order]
        return KernelMap(source, target, self.starts, self.num_target, self.num_source)


def tap_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """Offsets (x, y, z) of the K^3 taps, x fastest, as MinkowskiEngine numbers them."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    values = range(first, first + kernel_size)
    return [(x, y, z) for z in values for y in values for x in values]


Pairs = tuple[Tensor, Tensor]


def build_kernel_map(
    source_coords: Tensor,
    source_order: Tensor | None,
    target_coords: Tensor,
    target_order: Tensor | None,
    *,
    kernel_size: int,
    step: int,
    same_grid: bool,
    dense_steps: bool,
) -> KernelMap:
    """Find all pairs with source coordinate = target coordinate + step * tap.

    Args:
        source_coords: (N, 4) int32.
        source_order: (N,) int64 rows in the order of (batch, x, y, z), or None where they lie in it.
        target_coords: (M, 4) int32.
        target_order: as ``source_order``.
        kernel_size: taps along an axis.
        step: distance of neighbouring taps in input voxels.
        same_grid: whether both sides are one grid.
        dense_steps: whether no source voxel can lie between two neighbouring taps of a column.
    """
    layout = KeyLayout.around([source_coords, target_coords], margin=step * kernel_size)
    source_keys = _sorted_keys(layout, source_coords, source_order)
    target_keys = source_keys if same_grid else _sorted_keys(layout, target_coords, target_order)
    mirrored = same_grid and kernel_size % 2 == 1
    offsets = tap_offsets(kernel_size)
    found: dict[int, Pairs] = {}

    def match(first_tap: int, count: int) -> None:
        """Match ``count`` taps of one column, upwards in z."""
        shift = step * layout.shift(*offsets[first_tap])
        pairs = _match_column(source_keys, target_keys, shift, step, count, dense_steps)
        found.update({first_tap + i * kernel_size**2: pair for i, pair in enumerate(pairs)})

    if not mirrored:
        for column in range(kernel_size**2):
            match(column, kernel_size)
    else:
        # Taps of one grid come in opposite pairs: (s, t) under a tap is (t, s) under the opposite one, so
        # half of the columns and half of the middle one are enough.
        centre = len(offsets) // 2
        everything = torch.arange(len(source_keys), dtype=torch.int32, device=source_keys.device)
        found[centre] = (everything, everything)
        for column in range(kernel_size**2 // 2):
            match(column, kernel_size)
        if kernel_size > 1:
            match(centre + kernel_size**2, kernel_size // 2)
        for tap, (source, target) in list(found.items()):
            found[len(offsets) - 1 - tap] = (target, source) if tap != centre else (source, target)
    pairs = [_as_rows(found[tap], source_order, target_order) for tap in range(len(offsets))]
    starts = torch.tensor([0] + [len(source) for source, _ in pairs]).cumsum(0).tolist()
    return KernelMap(
        torch.cat([source for source, _ in pairs]),
        torch.cat([target for _, target in pairs]),
        tuple(starts),
        num_source=len(source_coords),
        num_target=len(target_coords),
        mirrored=mirrored,
    )


def _sorted_keys(layout: KeyLayout, coords: Tensor, order: Tensor | None) -> Tensor:
    keys = layout.pack(coords)
    return keys if order is None else keys[order]


def _match_column(
    source_keys: Tensor, target_keys: Tensor, shift: int, step: int, count: int, dense_steps: bool
) -> list[Pairs]:
    """Ranks (source, target) with source key = target key + shift + i * step, for i = 0 .. count - 1."""
    wanted = target_keys + shift
    target = torch.arange(len(target_keys), dtype=torch.int32, device=target_keys.device)
    # A last key that nothing equals: a search that runs off the end lands on it.
    source_keys = torch.nn.functional.pad(source_keys, (0, 1), value=torch.iinfo(torch.int64).max)
    place = torch.searchsorted(source_keys[:-1], wanted, out_int32=True)
    pairs: list[Pairs] = []
    for _ in range(count):
        hit = source_keys.index_select(0, place) == wanted
        pairs.append((place.masked_select(hit), target.masked_select(hit)))
        wanted += step
        # One search serves a column: after a hit the next key up is the next entry, else it is the same one.
        place = place + hit if dense_steps else torch.searchsorted(source_keys[:-1], wanted, out_int32=True)
    return pairs


def _as_rows(pairs: Pairs, source_order: Tensor | None, target_order: Tensor | None) -> Pairs:
    """Ranks in sorted order -> rows, with target rows ascending."""
    source, target = pairs
    if source_order is not None:
        source = source_order[source].int()
    if target_order is not None:
        target, order = target_order[target].int().sort()
        source = source[order]
    return source, target
