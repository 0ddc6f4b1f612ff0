"""CAC, the context-aware classifier: each scene refines the class vectors by what it is said to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.rows import Branch
from pointseg.models.heads import Head, HeadConfig, batch_normalised


class ContextAwareHead(Head):
    """scale * cos(g(feature), w'_c) with class vectors w' that are made for each scene or image.

    With a linear classifier w and its probabilities p: the mean of the features of a sample weighed by p_c,
    and w_c beside it, are mapped by a linear layer, ReLU and a linear layer to w'_c; g is a linear layer,
    batch norm, ReLU and a linear layer.

    In training the prediction has three branches, whose classification losses are added up: those scores; the
    same with the mean features of the labels' classes over the batch in place of the predicted ones (absent
    classes keep w_c) and a map of its own, which teaches the first by the loss that the head brings along
    (pointseg.losses.context_distillation); and the scores of the linear classifier. At evaluation the first
    is left.

    Args:
        in_channels: D.
        num_classes: K.
        scale: factor of the cosine.
        detach: whether the probabilities p are held constant.

    Source: Tian et al., "Learning Context-Aware Classifier for Semantic Segmentation", AAAI 2023, and its
    release for point clouds in Pointcept (``CAC-v1m1``), whose ScanNet200 settings are the defaults. There
    the norm in g is taken over each scene, and over the batch again for the second branch; here over the
    batch, once. The authors' 2D code has no g and maps of D / 2 hidden channels in place of 2 D.
    """

    by_sample = True

    def __init__(
        self, in_channels: int, num_classes: int, *, scale: float = 15.0, detach: bool = True
    ) -> None:
        super().__init__()
        self.num_classes, self.scale, self.detach = num_classes, scale, detach
        self.classifier = nn.Linear(in_channels, num_classes)
        self.refine, self.perspective = _class_map(in_channels), _class_map(in_channels)
        self.reduce = nn.Linear(in_channels, in_channels, bias=False)
        self.norm = nn.BatchNorm1d(in_channels)
        self.expand = nn.Linear(in_channels, in_channels)

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        progress: float,
        present: Tensor | None = None,
        *,
        sizes: Sequence[int] = (),
    ) -> Prediction:
        """Class scores; ``sizes`` are the numbers of rows of each sample, one after the other; none for one.

        See :class:`Head`.
        """
        weight = self.classifier.weight
        plain = self.classifier(features)
        mapped = self.expand(F.relu(batch_normalised(self.norm, self.reduce(features))))
        mapped = F.normalize(mapped, dim=1)
        sizes = list(sizes) or [len(features)]
        scores = plain.detach() if self.detach else plain
        refined = torch.cat(
            [
                self._scores(part, self.refine, means_by(p.softmax(1), x, eps=1e-7))
                for part, p, x in zip(
                    *(rows.split(sizes) for rows in (mapped, scores, features)), strict=True
                )
            ]
        )
        if not self.training:
            return Prediction.of(refined, features, weight)
        classes = torch.arange(self.num_classes, device=labels.device)
        marks = (labels[:, None] == classes).to(features.dtype)
        found = means_by(marks, features, eps=1e-4)
        found = torch.where(marks.any(0)[:, None], found, weight.detach().to(found.dtype))
        teacher = self._scores(mapped, self.perspective, found)
        return Prediction((Branch(refined), Branch(teacher), Branch(plain)), features, weight)

    def _scores(self, mapped: Tensor, class_map: nn.Module, means: Tensor) -> Tensor:
        weight = self.classifier.weight
        vectors = class_map(torch.cat([means.to(weight.dtype), weight], dim=1))
        return self.scale * F.linear(mapped, F.normalize(vectors, dim=1))


def means_by(shares: Tensor, features: Tensor, *, eps: float) -> Tensor:
    """(K, D) means of (N, D) features, weighed by the (N, K) shares of each class.

    Args:
        eps: beside the sum of the shares.
    """
    # Sums over rows outside autocast, in float32 or wider.
    with torch.autocast(features.device.type, enabled=False):
        wide = torch.promote_types(features.dtype, torch.float32)
        shares, features = shares.to(wide), features.to(wide)
        return (shares / (shares.sum(0) + eps)).T @ features


def _class_map(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2 * channels, 2 * channels, bias=False), nn.ReLU(), nn.Linear(2 * channels, channels)
    )


class ContextAwareHeadConfig(HeadConfig):
    """Options of :class:`ContextAwareHead`.

    Args:
        distillation: weight of the loss by which the second branch teaches the first.
    """

    num_branches: ClassVar[int] = 3

    type: Literal["context_aware"] = "context_aware"
    scale: float = Field(default=15.0, gt=0)
    detach: bool = True
    distillation: float = Field(default=1.0, ge=0)

    def extra_losses(self) -> dict[str, dict[str, Any]]:
        return {"distillation": {"type": "context_distillation", "weight": self.distillation}}

    def build(self, in_channels: int, num_classes: int) -> ContextAwareHead:
        return ContextAwareHead(in_channels, num_classes, scale=self.scale, detach=self.detach)
