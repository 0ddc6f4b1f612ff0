"""Soft Dice against loops over classes."""

import pytest
import torch

from pointseg.losses.dice import DiceLoss

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)


@pytest.mark.parametrize(("exponent", "smooth"), [(1, 0.0), (2, 1.0)])
def test_the_loss_equals_the_loops(exponent: int, smooth: float) -> None:
    probability = LOGITS.softmax(1)
    total = 0.0
    for c in (0, 1, 2):
        overlap = sum(float(p[c]) for p, y in zip(probability, LABELS, strict=True) if y == c)
        mass = sum(float(p[c]) ** exponent for p in probability)
        total += 1 - (2 * overlap + smooth) / (mass + int((c == LABELS).sum()) + smooth)
    loss = DiceLoss(exponent=exponent, smooth=smooth)(LOGITS, LABELS)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(total / 3, rel=1e-12)


def test_certain_predictions_cost_one_minus_the_mean_f1() -> None:
    predicted = LABELS.clone()
    predicted[0] = 1
    logits = 200.0 * torch.nn.functional.one_hot(predicted, 4).double()
    expected = 1 - (10 / 11 + 8 / 9 + 1) / 3
    assert DiceLoss(smooth=0.0)(logits, LABELS).item() == pytest.approx(expected)


def test_the_gradient_is_exact() -> None:
    assert torch.autograd.gradcheck(lambda z: DiceLoss()(z, LABELS), [LOGITS.clone().requires_grad_()])


@pytest.mark.parametrize("options", [{"exponent": 3}, {"smooth": -1.0}])
def test_a_mistake_is_named(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must"):
        DiceLoss(**options)  # type: ignore[arg-type]
