"""BLV: how much the logits of each class vary."""

import math

import pytest
import torch
import torch.nn.functional as F

from pointseg.losses.blv import BalancingLogitVariation

COUNTS = torch.tensor([890.0, 100.0, 10.0])
LOGITS = torch.zeros(4, 3, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0])


def test_variation_grows_with_rarity_up_to_one() -> None:
    expected = [math.log(1000 / n) / math.log(100) for n in COUNTS.tolist()]
    assert BalancingLogitVariation(COUNTS).variation.tolist() == pytest.approx(expected, rel=1e-5)


def test_training_adds_clamped_noise_times_the_variation() -> None:
    loss = BalancingLogitVariation(COUNTS, sigma=4.0)
    torch.manual_seed(5)
    value = loss(LOGITS, LABELS)
    torch.manual_seed(5)
    noise = (4 * torch.randn(4, 3, dtype=torch.float64)).clamp(-1, 1).abs()
    torch.testing.assert_close(value, F.cross_entropy(LOGITS + noise * loss.variation.double(), LABELS))


def test_evaluation_adds_nothing() -> None:
    assert BalancingLogitVariation(COUNTS).eval()(LOGITS, LABELS).item() == pytest.approx(math.log(3))


def test_the_gradient_is_exact() -> None:
    loss = BalancingLogitVariation(COUNTS)

    def seeded(logits: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        value: torch.Tensor = loss(logits, LABELS)
        return value

    assert torch.autograd.gradcheck(seeded, [LOGITS.clone().requires_grad_()])


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        BalancingLogitVariation(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="at least 2 classes"):
        BalancingLogitVariation(torch.ones(1))
    with pytest.raises(ValueError, match="sigma"):
        BalancingLogitVariation(COUNTS, sigma=-1.0)
