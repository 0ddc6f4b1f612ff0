"""Grid: the occupied voxels at one resolution. It owns the coarser grids and kernel maps made from it."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from pointseg.core.held import held_tensors
from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.keys import Bounds, KeyLayout
from pointseg.sparse.voxels import Geometry, Voxels, coarse_bounds


class Grid:
    """Unique voxel coordinates at one stride.

    Coordinates stay in units of the input voxels at every stride, as in MinkowskiEngine: a grid of stride 4
    holds multiples of 4. Rows of any features that belong to the grid follow the rows of ``coords``.

    Args:
        coords: (N, 4) int32, columns batch, x, y, z; rows unique; x, y, z multiples of ``stride``.
        stride: edge of a voxel in input voxels, at least 1.

    Raises:
        ValueError: if shape, type or stride is wrong, a coordinate is no multiple of the stride, a voxel
            occurs twice, or the extent does not fit 64-bit keys.
    """

    def __init__(self, coords: Tensor, stride: int = 1) -> None:
        if coords.ndim != 2 or coords.shape[1] != 4 or coords.dtype != torch.int32:
            raise ValueError(
                f"Grid coordinates must be (N, 4) int32, batch first; got "
                f"{tuple(coords.shape)} {coords.dtype}."
            )
        if stride < 1:
            raise ValueError(f"The stride of a grid must be at least 1; got {stride}.")
        if stride > 1 and bool((coords[:, 1:] % stride != 0).any()):
            raise ValueError(f"A grid of stride {stride} needs coordinates that are multiples of {stride}.")
        bounds, is_sorted = _bounds_and_order(coords)
        layout = KeyLayout.around([bounds])
        order = None
        if not is_sorted:
            keys, order = layout.pack(coords).sort()
            twice = int((keys[1:] == keys[:-1]).sum())
            if twice:
                raise ValueError(
                    f"Voxels of a grid must be unique; {twice} of {len(coords)} rows repeat another one. "
                    "Voxelise the points first."
                )
        self._set(Voxels(coords, order, stride, known_bounds=bounds))

    def _set(self, voxels: Voxels) -> None:
        self.voxels = voxels
        self._coarser: dict[int, Grid] = {}
        self._sorted: Grid | None = None
        # Weak keys: a map onto this very grid must not keep the grid alive in a circle.
        self._maps: WeakKeyDictionary[Grid, dict[tuple[int, int], KernelMap]] = WeakKeyDictionary()

    @classmethod
    def _trusted(cls, voxels: Voxels) -> Grid:
        """A grid of voxels that are known to be as they must."""
        grid = cls.__new__(cls)
        grid._set(voxels)
        return grid

    @property
    def coords(self) -> Tensor:
        return self.voxels.coords

    @property
    def stride(self) -> int:
        return self.voxels.stride

    @property
    def order(self) -> Tensor | None:
        """(N,) int64 rows in the order of (batch, x, y, z), or None where they already lie in it."""
        return self.voxels.order

    def __len__(self) -> int:
        return self.coords.shape[0]

    def __repr__(self) -> str:
        return f"Grid({len(self)} voxels, stride {self.stride}, {self.device})"

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @property
    def is_sorted(self) -> bool:
        """Whether rows lie in the order of (batch, x, y, z); maps of sorted grids are quicker."""
        return self.order is None

    def sorted(self) -> tuple[Grid, Tensor | None]:
        """This grid with sorted rows, and the (N,) int64 row of this grid that each of them was.

        The second value is None where nothing had to move. Memoised.
        """
        if self.order is None:
            return self, None
        if self._sorted is None:
            voxels = Voxels(self.coords[self.order], None, self.stride, known_bounds=self.voxels.bounds)
            self._sorted = Grid._trusted(voxels)
        return self._sorted, self.order

    def tensors(self) -> Iterator[Tensor]:
        """Those that this grid, all that are made from it and their maps hold."""
        yield from held_tensors((self.voxels, self._sorted, self._coarser, self._maps))

    def coarsen(self, factor: int) -> Grid:
        """The grid of stride ``stride * factor`` whose voxels hold at least one voxel of this one; memoised.

        Coordinates are floor(c / new stride) * new stride; rows are sorted by (batch, x, y, z).
        """
        if factor < 1:
            raise ValueError(f"A grid is coarsened by a factor of at least 1; got {factor}.")
        if factor == 1:
            return self
        if factor not in self._coarser:
            layout, keys = self._coarse_keys(self.stride * factor)
            coords = layout.unpack(torch.unique(keys))
            self._coarser[factor] = Grid._trusted(self.voxels.coarser(coords, self.stride * factor))
        return self._coarser[factor]

    def coarsen_by_two(self, times: int) -> None:
        """Make the grids that ``coarsen(2)``, ``coarsen(2).coarsen(2)``, ... will give, with one question.

        The host has to know how many voxels each has: one after the other they would let a GPU wait as often.

        Args:
            times: how many grids.
        """
        if not len(self) or not times or self._is_coarsened(times):
            return
        made = [self._coarse_keys(self.stride << level) for level in range(1, times + 1)]
        keys = [packed.sort().values for _, packed in made]
        # The number of each key's voxel, from 1.
        ranks = [functional.pad(k[1:] != k[:-1], (1, 0), value=True).cumsum(0) for k in keys]
        sizes: list[int] = torch.stack([rank[-1] for rank in ranks]).tolist()
        grid = self
        for (layout, _), packed, rank, size in zip(made, keys, ranks, sizes, strict=True):
            first = torch.searchsorted(rank, torch.arange(1, size + 1, device=self.device))
            voxels = grid.voxels.coarser(layout.unpack(packed[first]), grid.stride * 2)
            grid = grid._coarser.setdefault(2, Grid._trusted(voxels))

    def _is_coarsened(self, times: int) -> bool:
        grid: Grid | None = self
        for _ in range(times):
            grid = None if grid is None else grid._coarser.get(2)
        return grid is not None

    def _coarse_keys(self, stride: int) -> tuple[KeyLayout, Tensor]:
        """Keys of the voxels of a larger stride in which the rows lie, and how they are packed."""
        floored = self.coords.clone()
        floored[:, 1:] = torch.div(self.coords[:, 1:], stride, rounding_mode="floor") * stride
        layout = KeyLayout.around([coarse_bounds(self.voxels.bounds, stride)])
        return layout, layout.pack(floored)

    def kernel_map(self, target: Grid, kernel_size: int, dilation: int = 1) -> KernelMap:
        """Pairs (row of this grid, row of ``target``) for every tap of a kernel; memoised, found when used.

        The law: source coordinate = target coordinate + tap * dilation * self.stride, with taps
        -K//2 .. K//2 for odd and 0 .. K-1 for even kernel sizes K, x fastest.

        Raises:
            ValueError: if ``target`` is finer than this grid or on another device.
        """
        if kernel_size < 1 or dilation < 1:
            raise ValueError(f"Kernel size and dilation must be at least 1; got {kernel_size}, {dilation}.")
        if target.stride % self.stride:
            raise ValueError(
                f"A kernel map goes from a finer grid onto one whose stride is a multiple; got {self.stride} "
                f"onto {target.stride}. For the other direction use fine.kernel_map(coarse, k).transposed()."
            )
        if target.device != self.device:
            raise ValueError(f"Both grids must lie on one device; got {self.device} and {target.device}.")
        maps = self._maps.setdefault(target, {})
        if (kernel_size, dilation) not in maps:
            maps[kernel_size, dilation] = KernelMap.of(
                Geometry(self.voxels, target.voxels, kernel_size, dilation)
            )
        return maps[kernel_size, dilation]

    def to(self, device: torch.device | str) -> Grid:
        """This grid on another device; maps are made anew there."""
        if torch.device(device) == self.device:
            return self
        order = None if self.order is None else self.order.to(device)
        moved = Voxels(self.coords.to(device), order, self.stride, known_bounds=self.voxels.bounds)
        return Grid._trusted(moved)


def _bounds_and_order(coords: Tensor) -> tuple[Bounds | None, bool]:
    """Bounds of (N, 4) coordinates, and whether they rise row by row; the host waits once for both."""
    if not len(coords):
        return None, True
    before, after = coords[:-1].unbind(dim=1), coords[1:].unbind(dim=1)
    rises = after[3] > before[3]
    for axis in (2, 1, 0):
        rises = (after[axis] > before[axis]) | ((after[axis] == before[axis]) & rises)
    low, high = torch.aminmax(coords, dim=0)
    *bounds, is_sorted = torch.cat([low, high, rises.all()[None].int()]).tolist()
    return ((bounds[0], bounds[1], bounds[2], bounds[3]), (bounds[4], bounds[5], bounds[6], bounds[7])), bool(
        is_sorted
    )
