"""Voxels and Geometry: where the rows of a convolution lie, all that an engine is told of a scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from pointseg.sparse.keys import Bounds, KeyLayout, bounds_of


@dataclass(frozen=True, eq=False)
class Voxels:
    """Unique voxel coordinates in the order of the rows of their features.

    Args:
        coords: (N, 4) int32, columns batch, x, y, z in units of the input voxels.
        order: (N,) int64, rows in the order of (batch, x, y, z); None where they already lie in it.
        stride: edge of a voxel in input voxels; x, y, z are multiples of it.
        family: memory that a grid and all grids coarsened from it share, for engines that keep something of
            their own for a scene; keyed by the engine's name.
        known_bounds: bounds that hold all coordinates, where they are known: to find them waits for a GPU.
        keys: memory of :meth:`sorted_keys`.
    """

    coords: Tensor
    order: Tensor | None
    stride: int
    family: dict[str, Any] = field(default_factory=dict, repr=False)
    known_bounds: Bounds | None = field(default=None, repr=False)
    keys: dict[KeyLayout, Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def bounds(self) -> Bounds | None:
        """Lowest and highest batch, x, y, z, or values below and above them; None where there is no voxel."""
        return bounds_of(self.coords) if self.known_bounds is None else self.known_bounds

    def __len__(self) -> int:
        return self.coords.shape[0]

    def sorted_keys(self, layout: KeyLayout) -> Tensor:
        """(N,) int64 ascending keys; memoised."""
        if layout not in self.keys:
            self.keys[layout] = layout.sorted_keys(self.coords, self.order)
        return self.keys[layout]

    def coarser(self, sorted_coords: Tensor, stride: int) -> Voxels:
        """Sorted voxels of a larger stride in the same family."""
        return Voxels(sorted_coords, None, stride, self.family, coarse_bounds(self.bounds, stride))


def coarse_bounds(bounds: Bounds | None, stride: int) -> Bounds | None:
    """Bounds of the coordinates after they were rounded down to multiples of a stride."""
    if bounds is None:
        return None
    (batch, *low), high = bounds
    x, y, z = (value // stride * stride for value in low)
    return (batch, x, y, z), high


@dataclass(frozen=True, eq=False)
class Geometry:
    """Which convolution: source row meets target row where their coordinates differ by a tap.

    source = target + tap * dilation * source.stride, or, transposed, target = source + tap * dilation *
    target.stride. Taps are -K//2 .. K//2 for odd and 0 .. K-1 for even kernel sizes K, x fastest.

    Args:
        source: voxels of the input features.
        target: voxels of the output features.
        kernel_size: K, taps along an axis.
        dilation: distance of taps in voxels of the finer side.
        transposed: whether this is the transpose of the convolution from target to source.
    """

    source: Voxels
    target: Voxels
    kernel_size: int
    dilation: int = 1
    transposed: bool = False

    @property
    def num_taps(self) -> int:
        return self.kernel_size**3

    @property
    def mirrored(self) -> bool:
        """Whether exchanging the sides only reverses the taps: odd kernels on one set of voxels."""
        return self.source is self.target and self.kernel_size % 2 == 1

    def exchanged(self) -> Geometry:
        """The geometry of the transposed convolution."""
        return Geometry(self.target, self.source, self.kernel_size, self.dilation, not self.transposed)
