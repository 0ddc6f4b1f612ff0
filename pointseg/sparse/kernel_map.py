"""KernelMap: which input voxel meets which output voxel under which tap of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, pairwise
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from pointseg.core.held import held_tensors
from pointseg.sparse.keys import KeyLayout
from pointseg.sparse.native_maps import can_find_pairs, find_sorted_pairs
from pointseg.sparse.neighbours import Neighbours, exchanged_table, neighbour_table, pairs_of
from pointseg.sparse.voxels import Geometry


@dataclass(frozen=True, eq=False)
class TapPairs:
    """Pairs of rows, sorted by tap; within a tap, target rows ascend.

    A row occurs at most once per tap on either side, so a tap scatters without collisions. Where both sides
    are sorted, source rows ascend too.

    Args:
        source: (P,) int32 rows of the input features.
        target: (P,) int32 rows of the output features.
        starts: T + 1 positions; pairs of tap t are ``starts[t]:starts[t + 1]``.
    """

    source: Tensor
    target: Tensor
    starts: tuple[int, ...]


class KernelMap:
    """The geometry of a convolution and, found when first asked for, its pairs of rows.

    Args:
        geometry: voxels of both sides and the kernel.
        find: finds the pairs; called once, if at all.
        look_up: the same as a table.

    Attributes:
        plans: memory of the engines, keyed by their name.
    """

    def __init__(self, geometry: Geometry, find: Callable[[], TapPairs], look_up: Neighbours) -> None:
        self.geometry = geometry
        self.plans: dict[str, Any] = {}
        self._pairs = _Once(find)
        self._neighbours = look_up
        self._original: ref[KernelMap] | None = None

    @classmethod
    def of(cls, geometry: Geometry) -> KernelMap:
        """The map of a convolution from a finer grid, or the same one; not of a transposed one."""
        look_up = Neighbours(partial(neighbour_table, geometry))
        on_cpu = geometry.source.coords.device.type == "cpu"
        return cls(
            geometry, partial(find_pairs, geometry) if on_cpu else partial(_pairs_of, look_up), look_up
        )

    @property
    def pairs(self) -> TapPairs:
        return self._pairs()

    @property
    def neighbours(self) -> Tensor:
        """(T, M) int32: the source row that meets a target row under a tap, -1 where none does."""
        return self._neighbours()

    def keep_sorted(self, table: Tensor, rows: Tensor) -> None:
        """Keep the neighbours as an engine has sorted them and in no other form, see :class:`Neighbours`."""
        self._neighbours.keep_sorted(table, rows)

    @property
    def source(self) -> Tensor:
        return self.pairs.source

    @property
    def target(self) -> Tensor:
        return self.pairs.target

    @property
    def starts(self) -> tuple[int, ...]:
        return self.pairs.starts

    @property
    def num_source(self) -> int:
        return len(self.geometry.source)

    @property
    def num_target(self) -> int:
        return len(self.geometry.target)

    @property
    def num_taps(self) -> int:
        return self.geometry.num_taps

    @property
    def num_pairs(self) -> int:
        return self.starts[-1]

    @property
    def mirrored(self) -> bool:
        return self.geometry.mirrored

    def tap(self, index: int) -> tuple[Tensor, Tensor]:
        """The (source, target) rows of one tap."""
        pairs = slice(self.starts[index], self.starts[index + 1])
        return self.source[pairs], self.target[pairs]

    def transposed(self) -> KernelMap:
        """The map with its sides exchanged: the one of the transposed convolution; memoised.

        Of a transposed map it is the original one, as long as somebody keeps that.
        """
        original = None if self._original is None else self._original()
        return original or self._transposed

    @cached_property
    def _transposed(self) -> KernelMap:
        # Holds on to what finds these pairs, not to this map: maps in a circle would outlive the scene.
        look_up = Neighbours(partial(_exchanged_table, self._neighbours, self.num_source))
        on_cpu = self.geometry.source.coords.device.type == "cpu"
        find = partial(_exchange, self._pairs) if on_cpu else partial(_pairs_of, look_up)
        made = KernelMap(self.geometry.exchanged(), find, look_up)
        made._original = ref(self)
        return made

    def tensors(self) -> Iterator[Tensor]:
        """Those that were found until now, for this map and its transpose."""
        yield from held_tensors((self._pairs.found, self._neighbours.held, self.plans))
        yield from held_tensors(vars(self).get("_transposed"))


class _Once:
    """What a function finds, found when first asked for and kept."""

    def __init__(self, find: Callable[[], TapPairs]) -> None:
        self._find = find
        self.found: TapPairs | None = None

    def __call__(self) -> TapPairs:
        if self.found is None:
            self.found = self._find()
        return self.found


def _pairs_of(look_up: Callable[[], Tensor]) -> TapPairs:
    """The pairs of a table: on a GPU, where each size that is asked for costs, the quicker way to them."""
    return TapPairs(*pairs_of(look_up()))


def _exchanged_table(look_up: Callable[[], Tensor], num_source: int) -> Tensor:
    return exchanged_table(look_up(), num_source)


def _exchange(pairs: Callable[[], TapPairs]) -> TapPairs:
    """Pairs with their sides exchanged, targets ascending within a tap again."""
    starts, source, target = pairs().starts, pairs().target, pairs().source
    falls = target.diff() < 0
    falls[[start - 1 for start in starts[1:-1] if 0 < start < starts[-1]]] = False
    if bool(falls.any()):
        source, target = source.clone(), target.clone()
        for begin, end in pairwise(starts):
            target[begin:end], order = target[begin:end].sort()
            source[begin:end] = source[begin:end][order]
    return TapPairs(source, target, starts)


def tap_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """Offsets (x, y, z) of the K^3 taps, x fastest, as MinkowskiEngine numbers them."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    values = range(first, first + kernel_size)
    return [(x, y, z) for z in values for y in values for x in values]


Pairs = tuple[Tensor, Tensor]


def find_pairs(geometry: Geometry) -> TapPairs:
    """All pairs of a geometry that is not transposed: in C where both sides are sorted, else by search."""
    source, target, kernel_size = geometry.source, geometry.target, geometry.kernel_size
    both_sorted = source.order is None and target.order is None
    if not both_sorted or not can_find_pairs(source.coords.device, kernel_size):
        return search_pairs(geometry)
    layout, step = _layout(geometry)
    source_keys, target_keys = source.sorted_keys(layout), target.sorted_keys(layout)
    shifts = [step * layout.shift(*offset) for offset in tap_offsets(kernel_size)[: kernel_size**2]]
    return TapPairs(
        *find_sorted_pairs(source_keys, target_keys, shifts, step, kernel_size, mirrored=geometry.mirrored)
    )


def _layout(geometry: Geometry) -> tuple[KeyLayout, int]:
    """Keys with room for the kernel, and the distance of neighbouring taps in input voxels."""
    step = geometry.dilation * geometry.source.stride
    bounds = [geometry.source.bounds, geometry.target.bounds]
    return KeyLayout.around(bounds, margin=step * geometry.kernel_size), step


def search_pairs(geometry: Geometry) -> TapPairs:
    """All pairs of a geometry that is not transposed, in plain torch, on any device."""
    source, target, kernel_size = geometry.source, geometry.target, geometry.kernel_size
    # Undilated, no source voxel can lie between two neighbouring taps of a column.
    dense_steps = geometry.dilation == 1
    layout, step = _layout(geometry)
    source_keys, target_keys = source.sorted_keys(layout), target.sorted_keys(layout)
    offsets = tap_offsets(kernel_size)
    found: dict[int, Pairs] = {}

    def match(first_tap: int, count: int) -> None:
        """Match ``count`` taps of one column, upwards in z."""
        shift = step * layout.shift(*offsets[first_tap])
        pairs = _match_column(source_keys, target_keys, shift, step, count, dense_steps)
        found.update({first_tap + i * kernel_size**2: pair for i, pair in enumerate(pairs)})

    if not geometry.mirrored:
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
        for tap, (here, there) in list(found.items()):
            found[len(offsets) - 1 - tap] = (there, here) if tap != centre else (here, there)
    pairs = [_as_rows(found[tap], source.order, target.order) for tap in range(len(offsets))]
    return TapPairs(
        torch.cat([rows for rows, _ in pairs]),
        torch.cat([rows for _, rows in pairs]),
        tuple(accumulate((len(rows) for rows, _ in pairs), initial=0)),
    )


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
