"""Supervised pixel contrast: embeddings of a class attract one another and push those of others off."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, LossTerm, Sums
from pointseg.losses.class_sums import class_counts
from pointseg.losses.facts import BatchFacts

#: Released: losses are scaled by the temperature over this.
BASE_TEMPERATURE = 0.07
#: A logarithm of nothing that has a gradient.
_NOTHING = -1e30


class PixelContrast(LossTerm):
    """Mean over anchors i and their positives j of (t / 0.07) log(1 + sum_n exp((z_i z_n - z_i z_j) / t)).

    z are projected features of length 1, positives the other anchors of the class, n the anchors of all other
    classes. The projection is a linear layer, ReLU and a linear layer, learned, and used in training only.

    Anchors are ``max_anchors`` rows of the batch: as many of each class, until it has no more; half of a
    class's are rows that the network gets wrong at the moment, as far as it has as many of both. So a rare
    class has as many anchors as a frequent one, however few its rows.

    It is ``local``: pairs of rows do not follow from sums over parts of a batch. Under data parallel, and
    where steps accumulate, it is the mean of the losses of the parts.

    Args:
        feature_dim: D.
        embedding_dim: channels of z.
        temperature: t.
        max_anchors: rows compared with one another.

    Source: Wang et al., "Exploring Cross-Image Pixel Contrast for Semantic Segmentation", ICCV 2021, and its
    released code (``PixelContrastLoss``). Departures: no memory bank; no batch norm between the linear
    layers; anchors are drawn from each class of the batch, there from each class of each image that has more
    than 100 pixels there; anchors without a positive are left out.
    """

    local = True

    def __init__(
        self,
        feature_dim: int,
        *,
        embedding_dim: int = 256,
        temperature: float = 0.1,
        max_anchors: int = 1024,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive; got {temperature}.")
        if max_anchors < 2:
            raise ValueError(f"max_anchors must be at least 2, for a pair; got {max_anchors}.")
        self.temperature, self.max_anchors = temperature, max_anchors
        self.hidden = nn.Linear(feature_dim, feature_dim)
        self.embed = nn.Linear(feature_dim, embedding_dim)

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        with torch.no_grad():
            wrong = rows.logits.argmax(1) != rows.labels
            anchors = draw_anchors(rows.labels, wrong, rows.num_classes, self.max_anchors)
        hidden = F.relu(_linear(self.hidden, rows.features[anchors]))
        embedded = F.normalize(_linear(self.embed, hidden), dim=1)
        return {"loss": contrast(embedded, rows.labels[anchors], self.temperature)}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return sums["loss"]


def contrast(embedded: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss of (M, E) unit vectors with (M,) labels; 0, connected, where no two are of a class."""
    similarity = embedded @ embedded.T / temperature
    same = labels[:, None] == labels[None]
    pushes = similarity.masked_fill(same, _NOTHING)
    pushed = torch.logsumexp(pushes, dim=1) if len(labels) else similarity.sum(1)
    positive = same.clone().fill_diagonal_(False)
    number = positive.sum(1)
    costs = F.softplus(pushed[:, None] - similarity).masked_fill(~positive, 0.0).sum(1)
    mean = (costs / number.clamp(min=1)).sum() / (number > 0).sum().clamp(min=1)
    return temperature / BASE_TEMPERATURE * mean


def draw_anchors(labels: Tensor, wrong: Tensor, num_classes: int, max_anchors: int) -> Tensor:
    """(min(N, max_anchors),) int64 rows: as many of each class as can be, half of them wrong ones.

    Args:
        labels: (N,) int64, all of them 0..K-1.
        wrong: (N,) bool, rows that are hard at the moment.
        num_classes: K.
        max_anchors: how many to draw. The host does not learn how many there are of what.
    """
    kind = 2 * labels + ~wrong
    luck = torch.rand(len(labels), dtype=torch.float64, device=labels.device)
    among_kind = _rank(kind, luck, 2 * num_classes)
    # Wrong and right in turn, and when one of them has come to its end the rest of the other.
    turn = 2 * among_kind + ~wrong
    among_class = _rank(labels, turn.double() / (2 * len(labels) + 2), num_classes)
    number = min(len(labels), max_anchors)
    return among_class.topk(number, largest=False).indices


def _rank(groups: Tensor, order: Tensor, num_groups: int) -> Tensor:
    """(N,) int64 place of each row within its group by rising ``order`` in [0, 1)."""
    sorted_rows = (groups + order).argsort()
    counts = class_counts(groups, num_groups, dtype=torch.int64)
    starts = counts.cumsum(0) - counts
    places = torch.arange(len(groups), device=groups.device) - starts[groups[sorted_rows]]
    return torch.empty_like(places).index_copy_(0, sorted_rows, places)


def _linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    return F.linear(rows, layer.weight.to(rows.dtype), layer.bias.to(rows.dtype))


class PixelContrastConfig(LossConfig):
    """Options of :class:`PixelContrast`, which stands beside a classification loss; released weight."""

    trains_classifier: ClassVar[bool] = False

    type: Literal["pixel_contrast"] = "pixel_contrast"
    weight: float = Field(default=0.1, ge=0)
    embedding_dim: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.1, gt=0)
    max_anchors: int = Field(default=1024, ge=2)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> PixelContrast:
        return PixelContrast(
            feature_channels,
            embedding_dim=self.embedding_dim,
            temperature=self.temperature,
            max_anchors=self.max_anchors,
        )
