"""Region rebalance: an auxiliary classifier of the mean feature of each class, balanced by a prior."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm
from pointseg.losses.class_sums import class_means
from pointseg.losses.prior import log_prior, training_counts
from pointseg.losses.row_loss import labelled_rows

Scope = Literal["sample", "batch"]


class RegionRebalance(nn.Module):
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

    def forward(self, features: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        if features.ndim < 2 or features.shape[1] != self.classifier.in_features:
            raise ValueError(
                f"Expected {self.classifier.in_features} features, (N, D) or (B, D, H, W); got "
                f"{tuple(features.shape)}."
            )
        rows, targets = labelled_rows(features, labels, self.num_classes, self.ignore_index)
        belongs, num_samples = None, None
        if self.scope == "sample":
            belongs = self._samples(labels, sample)[(labels != self.ignore_index).flatten()]
            num_samples = int(belongs.max()) + 1 if len(belongs) else 1
        return self.of_labelled(rows, targets, belongs, num_samples)

    def of_labelled(
        self, rows: Tensor, targets: Tensor, sample: Tensor | None, num_samples: int | None
    ) -> Tensor:
        """The loss of (N, D) features, float32 or wider, and (N,) labels in 0..K-1; 0 for no row.

        Args:
            rows, targets: features and labels.
            sample: (N,) sample of each row; needed for ``scope="sample"``, as is ``num_samples``.
            num_samples: number of samples.
        """
        if not len(targets):
            return rows.sum() + 0 * self.classifier.weight.sum() + 0 * self.classifier.bias.sum()
        region, num_regions = targets, self.num_classes
        if self.scope == "sample":
            assert sample is not None and num_samples is not None
            region, num_regions = sample * self.num_classes + targets, num_samples * self.num_classes
        # With those that have no row, though they are most: a GPU would have to be asked which these are.
        means, counts = class_means(rows, region, num_regions)
        weight, bias = self.classifier.weight.to(rows.dtype), self.classifier.bias.to(rows.dtype)
        logits = F.linear(means, weight, bias)
        if self.log_prior is not None:
            logits = logits + self.log_prior.to(logits.dtype)
        classes = torch.arange(num_regions, device=rows.device) % self.num_classes
        target = torch.where(counts > 0, classes, IGNORE)
        return F.cross_entropy(logits, target, ignore_index=IGNORE)

    @staticmethod
    def _samples(labels: Tensor, sample: Tensor | None) -> Tensor:
        """Sample of each row, in the order of ``labels.flatten()``."""
        if sample is not None:
            return sample
        if labels.ndim == 1:
            raise ValueError(
                "scope='sample' needs the scene of each row: call with (features, labels, sample)."
            )
        batch = torch.arange(labels.shape[0], device=labels.device)
        return batch.repeat_interleave(labels[0].numel())


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
    ) -> RegionRebalanceTerm:
        prior = None if self.prior == "none" else training_counts(statistics, "samples")
        return RegionRebalanceTerm(
            RegionRebalance(statistics.num_classes, feature_channels, prior=prior, scope=self.scope)
        )


class RegionRebalanceTerm(LossTerm):
    """:class:`RegionRebalance` on the features of a batch."""

    def __init__(self, rebalance: RegionRebalance) -> None:
        super().__init__()
        self.rebalance = rebalance

    def forward(self, supervised: Supervised) -> Tensor:
        # Labels were checked when the batch was made: a second look would wait for a GPU.
        return self.rebalance.of_labelled(
            supervised.features, supervised.labels, supervised.sample, supervised.num_samples
        )
