"""The losses of features once more, from their formulas, for the golden file; see reference.py.

Simplex and projection are given here, and not drawn as the losses draw theirs: what is compared is the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from losses import reference
from torch import Tensor

#: Channels of the released projection.
HIDDEN, EMBEDDED = 128, 512


def case(num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (24, K), with the labels and counts of the logits' case."""
    _, labels, counts = reference.case(num_classes)
    generator = torch.Generator().manual_seed(1000 + num_classes)
    return torch.randn(24, num_classes, generator=generator, dtype=torch.float64), labels, counts


def simplex(num_classes: int, dim: int) -> Tensor:
    """(K, dim) unit vectors along the corners: the centred axes, and nothing in what dimensions remain."""
    vectors = torch.zeros(num_classes, dim, dtype=torch.float64)
    for c in range(num_classes):
        vectors[c, :num_classes] = -1 / num_classes
        vectors[c, c] += 1
    return vectors * math.sqrt(num_classes / (num_classes - 1))


def projection(dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """(128, dim) first map, (512, 128) second map and its (512,) bias."""
    generator = torch.Generator().manual_seed(dim)

    def uniform(*shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1) / shape[-1] ** 0.5

    return uniform(HIDDEN, dim), uniform(EMBEDDED, HIDDEN), uniform(1, EMBEDDED)[0]


def _center_cost(centers: dict[int, Tensor], vectors: Tensor, log_prior: Tensor) -> Tensor:
    costs = []
    for c, center in centers.items():
        scores = 5 * vectors @ center / center.square().sum().sqrt() + log_prior
        costs.append(scores.exp().sum().log() - scores[c])
    return torch.stack(costs).mean()


def _log_prior(n: Tensor) -> Tensor:
    numbers = reference.samples(n)
    return (numbers / numbers.sum()).log()


def ceco(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    centers = {c: x[rows].mean(0) for c, rows in reference.rows_of(y).items()}
    return _center_cost(centers, simplex(len(n), x.shape[1]), _log_prior(n))


def ceco_noprior(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    centers = {c: x[rows].mean(0) for c, rows in reference.rows_of(y).items()}
    return _center_cost(centers, simplex(len(n), x.shape[1]), torch.zeros(len(n), dtype=torch.float64))


def ceco_frozen(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """Every row through the first map and the norm, as the released code does it; then the class means."""
    first, second, bias = projection(x.shape[1])
    rows = x[y != reference.IGNORED] @ first.T
    mean = rows.mean(0)
    deviation = ((rows - mean) ** 2).mean(0)
    normed = (x @ first.T - mean) / (deviation + 1e-5).sqrt()
    centers = {}
    for c, members in reference.rows_of(y).items():
        centers[c] = torch.clamp(second @ normed[members].mean(0) + bias, min=0)
    return _center_cost(centers, simplex(len(n), EMBEDDED), _log_prior(n))


def _dot_costs(x: Tensor, y: Tensor, lengths: dict[int, float]) -> Tensor:
    vectors, costs = simplex(x.shape[1], x.shape[1]), []
    for c, rows in reference.rows_of(y).items():
        for i in rows.tolist():
            direction = x[i] / x[i].square().sum().sqrt()
            costs.append((lengths[c] * (direction * vectors[c]).sum() - lengths[c]) ** 2 / 2)
    return torch.stack(costs).mean()


def dot_regression(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """Class vectors of the lengths sqrt(gamma / n_c), gamma the mean number of rows of a class."""
    numbers = {c: len(rows) for c, rows in reference.rows_of(y).items()}
    gamma = sum(numbers.values()) / len(numbers)
    return _dot_costs(x, y, {c: math.sqrt(gamma / number) for c, number in numbers.items()})


def dot_regression_rows(x: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return _dot_costs(x, y, dict.fromkeys(reference.rows_of(y), 1.0))


Reference = Callable[[Tensor, Tensor, Tensor], Tensor]
#: As LOSSES there: name -> the loss here, its type there, and the options that make them the same.
LOSSES: dict[str, tuple[Reference, str, dict[str, object]]] = {
    "ceco": (ceco, "ceco", {"projection": "none", "dropout": 0.0}),
    "ceco_noprior": (ceco_noprior, "ceco", {"projection": "none", "dropout": 0.0, "prior": "none"}),
    "ceco_frozen": (ceco_frozen, "ceco", {"dropout": 0.0}),
    "dot_regression": (dot_regression, "dot_regression", {}),
    "dot_regression_rows": (dot_regression_rows, "dot_regression", {"exponent": 1.0}),
}


def golden(name: str, num_classes: int) -> tuple[float, Tensor]:
    """Value of a loss, and (24, 3) products of its gradient with the probes."""
    features, labels, counts = case(num_classes)
    features.requires_grad_()
    value = LOSSES[name][0](features, labels, counts)
    (gradient,) = torch.autograd.grad(value, features)
    return float(value.detach()), gradient @ reference.probes(num_classes)
