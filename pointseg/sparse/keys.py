"""KeyLayout: voxel coordinates packed into sortable 64-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LIMIT = 2**63

Corner = tuple[int, int, int, int]
#: Lowest and highest batch, x, y, z.
Bounds = tuple[Corner, Corner]


def bounds_of(coords: Tensor) -> Bounds | None:
    """Bounds of (N, 4) coordinates, None for none of them; the host waits for them."""
    if not len(coords):
        return None
    low, high = torch.stack(torch.aminmax(coords, dim=0)).tolist()
    return (low[0], low[1], low[2], low[3]), (high[0], high[1], high[2], high[3])


@dataclass(frozen=True)
class KeyLayout:
    """A mixed-radix number per voxel: ((batch * X + x) * Y + y) * Z + z, relative to ``low``.

    Keys sort as the tuples (batch, x, y, z) do, whatever the layout, so the order of a grid is found once
    and keys for two grids together are made when they are needed.

    Args:
        low: smallest batch, x, y, z that can be packed.
        size: numbers of values of batch, x, y, z.
    """

    low: tuple[int, int, int, int]
    size: tuple[int, int, int, int]

    @classmethod
    def around(cls, bounds: Sequence[Bounds | None], margin: int = 0) -> KeyLayout:
        """The layout that holds several sets of coordinates with ``margin`` free voxels on each side.

        The margin makes a neighbour's key key + constant: no sum carries over into the next column.

        Args:
            bounds: of each set; None for one without voxels.
            margin: free voxels.

        Raises:
            ValueError: if the extent needs more than 63 bits.
        """
        filled = [b for b in bounds if b is not None]
        if not filled:
            return cls((0, 0, 0, 0), (1, 1, 1, 1))
        low = [min(b[0][axis] for b in filled) for axis in range(4)]
        high = [max(b[1][axis] for b in filled) for axis in range(4)]
        low[1:] = [value - margin for value in low[1:]]
        high[1:] = [value + margin for value in high[1:]]
        size = [top - bottom + 1 for bottom, top in zip(low, high, strict=True)]
        if size[0] * size[1] * size[2] * size[3] >= _LIMIT:
            raise ValueError(
                f"The voxels span {size[1]} x {size[2]} x {size[3]} in {size[0]} batch items, more than "
                "64-bit keys can number. Use larger voxels, or remove points far from the scene."
            )
        return cls((low[0], low[1], low[2], low[3]), (size[0], size[1], size[2], size[3]))

    def pack(self, coords: Tensor) -> Tensor:
        """(N, 4) int32 coordinates -> (N,) int64 keys."""
        key = coords[:, 0].long() - self.low[0]
        for axis in (1, 2, 3):
            # In int64: differences of int32 coordinates need 33 bits.
            key = key.mul_(self.size[axis]).add_(coords[:, axis]).sub_(self.low[axis])
        return key

    def sorted_keys(self, coords: Tensor, order: Tensor | None) -> Tensor:
        """(N,) ascending keys; ``order`` are the rows in that order, or None where they lie in it."""
        keys = self.pack(coords)
        return keys if order is None else keys[order]

    def unpack(self, keys: Tensor) -> Tensor:
        """(N,) int64 keys -> (N, 4) int32 coordinates."""
        columns = []
        for axis in (3, 2, 1):
            columns.append(keys % self.size[axis] + self.low[axis])
            keys = torch.div(keys, self.size[axis], rounding_mode="floor")
        columns.append(keys + self.low[0])
        return torch.stack(columns[::-1], dim=1).int()

    def shift(self, x: int, y: int, z: int) -> int:
        """What a step of (x, y, z) voxels adds to a key."""
        return (x * self.size[2] + y) * self.size[3] + z
