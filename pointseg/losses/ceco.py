"""CeCo: the class centers of a batch, classified by a fixed simplex, so that every class counts once.

Source: Zhong et al., "Understanding Imbalanced Semantic Segmentation Through Neural Collapse", CVPR 2023,
arXiv 2301.01100, and the released 2D code (UPerNet on ADE20K). No 3D code is public.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.simplex import simplex_etf
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.center_projection import CenterProjection, class_moments, scatter_of_means
from pointseg.losses.class_sums import class_counts, class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import log_prior, read_prior
from pointseg.losses.row_loss import labelled_rows

Projection = Literal["none", "frozen", "learned"]
Scope = Literal["batch", "scene"]


class CenterCollapse(LossTerm):
    """Cross entropy of the class centers of a batch against a fixed simplex classifier.

    c_k = mean of the features of class k; L = mean over the present k of
    CE(scale * cos(P(c_k), w_j) + log pi_j, k). Absent classes are left out; the gradient flows through the
    means.

    Args:
        num_classes: K.
        feature_dim: D, channels of the features.
        projection: P. ``none``: the centers themselves meet the simplex, D >= K - 1. ``frozen`` (as
            released): a random fixed 1x1 convolution D -> 128, BatchNorm, class mean, random fixed linear ->
            512, ReLU. ``learned``: the same, trained.
        prior: (K,) positive class prior, in any unit; the log of the shares is added to the logits. The
            released code takes the number of training images that contain the class. None for no prior (the
            paper's form).
        scale: factor of the cosine.
        dropout: probability on the normalised centers.
        scope: ``batch``: one center of a class for the batch. ``scene``: one for each scene.
        synchronize: all parts of a batch (processes, accumulated micro-batches) make one loss: that of the
            joined batch. With scope ``scene`` BatchNorm's moments stay those of each part. Else the loss is
            ``local``: each part makes its own, and their mean is taken.
        ignore_index: label of rows to leave out.

    Shapes: features (N, D) with labels (N,), or (B, D, H, W) with (B, H, W); returns a scalar, in float32 or
    wider. Without a labelled row it is 0, connected to the features.

    Raises:
        ValueError: if D < K - 1 without a projection, or for a prior, scale or option that cannot be.

    Departures from the released code: the 512 dimensions grow to K - 1 where K is larger; per-scene centers
    and the learned projection are additions; BatchNorm's moments are those of the labelled rows, since
    unlabelled ones never reach a loss here.
    """

    weight: Tensor
    log_prior: Tensor | None

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        *,
        projection: Projection = "none",
        prior: Tensor | None = None,
        scale: float = 5.0,
        dropout: float = 0.0,
        scope: Scope = "batch",
        synchronize: bool = True,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
        if projection not in ("none", "frozen", "learned"):
            raise ValueError(f"projection must be none, frozen or learned; got {projection!r}.")
        if scope not in ("batch", "scene"):
            raise ValueError(f"scope must be batch or scene; got {scope!r}.")
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be a positive number; got {scale}.")
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.scale, self.scope, self.ignore_index = scale, scope, ignore_index
        self.local = not synchronize
        self.projection = (
            None
            if projection == "none"
            else CenterProjection(feature_dim, num_classes, learned=projection == "learned")
        )
        dim = feature_dim if self.projection is None else self.projection.out_dim
        self.register_buffer("weight", simplex_etf(num_classes, dim))
        self.register_buffer("log_prior", None if prior is None else log_prior(prior, num_classes))
        self.dropout = nn.Dropout(dropout)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """The centers of a scene lie in one part of the batch; those of the whole batch do not."""
        return self.scope == "scene"

    def forward(self, features: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """Scalar loss; ``sample`` (N,) is the scene of each row, for ``scope="scene"`` (images: one each)."""
        # Autocast would take the small matrix products here to 16 bits.
        with torch.autocast(features.device.type, enabled=False):
            if self.scope == "scene" and sample is None and labels.ndim == 1:
                raise ValueError(
                    "scope='scene' needs the scene of each row: call with (features, labels, sample)."
                )
            rows = labelled_rows(features, labels, self.num_classes, self.ignore_index, sample)
            if features.shape[1] != self.feature_dim:
                raise ValueError(
                    f"Expected features of {self.feature_dim} channels; got {features.shape[1]}."
                )
            return self.of(rows)

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        K = self.num_classes
        by_scene = self.scope == "scene"
        bins = rows.sample * K + rows.labels if by_scene else rows.labels
        num_bins = rows.num_samples * K if by_scene else K
        found: dict[str, Tensor] = {}
        if self.projection is None or not self.training:
            sums = class_sums(rows.features, bins, num_bins)
        else:
            sums, gram = class_moments(rows.features, bins, num_bins)
            # Filled on the device: a number that is copied there waits for it.
            number = sums.new_full((), len(rows.labels), dtype=torch.int64)
            found = {"total": sums.sum(0), "gram": gram, "means": scatter_of_means(sums.sum(0), number)}
        if not by_scene:
            return {**found, "features": sums}
        counts = class_counts(bins, num_bins, dtype=sums.dtype)
        moments = self._moments(found, counts.sum(), of_part=True)
        # The moments go to the other parts for the running ones alone.
        return {
            **{key: value.detach() for key, value in found.items()},
            "loss": self._loss(means_of(sums, counts), counts, moments),
        }

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        if self.scope == "scene":
            return sums["loss"] / facts.samples.sum().clamp(min=1)
        centers = means_of(sums["features"], facts.rows)
        moments = self._moments(sums, facts.num_rows)
        return self._loss(centers, facts.rows, moments) / facts.present.sum().clamp(min=1)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        moments = self._moments(sums, facts.num_rows)
        if self.projection is not None and moments is not None:
            self.projection.follow(*moments, facts.num_rows)

    def _moments(self, sums: Sums, count: Tensor, *, of_part: bool = False) -> tuple[Tensor, Tensor] | None:
        """BatchNorm's mean and variance for the batch, or those followed so far in evaluation mode."""
        if self.projection is None:
            return None
        if not self.training:
            return self.projection.running_moments(self.projection.running_mean.dtype)
        total, gram = sums["total"], sums["gram"]
        if not of_part:
            gram = gram + (sums["means"] - scatter_of_means(total, count)).to(gram.dtype)
        return self.projection.moments_of(total, gram, count)

    def center_logits(self, centers: Tensor) -> Tensor:
        """(M, d) projected centers -> (M, K) logits: scaled cosines plus the log prior."""
        directions = self.dropout(F.normalize(centers, dim=1))
        logits = self.scale * directions @ self.weight.to(directions.dtype).T
        return logits if self.log_prior is None else logits + self.log_prior.to(logits.dtype)

    def _loss(self, centers: Tensor, counts: Tensor, moments: tuple[Tensor, Tensor] | None) -> Tensor:
        """Sum over the centers with a row of the cross entropy of (M, D) centers, classes in turn."""
        if self.projection is not None and moments is not None:
            mean, variance = (moment.to(centers.dtype) for moment in moments)
            centers = self.projection(centers, mean, variance)
        # Absent centers go along, weighing nothing: to pick the others, a GPU would have to be asked.
        classes = torch.arange(len(counts), device=centers.device) % self.num_classes
        target = torch.where(counts > 0, classes, IGNORE)
        return F.cross_entropy(self.center_logits(centers), target, ignore_index=IGNORE, reduction="sum")


class CenterCollapseConfig(LossConfig):
    """Options of :class:`CenterCollapse` in a training run: as released, but for a third party's weight.

    Args:
        projection: see there; ``none`` needs features of K - 1 channels or more.
        prior: ``scene_frequency``: number of training scenes with each class. ``none``. Or a text file with
            one positive number a class, in the order of the train indices.
        center_scope: ``scope`` there.
        scale, dropout, synchronize: see there.
    """

    trains_classifier: ClassVar[bool] = False

    type: Literal["ceco"] = "ceco"
    weight: float = Field(default=0.4, ge=0)
    projection: Projection = "frozen"
    prior: Literal["scene_frequency", "none"] | Path = "scene_frequency"
    center_scope: Scope = "batch"
    scale: float = Field(default=5.0, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    synchronize: bool = True

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> CenterCollapse:
        prior = None
        if isinstance(self.prior, Path):
            prior = read_prior(self.prior, label_space.num_classes)
        elif self.prior == "scene_frequency":
            # A class without a training scene keeps a finite log prior, as if one scene had it.
            prior = statistics.samples.clamp(min=1)
        return CenterCollapse(
            label_space.num_classes,
            feature_channels,
            projection=self.projection,
            prior=prior,
            scale=self.scale,
            dropout=self.dropout,
            scope=self.center_scope,
            synchronize=self.synchronize,
        )
