"""Heads: from the backbone's features to class scores. Methods that change the classifier live here."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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
        by_sample: whether it looks at each scene or image by itself. It is then given ``sizes`` too, the
            numbers of rows of each, which lie together; and labels are those of its rows in any case.
        nonnegative: whether the backbone's features are known to have no negative value, as behind a ReLU, or
            are known to have some; None where a head that needs to know has to look, and wait for a GPU.
    """

    embedding_dim: int | None = None
    by_sample: bool = False
    nonnegative: bool | None = None

    def normalise_classifier(self, tau: float) -> None:
        """Score by class vectors w_c / |w_c|^tau in evaluation mode, from now on.

        Raises:
            ValueError: if the head has no linear classifier whose vectors differ in length.
        """
        raise ValueError(
            f"evaluate.tau_normalisation is for linear classifiers; {type(self).__name__} has class vectors "
            "of equal length already. Set it to 0."
        )

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
        self.classifier = Classifier(in_channels, num_classes)
        if prior_probability is not None:
            nn.init.constant_(self.classifier.bias, math.log(prior_probability / (1 - prior_probability)))

    def normalise_classifier(self, tau: float) -> None:
        self.classifier.tau = tau

    def forward(
        self, features: Tensor, labels: Tensor, progress: float, present: Tensor | None = None
    ) -> Prediction:
        return Prediction.of(self.classifier(features), features, self.classifier.weight)


class Classifier(nn.Linear):
    """A linear layer whose class vectors may be normalised in evaluation mode: w_c / |w_c|^tau, no bias.

    Classes with many rows learn longer vectors; tau = 1 makes all equally long, 0 leaves the layer as it is.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020,
    section 4.2 (tau-normalised classifier), which leaves the bias out too.
    """

    tau: float = 0.0

    def forward(self, rows: Tensor) -> Tensor:
        if self.training or self.tau == 0:
            return super().forward(rows)
        length = self.weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return F.linear(rows, self.weight / length**self.tau)


def batch_normalised(norm: nn.Module, rows: Tensor) -> Tensor:
    """``norm(rows)``, by running statistics for a single row: it has no variance, and torch refuses it."""
    if norm.training and len(rows) < 2 and isinstance(norm, nn.BatchNorm1d):
        return F.batch_norm(rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    result: Tensor = norm(rows)
    return result


def follow_norms(head: nn.Module, backbone: nn.Module) -> None:
    """Give the batch norms of a head the momentum and eps of the backbone's last one, where it has any."""
    theirs = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    for module in head.modules():
        if isinstance(module, _BatchNorm) and theirs:
            module.momentum, module.eps = theirs[-1].momentum, theirs[-1].eps
