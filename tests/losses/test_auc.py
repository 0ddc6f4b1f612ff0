"""The square AUC loss against loops over pairs of rows; the constraint on class vectors."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pointseg.core.rows import Supervised
from pointseg.losses import SquareAUC
from pointseg.losses.weight_constraint import WeightConstraint

LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 0])
LOGITS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_loops(margin: float) -> float:
    scores, total = LOGITS.sigmoid().tolist(), []
    for i, j in itertools.permutations((0, 1, 3), 2):
        pairs = itertools.product(
            [r for r in range(7) if LABELS[r] == i], [r for r in range(7) if LABELS[r] == j]
        )
        costs = [(margin - scores[a][i] + scores[b][i]) ** 2 / 2 for a, b in pairs]
        total.append(sum(costs) / len(costs))
    return sum(total) / len(total)


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_it_is_the_mean_over_pairs_of_rows_of_pairs_of_classes(margin: float) -> None:
    assert SquareAUC(margin)(LOGITS, LABELS).item() == pytest.approx(by_loops(margin))


def test_its_gradient_is_exact_and_one_class_alone_costs_nothing() -> None:
    assert torch.autograd.gradcheck(lambda z: SquareAUC()(z, LABELS), LOGITS.clone().requires_grad_())
    assert SquareAUC()(LOGITS[:2], LABELS[:2]).item() == 0.0


def test_only_class_vectors_longer_than_the_mean_pay(make_rows: Callable[..., Supervised]) -> None:
    weight = torch.diag(torch.tensor([1.0, 2.0, 3.0, 2.0, 7.0])).double().requires_grad_()
    rows = replace(make_rows(), classifier_weight=weight)
    loss = WeightConstraint().of(rows)
    assert loss.item() == pytest.approx(4.0**2 / 5)
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum(1).tolist() == pytest.approx([0, 0, 0, 0, 2 * 4.0 / 5])
