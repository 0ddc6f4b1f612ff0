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
from pointseg.losses.base import LossConfig, LossTerm
from pointseg.losses.center_projection import CenterProjection, class_moments
from pointseg.losses.class_sums import class_counts, class_sums
from pointseg.losses.layout import as_rows, at_least_float32, checked_labels
from pointseg.losses.prior import log_prior, read_prior
from pointseg.losses.processes import sum_over_processes

Projection = Literal["none", "frozen", "learned"]
Scope = Literal["batch", "scene"]


class CenterCollapse(nn.Module):
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
        synchronize: under data parallel, all processes make one loss: that of the joined batch. With scope
            ``scene`` BatchNorm's moments stay those of each process.
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
        self.scale, self.scope, self.synchronize, self.ignore_index = scale, scope, synchronize, ignore_index
        self.projection = (
            None
            if projection == "none"
            else CenterProjection(feature_dim, num_classes, learned=projection == "learned")
        )
        dim = feature_dim if self.projection is None else self.projection.out_dim
        self.register_buffer("weight", simplex_etf(num_classes, dim))
        self.register_buffer("log_prior", None if prior is None else log_prior(prior, num_classes))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """Scalar loss; ``sample`` (N,) is the scene of each row, for ``scope="scene"`` (images: one each)."""
        # Autocast would take the small matrix products here to 16 bits.
        with torch.autocast(features.device.type, enabled=False):
            labels = checked_labels(
                features, labels, num_classes=self.num_classes, ignore_index=self.ignore_index
            )
            if features.shape[1] != self.feature_dim:
                raise ValueError(
                    f"Expected features of {self.feature_dim} channels; got {features.shape[1]}."
                )
            if self.scope == "scene" and sample is None:
                sample = _image_of_each_row(labels)
            return self.of_checked(at_least_float32(as_rows(features)), labels.flatten(), sample)

    def of_checked(
        self,
        features: Tensor,
        labels: Tensor,
        sample: Tensor | None,
        *,
        num_samples: int | None = None,
        all_labelled: bool = False,
    ) -> Tensor:
        """The loss for labels that are known to be 0..K-1 or IGNORE: to look at them waits for a GPU.

        Args:
            features: (N, D), float32 or wider.
            labels: (N,).
            sample: (N,) scene of each row; needed for ``scope="scene"``.
            num_samples: number of scenes; None finds it, by a look at ``sample``.
            all_labelled: whether it is known that no label is IGNORE.
        """
        bins, num_bins = self._bins(labels, sample, num_samples)
        centers, counts = self._projected_centers(features, bins, num_bins, all_labelled)
        return self._loss(centers, counts)

    def center_logits(self, centers: Tensor) -> Tensor:
        """(M, d) projected centers -> (M, K) logits: scaled cosines plus the log prior."""
        directions = self.dropout(F.normalize(centers, dim=1))
        logits = self.scale * directions @ self.weight.to(directions.dtype).T
        return logits if self.log_prior is None else logits + self.log_prior.to(logits.dtype)

    def _bins(self, labels: Tensor, sample: Tensor | None, num_samples: int | None) -> tuple[Tensor, int]:
        """The center each row goes to, (N,), and their number: classes, or classes of each scene."""
        K = self.num_classes
        if self.scope == "batch":
            return labels, K
        assert sample is not None
        if num_samples is None:
            num_samples = int(sample.max()) + 1 if sample.numel() else 1
        return torch.where(labels >= 0, sample * K + labels, IGNORE), num_samples * K

    def _projected_centers(
        self, rows: Tensor, bins: Tensor, num_bins: int, all_labelled: bool
    ) -> tuple[Tensor, Tensor]:
        """(M, d) centers after the projection and (M,) rows that made each."""
        joined = self.synchronize and self.scope == "batch"
        counts = class_counts(bins, num_bins, dtype=rows.dtype)
        moments: tuple[Tensor, Tensor] | None = None
        if self.projection is None or not self.training:
            sums = class_sums(rows, bins, num_bins)
            if self.projection is not None:
                moments = self.projection.running_moments(rows.dtype)
        else:
            sums, gram = class_moments(rows, bins, num_bins, all_valid=all_labelled)
            moments = self.projection.batch_moments(sums, counts, gram, synchronize=joined)
        if joined:
            sums, counts = sum_over_processes(sums), sum_over_processes(counts)
        centers = sums / counts.clamp(min=1)[:, None]
        if self.projection is not None and moments is not None:
            centers = self.projection(centers, *moments)
        return centers, counts

    def _loss(self, centers: Tensor, counts: Tensor) -> Tensor:
        present = counts > 0
        # Absent centers go along, weighing nothing: to pick the others, a GPU would have to be asked.
        classes = torch.arange(len(counts), device=centers.device) % self.num_classes
        target = torch.where(present, classes, IGNORE)
        total = F.cross_entropy(self.center_logits(centers), target, ignore_index=IGNORE, reduction="sum")
        number = present.sum().to(total.dtype)
        if self.synchronize and self.scope == "scene":
            total, number = sum_over_processes(total), sum_over_processes(number)
        return total / number.clamp(min=1)


def _image_of_each_row(labels: Tensor) -> Tensor:
    """(N,) number of the image of each label, in the order of ``labels.flatten()``."""
    if labels.ndim == 1:
        raise ValueError("scope='scene' needs the scene of each row: call with (features, labels, sample).")
    return torch.arange(len(labels), device=labels.device).repeat_interleave(labels[0].numel())


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
    ) -> CenterCollapseTerm:
        prior = None
        if isinstance(self.prior, Path):
            prior = read_prior(self.prior, label_space.num_classes)
        elif self.prior == "scene_frequency":
            # A class without a training scene keeps a finite log prior, as if one scene had it.
            prior = statistics.samples.clamp(min=1)
        return CenterCollapseTerm(
            CenterCollapse(
                label_space.num_classes,
                feature_channels,
                projection=self.projection,
                prior=prior,
                scale=self.scale,
                dropout=self.dropout,
                scope=self.center_scope,
                synchronize=self.synchronize,
            )
        )


class CenterCollapseTerm(LossTerm):
    """:class:`CenterCollapse` on the features of a batch."""

    accepts_ignored = True

    def __init__(self, center_collapse: CenterCollapse) -> None:
        super().__init__()
        self.center_collapse = center_collapse

    def forward(self, supervised: Supervised) -> Tensor:
        return self.center_collapse.of_checked(
            supervised.features,
            supervised.labels,
            supervised.sample,
            num_samples=supervised.num_samples,
            all_labelled=supervised.all_labelled,
        )
