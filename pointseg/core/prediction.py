"""What a network says: Prediction for a batch, ScenePrediction for the vertices of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pointseg.core.rows import Suppressed


@dataclass(frozen=True)
class Prediction:
    """The output of a Segmenter, laid out as its batch: (M, .) rows for voxels, (B, ., H, W) for images.

    Args:
        logits: class scores before softmax.
        features: embedding just before the classifier.
        classifier_weight: (K, D) weight of the linear classifier, or None.
        suppressed: second logits of a class-suppressing head, or None.
    """

    logits: Tensor
    features: Tensor
    classifier_weight: Tensor | None = None
    suppressed: Suppressed | None = None


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
