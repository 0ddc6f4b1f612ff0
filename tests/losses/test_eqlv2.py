"""EQLv2 against loops over rows and classes, with its gradient accounts."""

import math

import pytest
import torch

from pointseg.losses.eqlv2 import EqualizationLossV2

LOGITS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0] * 7 + [1] * 3)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_loops(positive: list[float], negative: list[float]) -> tuple[float, list[float], list[float]]:
    """Loss for given class weights, and the gradients that flow."""
    total, pulls, pushes = 0.0, [0.0] * 3, [0.0] * 3
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        for c, z in enumerate(row):
            if c == label:
                total -= positive[c] * math.log(sigmoid(z))
                pulls[c] += positive[c] * (1 - sigmoid(z))
            else:
                total -= negative[c] * math.log(1 - sigmoid(z))
                pushes[c] += negative[c] * sigmoid(z)
    return total / len(LABELS), pulls, pushes


def test_two_batches_equal_the_loops() -> None:
    loss = EqualizationLossV2(3)
    first, pulls, pushes = by_loops([1.0] * 3, [1.0] * 3)
    assert loss(LOGITS, LABELS).item() == pytest.approx(first, rel=1e-12)
    f = [sigmoid(12 * (g / n - 0.8)) for g, n in zip(pulls, pushes, strict=True)]
    second, *_ = by_loops([1 + 4 * (1 - x) for x in f], f)
    assert loss(LOGITS, LABELS).item() == pytest.approx(second, rel=1e-9)


def test_the_accounts_hold_the_weighted_gradients() -> None:
    loss = EqualizationLossV2(3)
    loss(LOGITS, LABELS)
    _, pulls, pushes = by_loops([1.0] * 3, [1.0] * 3)
    assert loss.positive.tolist() == pytest.approx(pulls, rel=1e-12)
    assert loss.negative.tolist() == pytest.approx(pushes, rel=1e-12)


def test_a_class_that_was_only_pushed_down_is_hardly_pushed_any_more() -> None:
    loss = EqualizationLossV2(3)
    loss(LOGITS, LABELS)
    positive, negative = loss.class_weights()
    assert negative[2].item() == pytest.approx(sigmoid(-9.6))
    assert positive[2].item() == pytest.approx(5, abs=1e-3)


def test_evaluation_leaves_the_accounts_alone() -> None:
    loss = EqualizationLossV2(3).eval()
    loss(LOGITS, LABELS)
    assert not loss.positive.any() and not loss.negative.any()


def test_the_gradient_is_exact() -> None:
    loss = EqualizationLossV2(3)
    loss(LOGITS, LABELS)
    loss.eval()
    assert torch.autograd.gradcheck(lambda z: loss(z, LABELS), [LOGITS.clone().requires_grad_()])


def test_accounts_of_rows_that_are_hardly_pushed_stay_small() -> None:
    loss = EqualizationLossV2(3)
    loss(LOGITS - 6, LABELS)
    # sigmoid(-6) is 0.0025: ten rows push a class by 0.1 or so, and that is what its account holds.
    pushes = [
        sum(sigmoid(row[c] - 6) for row, y in zip(LOGITS.tolist(), LABELS.tolist(), strict=True) if y != c)
        for c in range(3)
    ]
    assert max(pushes) < 0.5
    assert loss.negative.tolist() == pytest.approx(pushes, rel=1e-12)
