"""Bounds of weights, at values computed by hand: without the bound each of these numbers is another one."""

import math

import pytest
import torch

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.losses import PixelAdaptive, TiltedCrossEntropy
from pointseg.losses.adaptive import PixelAdaptiveConfig, adaptive_row_losses
from pointseg.losses.cross_entropy import class_weights
from pointseg.losses.tilted import TiltedCrossEntropyConfig

TWO = LabelSpace("two", (1, 2), ("sure", "wrong"), ("", ""), distinct_colors(2))
#: Two classes, one row each: a sure row of class 0 and one of class 1 that is 10 nats off.
LOGITS = torch.tensor([[10.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])
SURE, WRONG = math.log1p(math.exp(-10)), 10 + math.log1p(math.exp(-10))


@pytest.mark.parametrize(("cap", "exponent"), [(2.0, 2.0), (20.0, WRONG)])
def test_the_exponent_of_a_tilted_weight_is_capped(cap: float, exponent: float) -> None:
    tilted = TiltedCrossEntropy(1.0, stochastic=True, normalize=False, cap=cap).eval()
    tilted.estimate.fill_(0.0)
    expected = 0.5 * math.exp(SURE) * SURE + 0.5 * math.exp(exponent) * WRONG
    assert float(tilted(LOGITS, LABELS)) == pytest.approx(expected)


def test_the_cap_of_a_configuration_reaches_the_loss() -> None:
    config = TiltedCrossEntropyConfig(cap=3.0)
    term = config.build(ClassStatistics.uniform(2), label_space=TWO, feature_channels=1)
    assert term.tilted.cap == 3.0


@pytest.mark.parametrize("max_weight", [1.5, 100.0, 1e9])
def test_the_class_weight_of_pat_is_capped(max_weight: float) -> None:
    """Each class is one row, so its gradient norm is that of the row's loss."""
    norms, losses = [], []
    for row, label in zip(LOGITS, LABELS, strict=True):
        logits = row.clone().requires_grad_()
        loss = adaptive_row_losses(-torch.log_softmax(logits, 0)[label])
        norms.append(float(torch.autograd.grad(loss, logits)[0].norm()))
        losses.append(float(loss.detach()))
    weights = [min(sum(norms) / 2 / norm, max_weight) for norm in norms]
    expected = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / 2
    adaptive = PixelAdaptive(homogenize="gradient_norm", max_weight=max_weight)
    assert float(adaptive(LOGITS, LABELS)) == pytest.approx(expected)
    assert weights[0] == max_weight or max_weight == 1e9


def test_the_largest_weight_of_a_configuration_reaches_the_loss() -> None:
    config = PixelAdaptiveConfig(homogenize="gradient_norm", max_weight=3.0)
    term = config.build(ClassStatistics.uniform(2), label_space=TWO, feature_channels=1)
    (adaptive,) = [module for module in term.modules() if isinstance(module, PixelAdaptive)]
    assert adaptive.max_weight == 3.0


def test_class_weights_have_mean_one_over_the_classes_that_occur() -> None:
    """Shares 0.9 and 0.1 weigh 1 / 0.9 and 10; an absent class counts as the rarest and not in the mean."""
    statistics = ClassStatistics(torch.tensor([900, 100, 0]), torch.tensor([5, 5, 0]), 5)
    torch.testing.assert_close(class_weights(statistics, "inverse"), torch.tensor([0.2, 1.8, 1.8]))
