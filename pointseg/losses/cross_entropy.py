"""Cross entropy, plain or with class weights from the training counts."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pointseg.config import Config
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import CountUnit, checked_class_numbers, training_counts
from pointseg.losses.row_loss import RowMean, class_mass
from pointseg.losses.softmax_rows import row_cross_entropy

NamedWeights = Literal["none", "median_frequency", "log", "class_balanced"]


class PowerWeights(Config):
    """Class weights n_c^power.

    Args:
        power: -1 is inverse frequency, -0.5 its root, 0 none; a class-wise loss with exponent 1 + power is
            alike.
        count: ``points`` or ``samples`` (scenes, images) of each class in the training set.
    """

    power: float
    count: CountUnit = "points"


ClassWeights: TypeAlias = NamedWeights | PowerWeights | tuple[float, ...]


class CrossEntropyConfig(LossConfig):
    """Options of :class:`CrossEntropy`.

    Args:
        label_smoothing: share of the target spread evenly over all classes.
        class_weights: see :func:`class_weights`.
        beta, count: of the ``class_balanced`` weights: the authors count images.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: ClassWeights = "none"
    beta: float = Field(default=0.9999, ge=0, lt=1)
    count: CountUnit = "samples"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> CrossEntropy:
        kind = self.class_weights
        weights = (
            None if kind == "none" else class_weights(statistics, kind, beta=self.beta, count=self.count)
        )
        return CrossEntropy(label_smoothing=self.label_smoothing, class_weights=weights)


class CrossEntropy(RowMean):
    """Mean over rows of -log softmax(logits)[label]; with class weights w, sum w_y l / sum w_y.

    Args:
        label_smoothing: share of the target spread evenly over all classes.
        class_weights: (K,) float weights, or None.
        ignore_index: label of rows to leave out.

    Source: torch.nn.functional.cross_entropy.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(
            num_classes=None if class_weights is None else len(class_weights), ignore_index=ignore_index
        )
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weights)

    def row_losses(self, logits: Tensor, labels: Tensor, facts: BatchFacts) -> Tensor:
        if self.class_weights is None and self.label_smoothing == 0:
            return row_cross_entropy(logits, labels)
        weight = None if self.class_weights is None else self.class_weights.to(logits.dtype)
        return F.cross_entropy(
            logits,
            labels,
            weight=weight,
            label_smoothing=self.label_smoothing,
            ignore_index=IGNORE,
            reduction="none",
        )

    def mass(self, facts: BatchFacts) -> Tensor:
        return facts.num_rows if self.class_weights is None else class_mass(self.class_weights, facts)


def class_weights(
    statistics: ClassStatistics, kind: ClassWeights, *, beta: float = 0.9999, count: CountUnit = "samples"
) -> Tensor:
    """(K,) float32 class weights, scaled so that their mean over the classes of the training set is 1.

    With n_c points of class c, f_c = n_c / sum n, and s_c samples that contain it:

    - ``none``: 1.
    - ``{power: p}``: f_c^p, of points or of samples.
    - K numbers, in the order of the train indices: these, as a recipe gives them.
    - ``median_frequency``: median(m) / m_c with m_c = n_c / s_c, the mean points of c in a sample that has
      it. Source: Eigen and Fergus, ICCV 2015, who divide by the size of those samples; we take samples as
      equal in size, since the manifest counts points and samples only.
    - ``log``: 1 / log(1.02 + f_c). Source: ENet, arXiv 1606.02147.
    - ``class_balanced``: (1 - beta) / (1 - beta^n_c), which ends at 1 - beta for n_c far above 1 / (1 -
      beta); with s_c for n_c where ``count`` is ``samples``, the default, as the authors count images: of
      points nearly all classes have that many. Source: Cui et al., CVPR 2019, arXiv 1901.05555.

    A class without a training point gets the weight of the rarest class that has one.

    Raises:
        ValueError: if the training set has no labelled point; for numbers that are not one a class.
    """
    points, samples = statistics.points.double(), statistics.samples.double()
    if isinstance(kind, tuple):
        return _given_weights(kind, len(points))
    present = points > 0
    if not bool(present.any()):
        raise ValueError("Class weights need labelled training points; the training split has none.")
    frequency = points / points.sum()
    if kind == "median_frequency":
        mean_points = points / samples.clamp(min=1)
        # torch.median takes the lower middle value; the median of an even number is their mean.
        raw = mean_points[present].quantile(0.5) / mean_points
    elif kind == "class_balanced":
        # expm1 and log keep the digits of 1 - beta^n for n of one and beta near 1.
        counts = training_counts(statistics, count)
        raw = (1 - beta) / -torch.expm1(counts * math.log(beta)) if beta > 0 else torch.ones_like(counts)
    elif kind == "log":
        raw = 1 / torch.log(1.02 + frequency)
    elif isinstance(kind, PowerWeights):
        raw = training_counts(statistics, kind.count) ** kind.power
    else:
        raw = torch.ones_like(points)
    rarest = torch.where(present, points, torch.inf).argmin()
    weights = torch.where(present, raw, raw[rarest])
    return (weights / weights[present].mean()).float()


def _given_weights(numbers: tuple[float, ...], num_classes: int) -> Tensor:
    if len(numbers) != num_classes:
        raise ValueError(
            f"class_weights: {len(numbers)} numbers for {num_classes} classes; give one a class, in the "
            "order of the train indices."
        )
    weights = checked_class_numbers(torch.tensor(numbers, dtype=torch.float64), "class_weights")
    return (weights / weights.mean()).float()
