"""SceneBatch and ImageBatch: what a network is given; supervise() turns its prediction into rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pointseg.core.prediction import Prediction
from pointseg.core.rows import Supervised, drop_unlabelled


class Batch(Protocol):
    """What training asks of a batch, whatever its kind of data.

    Attributes:
        names: B names of scenes or images.
        labels: (M,) int64 train index or IGNORE of each row of the prediction.
        num_rows: M, voxels or pixels.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Tensor: ...

    @property
    def num_rows(self) -> int: ...

    def supervise(self, prediction: Prediction, progress: float = 0.0) -> Supervised:
        """The labelled rows of a prediction laid out as this batch."""
        ...


@dataclass(frozen=True)
class SceneBatch:
    """Voxels of B scenes.

    Args:
        coords: (M, 4) int32 unique voxel coordinates, batch index first; rows of a scene are contiguous.
        features: (M, C) float32 network input.
        labels: (M,) int64 train index or IGNORE.
        names: B scene names.
        inverse: (P,) int64 row of ``coords`` in which each input point lies, scenes one after the other, or
            None when it was not asked for (training).
        num_points: B numbers of input points; they cut ``inverse`` into scenes.
        labelled: (L,) int64 rows with a class, where they were found beforehand; None to find them later.
    """

    coords: Tensor
    features: Tensor
    labels: Tensor
    names: tuple[str, ...]
    inverse: Tensor | None = None
    num_points: tuple[int, ...] = ()
    labelled: Tensor | None = None

    @property
    def num_samples(self) -> int:
        return len(self.names)

    @property
    def num_voxels(self) -> int:
        return self.coords.shape[0]

    @property
    def num_rows(self) -> int:
        return self.num_voxels

    def supervise(self, prediction: Prediction, progress: float = 0.0) -> Supervised:
        """The labelled rows of a prediction laid out as this batch."""
        return drop_unlabelled(
            prediction.logits,
            self.labels,
            self.coords[:, 0].long(),
            num_samples=self.num_samples,
            features=prediction.features,
            classifier_weight=prediction.classifier_weight,
            suppressed=prediction.suppressed,
            progress=progress,
            labelled=self.labelled,
        )

    def to_points(self, values: Tensor) -> tuple[Tensor, ...]:
        """(M, ...) values of voxels -> B tensors (P_b, ...) of input points.

        Raises:
            ValueError: if the batch was made without ``inverse``.
        """
        if self.inverse is None:
            raise ValueError("This batch has no inverse map; make it with ScenePipeline.eval_batch.")
        return values[self.inverse].split(list(self.num_points))


@dataclass(frozen=True)
class ImageBatch:
    """B images of one size. Rows are pixels: those of the first image in reading order, then the second's.

    Args:
        images: (B, 3, H, W) float32 network input.
        pixel_labels: (B, H, W) int64 train index or IGNORE.
        names: B names.
    """

    images: Tensor
    pixel_labels: Tensor
    names: tuple[str, ...]

    @property
    def labels(self) -> Tensor:
        return self.pixel_labels.flatten()

    @property
    def num_rows(self) -> int:
        return self.pixel_labels.numel()

    def supervise(self, prediction: Prediction, progress: float = 0.0) -> Supervised:
        """The labelled pixels of a prediction of one row a pixel."""
        image = torch.arange(len(self.names), device=self.images.device)
        return drop_unlabelled(
            prediction.logits,
            self.labels,
            image.repeat_interleave(self.pixel_labels[0].numel()),
            num_samples=len(self.names),
            features=prediction.features,
            classifier_weight=prediction.classifier_weight,
            suppressed=prediction.suppressed,
            progress=progress,
        )
