"""SparseTensor: features on the voxels of a grid; JoinedTensor: the channels of two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors whose channels, one after the other, are the features."""
        return (self.features,)

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

        Nothing is copied before somebody asks for the features of the result.

        Raises:
            ValueError: unless both tensors share one grid object.
        """
        self._check_same_grid(other, "concatenate")
        return on_grid((self.features, other.features), self.grid)

    def _check_same_grid(self, other: SparseTensor, verb: str) -> None:
        if self.grid is not other.grid:
            raise ValueError(f"Sparse tensors {verb} only on one grid; got {self.grid} and {other.grid}.")


class JoinedTensor(SparseTensor):
    """The channels of two tensors on one grid, written side by side only for those who read ``features``.

    A convolution whose engine reads two tensors takes the parts; all else takes the features, which are
    made once.
    """

    def __init__(self, first: Tensor, second: Tensor, grid: Grid) -> None:
        object.__setattr__(self, "_parts", (first, second))
        object.__setattr__(self, "grid", grid)

    @cached_property
    def features(self) -> Tensor:  # type: ignore[override]
        return torch.cat(self.parts, dim=1)

    @property
    def num_channels(self) -> int:
        return sum(part.shape[1] for part in self.parts)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = self._parts  # type: ignore[attr-defined]
        return parts


def on_grid(parts: tuple[Tensor, ...], grid: Grid) -> SparseTensor:
    """The sparse tensor of one or two ``parts``; of two types it is one tensor of the wider type at once."""
    if len(parts) == 1:
        return SparseTensor(parts[0], grid)
    first, second = parts
    if first.dtype != second.dtype:
        return SparseTensor(torch.cat(parts, dim=1), grid)
    return JoinedTensor(first, second, grid)
