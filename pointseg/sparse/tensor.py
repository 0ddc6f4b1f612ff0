"""SparseTensor: features on the voxels of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pointseg.sparse.grid import Grid


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features (N, C) and the grid whose N rows they belong to.

    Raises:
        ValueError: if there are not as many rows of features as voxels.
    """

    features: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.shape[0] != len(self.grid):
            raise ValueError(
                f"Features must be ({len(self.grid)}, C), a row per voxel; got {tuple(self.features.shape)}."
            )

    @property
    def num_channels(self) -> int:
        return self.features.shape[1]

    def with_features(self, features: Tensor) -> SparseTensor:
        """Other features on the same grid."""
        return SparseTensor(features, self.grid)

    def __add__(self, other: SparseTensor) -> SparseTensor:
        """Sum of features.

        Raises:
            ValueError: unless both tensors share one grid object: equal coordinates could differ in order.
        """
        self._check_same_grid(other, "add")
        return self.with_features(self.features + other.features)

    def cat(self, other: SparseTensor) -> SparseTensor:
        """Channels of this tensor followed by those of another one on the same grid.

        Raises:
            ValueError: unless both tensors share one grid object.
        """
        self._check_same_grid(other, "concatenate")
        return self.with_features(torch.cat((self.features, other.features), dim=1))

    def _check_same_grid(self, other: SparseTensor, verb: str) -> None:
        if self.grid is not other.grid:
            raise ValueError(f"Sparse tensors {verb} only on one grid; got {self.grid} and {other.grid}.")
