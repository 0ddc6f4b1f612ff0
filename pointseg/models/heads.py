"""Heads: from the backbone's features to class scores. Methods that change the classifier live here."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from pointseg.config import Config
from pointseg.core.prediction import Prediction


class Head(nn.Module):
    """Base of all heads: ``forward(features, labels, progress, present) -> Prediction``.

    A head owns every learned parameter after the backbone, so that the optimiser, checkpoints and
    data-parallel training need not know it. Randomness comes from torch's global generator, which the trainer
    seeds anew for each part of a step, equally on all processes: weights and ignored classes of the branches
    of a prediction must be the same for all parts.

    Attributes:
        embedding_dim: channels of ``Prediction.features`` where the head embeds the backbone's features anew;
            None where it hands them on.
        nonnegative: whether the backbone's features are known to have no negative value, as behind a ReLU, or
            are known to have some; None where a head that needs to know has to look, and wait for a GPU.
    """

    embedding_dim: int | None = None
    nonnegative: bool | None = None

    def forward(
        self, features: Tensor, labels: Tensor, progress: float, present: Tensor | None = None
    ) -> Prediction:
        """Class scores.

        Args:
            features: (M, D) rows of the backbone.
            labels: (M,) int64 train index or IGNORE; to be used while training only.
            progress: share of the training that is done, in [0, 1].
            present: (K,) bool, the classes with a row in the whole batch of the step, of which ``labels`` may
                be a part (processes, micro-batches); None where the labels tell.
        """
        raise TypeError(f"{type(self).__name__} must define forward(features, labels, progress, present).")


class HeadConfig(Config):
    """Base of the heads' options; each head derives from it and adds ``type: Literal[...]``.

    Attributes:
        num_branches: branches of its predictions while training.
    """

    num_branches: ClassVar[int] = 1

    def extra_losses(self) -> dict[str, dict[str, Any]]:
        """Losses that the head brings along: name -> options with ``type``, as under ``losses`` in YAML."""
        return {}

    def build(self, in_channels: int, num_classes: int) -> Head:
        """The head for D = ``in_channels`` features and K = ``num_classes``."""
        raise TypeError(f"{type(self).__name__} must define build(in_channels, num_classes).")


class LinearHeadConfig(HeadConfig):
    """Options of :class:`LinearHead`."""

    type: Literal["linear"] = "linear"
    prior_probability: float | None = Field(default=None, gt=0, lt=1)

    def build(self, in_channels: int, num_classes: int) -> LinearHead:
        return LinearHead(in_channels, num_classes, prior_probability=self.prior_probability)


class LinearHead(Head):
    """One linear classifier with bias.

    Args:
        in_channels: D.
        num_classes: K.
        prior_probability: sigmoid of the bias at the start, for losses of sigmoids: with many classes almost
            all targets are negative. None starts as torch does. Source: Lin et al., ICCV 2017 (focal loss).
    """

    def __init__(self, in_channels: int, num_classes: int, *, prior_probability: float | None = None) -> None:
        super().__init__()
        self.classifier = nn.Linear(in_channels, num_classes)
        if prior_probability is not None:
            nn.init.constant_(self.classifier.bias, math.log(prior_probability / (1 - prior_probability)))

    def forward(
        self, features: Tensor, labels: Tensor, progress: float, present: Tensor | None = None
    ) -> Prediction:
        return Prediction.of(self.classifier(features), features, self.classifier.weight)
