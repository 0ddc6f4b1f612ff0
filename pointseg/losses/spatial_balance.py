"""Class-balanced cross entropy whose rows weigh more by what lies around them: Boundary-CB and Density-CB."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.core.surroundings import Surroundings, pixel_table
from pointseg.losses.base import LossConfig, Sums
from pointseg.losses.cross_entropy import class_weights
from pointseg.losses.facts import BatchFacts
from pointseg.losses.prior import CountUnit
from pointseg.losses.row_loss import RowLoss
from pointseg.losses.softmax_rows import row_cross_entropy

Context = Literal["boundary", "density"]


class SpatialClassBalanced(RowLoss):
    """sum_i w_i CE_i / sum_i w_i with w_i = b_y (1 + strength c_i): class weights b, context c in [0, 1].

    The T cells around a row are 3 x 3 x 3 voxels or 3 x 3 pixels, its own in the middle. ``boundary``: c is
    the entropy of the classes that are predicted in those of them that hold a labelled row, over log min(K,
    T): 0 where all agree. ``density``: c is the share of them that is empty, so that sparsely scanned places
    weigh more; of images none is empty, and nothing is left but the class weights. c is held constant.

    Args:
        class_weights: (K,) b.
        context: c.
        strength: 0 leaves class-balanced cross entropy.
        ignore_index: label of rows to leave out.

    Shapes: as all losses of rows; rows (N, K) need ``surroundings`` when called.

    Source: a reconstruction of Yin et al., "Resolving Primitive-Sharing Ambiguity in Long-Tailed Industrial
    Point Cloud Segmentation via Spatial Context Constraints", arXiv 2601.19128, of which no code is public.
    Its abstract names an entropy-based weight for inconsistent predictions of a neighbourhood and one for
    low density, both on top of class-balanced weights. The cells for its neighbourhoods, the entropy of hard
    predictions, both normalisations, 1 + strength c and the mean by weights are assumed here.
    """

    needs_surroundings = True

    class_weights: Tensor

    def __init__(
        self,
        class_weights: Tensor,
        *,
        context: Context = "boundary",
        strength: float = 1.0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(num_classes=len(class_weights), ignore_index=ignore_index)
        if context not in ("boundary", "density"):
            raise ValueError(f"context must be boundary or density; got {context!r}.")
        if not (math.isfinite(strength) and strength >= 0):
            raise ValueError(f"strength must be 0 or more; got {strength}.")
        self.context, self.strength = context, strength
        self.register_buffer("class_weights", class_weights)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        sample: Tensor | None = None,
        *,
        surroundings: Surroundings | None = None,
    ) -> Tensor:
        """Scalar loss; images (B, K, H, W) know their surroundings themselves.

        Raises:
            ValueError: for rows without surroundings.
        """
        rows = self.as_supervised(logits, labels, sample)
        if surroundings is None and labels.ndim == 3:
            every = torch.arange(labels.numel(), device=labels.device)
            surroundings = Surroundings.of(pixel_table(*labels.shape, device=labels.device), every)
        return self.of(replace(rows, surroundings=surroundings))

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        weight = self.row_weights(rows)
        return {"loss": (weight * row_cross_entropy(rows.logits, rows.labels)).sum(), "mass": weight.sum()}

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        mass = sums["mass"]
        return sums["loss"] / torch.where(mass > 0, mass, 1)

    @torch.no_grad()
    def row_weights(self, rows: Supervised) -> Tensor:
        """(N,) w; 0 for rows whose label is IGNORE."""
        around = rows.surroundings
        if around is None:
            raise ValueError(
                f"A {self.context} weight needs what lies around each row; call with images (B, K, H, W), or "
                "give surroundings=Surroundings(neighbours, occupied)."
            )
        labelled = rows.labels >= 0
        weight = self.class_weights.to(rows.logits.dtype)[rows.labels.clamp(min=0)] * labelled
        if self.context == "density":
            context = 1 - around.occupied.to(weight.dtype) / around.neighbours.shape[1]
        else:
            predicted = torch.where(labelled, rows.logits.argmax(1), -1)
            context = disagreement(predicted, around.neighbours, rows.num_classes).to(weight.dtype)
        return weight * (1 + self.strength * context)


def disagreement(predicted: Tensor, neighbours: Tensor, num_classes: int) -> Tensor:
    """(N,) entropy of the classes in the cells around each row, over log min(K, T): from 0 to 1.

    Args:
        predicted: (N,) int64 class of each row; negative for rows that do not count.
        neighbours: (N, T) int32 rows in the cells, -1 for none.
        num_classes: K.
    """
    # The spare class of what is no row.
    padded = torch.nn.functional.pad(predicted.int(), (0, 1), value=-1)
    cells = [padded[column.long()] for column in neighbours.unbind(dim=1)]
    number = torch.stack([cell >= 0 for cell in cells]).sum(0).clamp(min=1).double()
    entropy = torch.zeros_like(number)
    for one in cells:
        # In how many cells the class of this one is; each class is met as often, so the sum is over classes.
        alike = torch.stack([one == other for other in cells]).sum(0)
        entropy -= torch.where(one >= 0, (alike / number).log(), 0.0) / number
    return entropy / math.log(max(2, min(num_classes, len(cells))))


class SpatialClassBalancedConfig(LossConfig):
    """Options of :class:`SpatialClassBalanced`.

    Args:
        context, strength: see there.
        beta, count: of the class-balanced weights, as of ``cross_entropy``.
    """

    type: Literal["spatial_class_balanced"] = "spatial_class_balanced"
    context: Context = "boundary"
    strength: float = Field(default=1.0, ge=0)
    beta: float = Field(default=0.9999, ge=0, lt=1)
    count: CountUnit = "samples"

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> SpatialClassBalanced:
        weights = class_weights(statistics, "class_balanced", beta=self.beta, count=self.count)
        return SpatialClassBalanced(weights, context=self.context, strength=self.strength)
