"""Neural-collapse diagnostics: how tight classes are, how evenly they stand, how they meet the classifier.

At full collapse NC1 and NC2 are 0 and NC3 is 1. In a long tail it is the rare classes that fall short, so
every number is given for all classes and for each group.

Source: Papyan, Han, Donoho, "Prevalence of neural collapse during the terminal phase of deep learning
training", PNAS 2020. Departures: NC1 is the ratio of traces, tr(W) / tr(B), not tr(W B^+) / K, so that no
D x D matrix is kept and each class has a value; NC3 is a mean cosine, so that each class has one too. Classes
weigh the same, frequent or rare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pointseg.core.labels import GROUPS, LabelSpace

#: Rows that are held in float64 at once.
CHUNK_ROWS = 16_384


class CollapseSums:
    """Sums over the labelled rows of any number of batches: all that the diagnostics need to know of them.

    Args:
        num_classes: K.
        feature_dim: D.
        device: where the sums are kept.
    """

    def __init__(self, num_classes: int, feature_dim: int, device: torch.device | str = "cpu") -> None:
        self.num_classes, self.feature_dim = num_classes, feature_dim
        # One block, so that processes add theirs up in one go: rows, squared norms, features, logit
        # gradients.
        self.values = torch.zeros(
            num_classes, 2 + feature_dim + num_classes, dtype=torch.float64, device=device
        )

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            features: (N, D) embedding before the classifier.
            logits: (N, K).
            labels: (N,) train index; rows outside 0..K-1 are left out.
        """
        for begin in range(0, len(labels), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            keep = (labels[part] >= 0) & (labels[part] < self.num_classes)
            target = labels[part][keep]
            # In float64: a variance is a small difference of large sums.
            embedded = features[part][keep].double()
            gradient = logits[part][keep].double().softmax(dim=1)
            gradient.scatter_add_(1, target[:, None], gradient.new_full((len(target), 1), -1.0))
            columns = [torch.ones_like(embedded[:, :1]), embedded.square().sum(1, keepdim=True)]
            self.values.index_add_(0, target, torch.cat([*columns, embedded, gradient], dim=1))

    @property
    def counts(self) -> Tensor:
        """(K,) rows of each class."""
        return self.values[:, 0]

    @property
    def squares(self) -> Tensor:
        """(K,) sum of the squared norms of the features."""
        return self.values[:, 1]

    @property
    def sums(self) -> Tensor:
        """(K, D) sum of the features."""
        return self.values[:, 2 : 2 + self.feature_dim]

    @property
    def gradients(self) -> Tensor:
        """(K, K) sum of the gradients of the cross entropy with respect to the logits, class by logit."""
        return self.values[:, 2 + self.feature_dim :]


@dataclass(frozen=True)
class GroupCollapse:
    """The diagnostics of a set of classes; None where it has too few classes with rows.

    Args:
        nc1: mean over classes of the variance within the class, divided by the variance of the class centers.
        nc2_centers: standard deviation of the cosines between class centers, taken from their mean.
        nc2_classifier: the same of the rows of the classifier.
        nc3: mean over classes of the cosine between center and classifier row, each taken from its mean.
        gradient_norm: mean over classes of the norm of the class's mean cross-entropy gradient at the logits.
        num_classes: classes with rows.
    """

    nc1: float | None
    nc2_centers: float | None
    nc2_classifier: float | None
    nc3: float | None
    gradient_norm: float | None
    num_classes: int


@dataclass(frozen=True)
class CollapseReport:
    """Diagnostics of all classes and of each group, and the gradient norm of each class.

    Args:
        groups: ``all`` and, where the label set has groups, ``head``, ``common``, ``tail``.
        gradient_norm: K numbers; None for classes without rows.
    """

    groups: Mapping[str, GroupCollapse]
    gradient_norm: tuple[float | None, ...]

    @classmethod
    def from_sums(
        cls, sums: CollapseSums, classifier_weight: Tensor | None, label_space: LabelSpace
    ) -> CollapseReport:
        """Compute the report.

        Args:
            sums: of all batches of all processes.
            classifier_weight: (K, D), or None for a head without one; NC2 of the classifier and NC3 are None
                then.
            label_space: the K classes and their groups.

        Raises:
            ValueError: if the classifier does not fit the sums.
        """
        space = (sums.num_classes, sums.feature_dim)
        if classifier_weight is not None and tuple(classifier_weight.shape) != space:
            raise ValueError(
                f"The classifier must be {space}, classes by features; got {tuple(classifier_weight.shape)}."
            )
        present = sums.counts > 0
        per_row = 1 / sums.counts.clamp(min=1)
        centers = sums.sums * per_row[:, None]
        within = (sums.squares * per_row - centers.square().sum(1)).clamp(min=0)
        centers = _from_mean(centers, present)
        between = centers[present].square().sum(1).mean()
        norms = (sums.gradients * per_row[:, None]).norm(dim=1)
        weight = None
        if classifier_weight is not None:
            weight = _from_mean(classifier_weight.detach().to(centers), present)
        members = {"all": list(range(label_space.num_classes))}
        if label_space.has_groups:
            members |= {group: label_space.group_indices(group).tolist() for group in GROUPS}
        groups = {
            name: _of_classes(
                torch.tensor(classes, dtype=torch.int64, device=present.device),
                present,
                within / between,
                centers,
                weight,
                norms,
            )
            for name, classes in members.items()
        }
        by_class = zip(norms.tolist(), present.tolist(), strict=True)
        return cls(groups, tuple(norm if there else None for norm, there in by_class))

    def to_dict(self) -> dict[str, Any]:
        """A form for JSON."""
        groups: dict[str, Any] = {name: asdict(group) for name, group in self.groups.items()}
        return {**groups, "gradient_norm": list(self.gradient_norm)}


def _of_classes(
    classes: Tensor, present: Tensor, nc1: Tensor, centers: Tensor, weight: Tensor | None, norms: Tensor
) -> GroupCollapse:
    there = classes[present[classes]]
    nc3 = None
    if weight is not None:
        nc3 = _mean(F.cosine_similarity(centers[there], weight[there], dim=1))
    return GroupCollapse(
        nc1=_mean(nc1[there]),
        nc2_centers=_spread_of_cosines(centers[there]),
        nc2_classifier=None if weight is None else _spread_of_cosines(weight[there]),
        nc3=nc3,
        gradient_norm=_mean(norms[there]),
        num_classes=len(there),
    )


def _from_mean(rows: Tensor, present: Tensor) -> Tensor:
    """Rows (K, D) minus the mean of those of the present classes."""
    return rows - rows[present].mean(0) if bool(present.any()) else rows


def _spread_of_cosines(rows: Tensor) -> float | None:
    """Standard deviation of the cosines between different rows; None for fewer than two."""
    if len(rows) < 2:
        return None
    directions = F.normalize(rows, dim=1)
    first, second = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    return float((directions @ directions.T)[first, second].std(correction=0))


def _mean(values: Tensor) -> float | None:
    """The mean; None for no value, or where one class alone has no variance between centers to divide by."""
    mean = float(values.mean()) if len(values) else math.nan
    return mean if math.isfinite(mean) else None


def print_collapse(report: CollapseReport, console: Console) -> None:
    """Print the diagnostics of all classes and of each group."""
    table = Table(title="Neural collapse (complete: NC1 = NC2 = 0, NC3 = 1)", title_justify="left")
    table.add_column("")
    for heading in (
        "NC1:\nwithin / between",
        "NC2:\ncenters",
        "NC2:\nclassifier",
        "NC3:\nalignment",
        "gradient\nnorm",
        "classes",
    ):
        table.add_column(heading, justify="right")
    for name, group in report.groups.items():
        values = (group.nc1, group.nc2_centers, group.nc2_classifier, group.nc3, group.gradient_norm)
        table.add_row(name, *("-" if v is None else f"{v:.3f}" for v in values), str(group.num_classes))
    console.print(table)
