"""SceneBatch and ImageBatch: what a network is given; supervise() turns its prediction into rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from pointseg.core.held import Holder
from pointseg.core.prediction import Prediction
from pointseg.core.rows import MAIN, Supervised, drop_unlabelled


@dataclass(frozen=True)
class Labels:
    """The labels of a head of its own.

    Args:
        values: (M,) int64 train index in the head's label space, or IGNORE, of each row of the prediction;
            (M, L) where a row may have several.
        rows: (L,) int64 rows with a class, where they were found beforehand; None to find them later.
    """

    values: Tensor
    rows: Tensor | None = None


class Batch(Protocol):
    """What training asks of a batch, whatever its kind of data.

    Attributes:
        names: B names of scenes or images.
        labels: (M,) int64 train index or IGNORE of each row of the prediction: those of the main head.
        others: labels of the network's other heads, by the head's name.
        sample: (M,) int64 scene or image of each row, 0..num_samples-1.
        num_samples: B.
        num_rows: M, voxels or pixels.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Tensor: ...

    @property
    def others(self) -> Mapping[str, Labels]: ...

    @property
    def sample(self) -> Tensor: ...

    @property
    def num_samples(self) -> int: ...

    @property
    def num_rows(self) -> int: ...

    def rows_of_samples(self) -> list[int]:
        """B numbers of rows, those of a scene or image lying together; scenes wait for the device."""
        ...

    def supervise(
        self,
        prediction: Prediction,
        progress: float = 0.0,
        *,
        features: bool = True,
        table: Tensor | None = None,
    ) -> Supervised:
        """The labelled rows of the main head's prediction, laid out as this batch.

        Args:
            prediction: the network's.
            progress: share of the training that is done.
            features: whether anybody will look at the features; without them the rows have none, (L, 0).
            table: (T, M) int32 rows around each row, see Surroundings.of, where anybody looks there.
        """
        ...


def labels_of(batch: Batch, head: str) -> Tensor:
    """The labels of one head, (M,).

    Raises:
        ValueError: if the batch has none.
    """
    if head == MAIN:
        return batch.labels
    if head not in batch.others:
        raise ValueError(
            f"The batch has no labels {head!r} for the head of that name; it has {sorted(batch.others)}."
        )
    return batch.others[head].values


def supervise(
    batch: Batch,
    prediction: Prediction,
    head: str,
    progress: float = 0.0,
    *,
    features: bool = True,
    table: Tensor | None = None,
) -> Supervised:
    """The labelled rows of the prediction of one head, main or other; see :class:`Batch`."""
    if head == MAIN:
        return batch.supervise(prediction, progress, features=features, table=table)
    of_head = prediction.others[head]
    return drop_unlabelled(
        of_head.branches,
        labels_of(batch, head),
        batch.sample,
        num_samples=batch.num_samples,
        features=_features(of_head, features),
        classifier_weight=of_head.classifier_weight,
        progress=progress,
        labelled=batch.others[head].rows,
        table=table,
    )


def _features(prediction: Prediction, wanted: bool) -> Tensor:
    return prediction.full_features() if wanted else prediction.logits[:, :0]


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
        others: labels of the network's other heads, by the head's name.
        geometry: what a network has made of ``coords`` beforehand; None to make it when it is needed.
    """

    coords: Tensor
    features: Tensor
    labels: Tensor
    names: tuple[str, ...]
    inverse: Tensor | None = None
    num_points: tuple[int, ...] = ()
    labelled: Tensor | None = None
    others: Mapping[str, Labels] = field(default_factory=dict)
    geometry: Holder | None = None

    @property
    def num_samples(self) -> int:
        return len(self.names)

    @property
    def sample(self) -> Tensor:
        return self.coords[:, 0].long()

    @property
    def num_voxels(self) -> int:
        return self.coords.shape[0]

    @property
    def num_rows(self) -> int:
        return self.num_voxels

    def rows_of_samples(self) -> list[int]:
        """Voxels of each scene; the host waits for them."""
        sizes = self.coords.new_zeros(self.num_samples, dtype=torch.int64)
        ones = torch.ones_like(sizes[:1]).expand(self.num_voxels)
        found: list[int] = sizes.index_add_(0, self.sample, ones).tolist()
        return found

    def supervise(
        self,
        prediction: Prediction,
        progress: float = 0.0,
        *,
        features: bool = True,
        table: Tensor | None = None,
    ) -> Supervised:
        """The labelled rows of a prediction laid out as this batch."""
        return drop_unlabelled(
            prediction.branches,
            self.labels,
            self.sample,
            num_samples=self.num_samples,
            features=_features(prediction, features),
            classifier_weight=prediction.classifier_weight,
            progress=progress,
            labelled=self.labelled,
            table=table,
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
        others: labels of the network's other heads, by the head's name.
        labelled: (L,) int64 rows with a class, where they were found beforehand; None to find them later.
    """

    images: Tensor
    pixel_labels: Tensor
    names: tuple[str, ...]
    others: Mapping[str, Labels] = field(default_factory=dict)
    labelled: Tensor | None = None

    @property
    def num_samples(self) -> int:
        return len(self.names)

    @property
    def sample(self) -> Tensor:
        image = torch.arange(len(self.names), device=self.images.device)
        return image.repeat_interleave(self.pixel_labels[0].numel())

    @property
    def labels(self) -> Tensor:
        return self.pixel_labels.flatten()

    @property
    def num_rows(self) -> int:
        return self.pixel_labels.numel()

    def rows_of_samples(self) -> list[int]:
        """Pixels of each image."""
        return [self.pixel_labels[0].numel()] * self.num_samples

    def supervise(
        self,
        prediction: Prediction,
        progress: float = 0.0,
        *,
        features: bool = True,
        table: Tensor | None = None,
    ) -> Supervised:
        """The labelled pixels of a prediction of one row a pixel."""
        return drop_unlabelled(
            prediction.branches,
            self.labels,
            self.sample,
            num_samples=self.num_samples,
            features=_features(prediction, features),
            classifier_weight=prediction.classifier_weight,
            progress=progress,
            table=table,
            labelled=self.labelled,
        )
