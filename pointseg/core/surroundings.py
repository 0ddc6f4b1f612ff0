"""Surroundings: which labelled rows lie around a labelled row, whatever the dimension of the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surroundings:
    """The cells around each labelled row: 3 x 3 x 3 voxels or 3 x 3 pixels, its own in the middle.

    Args:
        neighbours: (N, T) int32 labelled rows in the T cells, -1 where there is none.
        occupied: (N,) int32 cells in which anything lies, labelled or not; 1 to T.
    """

    neighbours: Tensor
    occupied: Tensor

    @classmethod
    def of(cls, table: Tensor, rows: Tensor) -> Surroundings:
        """Those of the labelled rows of a batch.

        Args:
            table: (T, M) int32 rows of the batch in the cells around each row; -1 where nothing lies, -2
                where there is no cell, as beyond the edge of an image, which counts as occupied.
            rows: (L,) int64 labelled rows of the batch.
        """
        # One spare place is that of what is no row: both signs of a cell without one end there.
        place = rows.new_full((table.shape[1] + 1,), -1, dtype=torch.int32)
        place[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        around = table[:, rows]
        occupied = (around != -1).sum(0, dtype=torch.int32)
        return cls(place[around.clamp(min=-1).long()].T, occupied)

    def __getitem__(self, rows: Tensor) -> Surroundings:
        """Those of (L,) int64 rows of these, with only such rows around them."""
        place = rows.new_full((len(self.occupied) + 1,), -1, dtype=torch.int32)
        place[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        return Surroundings(place[self.neighbours[rows].long()], self.occupied[rows])


def pixel_table(num_images: int, height: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """(9, B * H * W) int32 rows of the pixels around each one, in the form of :meth:`Surroundings.of`."""
    number = torch.arange(num_images * height * width, dtype=torch.int32, device=device)
    framed = torch.nn.functional.pad(number.view(num_images, height, width), (1, 1, 1, 1), value=-2)
    shifts = [(y, x) for y in range(3) for x in range(3)]
    return torch.stack([framed[:, y : y + height, x : x + width].reshape(-1) for y, x in shifts])
