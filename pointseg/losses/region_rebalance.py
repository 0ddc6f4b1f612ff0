"""Region rebalance: an auxiliary classifier of the mean feature of each class, balanced by a prior."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.class_sums import class_means, class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import log_prior, training_counts
from pointseg.losses.row_loss import labelled_rows

Scope = Literal["sample", "batch"]


class RegionRebalance(LossTerm):
    """Cross entropy of a linear classifier on region means + log prior, averaged over the regions.

    A region is the rows of one class in one sample (scene, image). The classifier is learned, and used in
    training only.

    Args:
        num_classes: K.
        feature_dim: D.
        prior: (K,) positive numbers, such as the training samples with each class; None for no prior.
        scope: ``sample``, or ``batch``: all rows of a class make one region.
        ignore_index: label of rows to leave out.

    Shapes: features (N, D) with labels (N,) and sample (N,), or (B, D, H, W) with (B, H, W), where each image
    is a sample; returns a scalar, 0 and connected if there is no labelled row.

    Source: Cui et al., "Region Rebalance for Long-Tailed Semantic Segmentation", arXiv 2204.01969.
    """

    log_prior: Tensor | None

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        *,
        prior: Tensor | None = None,
        scope: Scope = "sample",
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
        if scope not in ("sample", "batch"):
            raise ValueError(f"scope must be sample or batch; got {scope!r}.")
        self.num_classes, self.scope, self.ignore_index = num_classes, scope, ignore_index
        self.classifier = nn.Linear(feature_dim, num_classes)
        self.register_buffer("log_prior", None if prior is None else log_prior(prior, num_classes))

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Regions of a sample lie in one part of the batch; means over all samples do not."""
        return self.scope == "sample"

    def forward(self, features: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        if features.ndim < 2 or features.shape[1] != self.classifier.in_features:
            raise ValueError(
                f"Expected {self.classifier.in_features} features, (N, D) or (B, D, H, W); got "
                f"{tuple(features.shape)}."
            )
        if self.scope == "sample" and sample is None and labels.ndim == 1:
            raise ValueError(
                "scope='sample' needs the scene of each row: call with (features, labels, sample)."
            )
        return self.of(labelled_rows(features, labels, self.num_classes, self.ignore_index, sample))

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        K = self.num_classes
        if self.scope == "batch":
            return {"features": class_sums(rows.features, rows.labels, K)}
        region = torch.where(rows.labels >= 0, rows.sample * K + rows.labels, IGNORE)
        # With those that have no row, though they are most: a GPU would have to be asked which these are.
        means, counts = class_means(rows.features, region, rows.num_samples * K)
        return {"loss": self._loss(means, counts)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        if self.scope == "batch":
            means = means_of(sums["features"], facts.rows)
            return self._loss(means, facts.rows) / facts.present.sum().clamp(min=1)
        return sums["loss"] / facts.samples.sum().clamp(min=1)

    def _loss(self, means: Tensor, counts: Tensor) -> Tensor:
        """Sum over the regions with a row of the cross entropy of (M, D) means, classes in turn."""
        weight, bias = self.classifier.weight.to(means.dtype), self.classifier.bias.to(means.dtype)
        logits = F.linear(means, weight, bias)
        if self.log_prior is not None:
            logits = logits + self.log_prior.to(logits.dtype)
        classes = torch.arange(len(means), device=means.device) % self.num_classes
        target = torch.where(counts > 0, classes, IGNORE)
        return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")


class RegionRebalanceConfig(LossConfig):
    """Options of :class:`RegionRebalance`.

    Args:
        prior: ``sample_frequency``: number of training samples with each class; or ``none``.
        scope: ``sample`` or ``batch``.
    """

    trains_classifier: ClassVar[bool] = False

    type: Literal["region_rebalance"] = "region_rebalance"
    prior: Literal["sample_frequency", "none"] = "sample_frequency"
    scope: Scope = "sample"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> RegionRebalance:
        prior = None if self.prior == "none" else training_counts(statistics, "samples")
        return RegionRebalance(statistics.num_classes, feature_channels, prior=prior, scope=self.scope)
