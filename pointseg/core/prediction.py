"""What a network says: Prediction for a batch, ScenePrediction for the vertices of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pointseg.core.rows import Branch


@dataclass(frozen=True)
class Prediction:
    """The output of a Segmenter, laid out as its batch: (M, .) rows for voxels, (B, ., H, W) for images.

    Args:
        branches: sets of class scores, at least one; the first one's are the prediction's ``logits``. A head
            gives further ones while training only.
        features: embedding just before the classifier.
        classifier_weight: (K, D) weight of the linear classifier, or None.
        others: predictions of the network's other heads, by name.
    """

    branches: tuple[Branch, ...]
    features: Tensor
    classifier_weight: Tensor | None = None
    others: Mapping[str, Prediction] = field(default_factory=dict)

    @classmethod
    def of(cls, logits: Tensor, features: Tensor, classifier_weight: Tensor | None = None) -> Prediction:
        """That of a head with one branch."""
        return cls((Branch(logits),), features, classifier_weight)

    @property
    def logits(self) -> Tensor:
        """Class scores before softmax."""
        return self.branches[0].logits


@dataclass(frozen=True)
class ScenePrediction:
    """The prediction for every vertex of a scene, in file order.

    Args:
        name: name of the scene.
        train_index: (P,) int64 most probable class.
        confidence: (P,) float32 its probability, averaged over the test-time views.
    """

    name: str
    train_index: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"ScenePrediction({self.name!r}, {len(self.train_index)} vertices)"
