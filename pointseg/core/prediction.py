"""What a network says: Prediction for a batch, ScenePrediction for the vertices of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pointseg.core.rows import IGNORE, MAIN, Branch


@dataclass(frozen=True)
class FeatureMap:
    """What a network says of images at its own resolution, as rows in reading order, image after image.

    Args:
        rows: (B * h * w, D) features.
        grid: (B, h, w).
        size: (H, W) of the images.
        inner: further maps of the same images from within the network, by name, for heads that read them.
    """

    rows: Tensor
    grid: tuple[int, int, int]
    size: tuple[int, int]
    inner: Mapping[str, FeatureMap] = field(default_factory=dict)

    @classmethod
    def of(cls, features: Tensor, images: Tensor) -> FeatureMap:
        """That of (B, D, h, w) features of (B, C, H, W) images."""
        count, channels, height, width = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
        return cls(rows, (count, height, width), (images.shape[-2], images.shape[-1]))

    def rows_of_images(self) -> list[int]:
        """B numbers of rows."""
        count, height, width = self.grid
        return [height * width] * count

    def reduced(self, values: Tensor) -> Tensor:
        """(B * H * W,) values of pixels, such as labels, as (B * h * w,): those nearest to the rows."""
        count, *grid = self.grid
        y, x = (
            (torch.arange(small, device=values.device) * large).div(small, rounding_mode="floor")
            for small, large in zip(grid, self.size, strict=True)
        )
        return values.view(count, *self.size)[:, y[:, None], x].flatten()

    def enlarged(self, rows: Tensor) -> Tensor:
        """(B * h * w, C) values, scores or features, as (B * H * W, C): bilinear, one row a pixel."""
        if self.size == self.grid[1:]:
            return rows
        values = rows.unflatten(0, self.grid).permute(0, 3, 1, 2)
        full = F.interpolate(values, self.size, mode="bilinear", align_corners=False)
        return full.permute(0, 2, 3, 1).flatten(0, 2)


@dataclass(frozen=True)
class Prediction:
    """The output of a Segmenter, laid out as its batch: (M, .) rows, voxels or pixels.

    Args:
        branches: sets of class scores, at least one; the first one's are the prediction's ``logits``. A head
            gives further ones while training only.
        features: embedding just before the classifier; of images at the network's resolution, see
            :meth:`full_features`.
        classifier_weight: (K, D) weight of the linear classifier, or None.
        others: predictions of the network's other heads, by name.
        map: of images, how features become one row a pixel; None where they are laid out as the batch.
    """

    branches: tuple[Branch, ...]
    features: Tensor
    classifier_weight: Tensor | None = None
    others: Mapping[str, Prediction] = field(default_factory=dict)
    map: FeatureMap | None = None

    @classmethod
    def of(cls, logits: Tensor, features: Tensor, classifier_weight: Tensor | None = None) -> Prediction:
        """That of a head with one branch."""
        return cls((Branch(logits),), features, classifier_weight)

    @property
    def logits(self) -> Tensor:
        """Class scores before softmax."""
        return self.branches[0].logits

    def of_head(self, name: str) -> Prediction:
        """That of one of the network's heads."""
        return self if name == MAIN else self.others[name]

    def full_features(self) -> Tensor:
        """(M, D) features laid out as the batch; of images that is much larger than what the network made."""
        return self.features if self.map is None else self.map.enlarged(self.features)

    def enlarged(self, map_: FeatureMap) -> Prediction:
        """The prediction of a head for the rows of a map, with scores for every pixel.

        Scores are made large, not features: a head need not be linear, it has 16 times the rows to look at
        behind a network of stride 4, and there are fewer classes than channels.
        """
        branches = tuple(replace(branch, logits=map_.enlarged(branch.logits)) for branch in self.branches)
        return replace(self, branches=branches, map=map_)


@dataclass(frozen=True)
class ScenePrediction:
    """The prediction for every vertex of a scene, in file order.

    Args:
        name: name of the scene.
        train_index: (P,) int64 most probable class; IGNORE where it was asked for and is not probable enough.
        confidence: (P,) float32 its probability, averaged over the test-time views.
        top_index: (P, n) integers, the n most probable classes, the first one first; None unless asked for.
        top_probability: (P, n) float32 their probabilities.
        others: predictions of further heads of the network, by name, where they were asked for.
        entropy: (P,) float32 -sum p ln p over all classes, in nats; None unless asked for.
    """

    name: str
    train_index: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    top_index: npt.NDArray[np.integer] | None = None
    top_probability: npt.NDArray[np.float32] | None = None
    others: Mapping[str, ScenePrediction] = field(default_factory=dict)
    entropy: npt.NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"ScenePrediction({self.name!r}, {len(self.train_index)} vertices)"

    def above(self, confidence: float) -> ScenePrediction:
        """The same, with IGNORE where the most probable class is less probable than this."""
        sure = self.confidence >= confidence
        return replace(self, train_index=np.where(sure, self.train_index, IGNORE))

    @property
    def has_unclassified(self) -> bool:
        """Whether a row was left without a class."""
        return bool((self.train_index == IGNORE).any())

    @classmethod
    def ranked(
        cls,
        name: str,
        index: npt.NDArray[np.integer],
        probability: npt.NDArray[np.float32],
        entropy: npt.NDArray[np.float32] | None = None,
    ) -> ScenePrediction:
        """That of the (P, n) most probable classes and their probabilities, the most probable one first."""
        first, confidence = index[:, 0].astype(np.int64), np.ascontiguousarray(probability[:, 0])
        if index.shape[1] < 2:
            return cls(name, first, confidence, entropy=entropy)
        return cls(name, first, confidence, index, probability, entropy=entropy)

    @classmethod
    def of_heads(cls, heads: Mapping[str, ScenePrediction]) -> ScenePrediction:
        """That of the main head, which holds those of the others."""
        others = {name: found for name, found in heads.items() if name != MAIN}
        return replace(heads[MAIN], others=others) if others else heads[MAIN]


def entropy_of(probabilities: Tensor) -> Tensor:
    """(N,) -sum p ln p of (N, K) probabilities, in nats; the limit of p ln p at 0 is 0."""
    return torch.special.entr(probabilities.double()).sum(dim=1).float()


def most_probable(probabilities: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and indices, (N, n), of the largest of (N, K) values in each row, n = min(count, K); falling.

    The first is the one that ``max`` finds, also where several are equal, so that a prediction does not
    depend on how many classes were asked for.
    """
    best, winner = probabilities.max(dim=1, keepdim=True)
    if count < 2 or probabilities.shape[1] < 2:
        return best, winner
    marked = probabilities.scatter(1, winner, float("inf"))
    values, indices = marked.topk(min(count, probabilities.shape[1]), dim=1)
    values[:, :1] = best
    return values, indices
