"""Focal loss against its formula, row by row."""

import math

import pytest
import torch

from pointseg.losses.focal import FocalLoss

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(12) % 4


def test_each_row_costs_what_the_formula_says() -> None:
    alpha = torch.tensor([1.0, 2.0, 0.5, 4.0], dtype=torch.float64)
    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        p = math.exp(row[label]) / sum(math.exp(z) for z in row)
        expected -= float(alpha[label]) * (1 - p) ** 1.5 * math.log(p) / 12
    assert FocalLoss(1.5, alpha=alpha)(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_a_row_of_probability_a_half_costs_a_quarter_of_its_cross_entropy() -> None:
    assert FocalLoss(2.0)(torch.zeros(1, 2), torch.tensor([0])).item() == pytest.approx(math.log(2) / 4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_is_exact(gamma: float) -> None:
    assert torch.autograd.gradcheck(lambda z: FocalLoss(gamma)(z, LABELS), [LOGITS.clone().requires_grad_()])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_row_that_is_certain_has_no_gradient_and_no_nan(gamma: float) -> None:
    logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
    FocalLoss(gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None and logits.grad.tolist() == [[0.0, 0.0]]


def test_a_weight_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha must be positive finite numbers"):
        FocalLoss(alpha=torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss(-1)
