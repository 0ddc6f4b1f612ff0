"""LDAM against its formula, and the moment when re-weighting begins."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.cross_entropy import class_weights
from pointseg.losses.ldam import LDAM, LDAMConfig

LOGITS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(9) % 3
COUNTS = torch.tensor([160_000.0, 10_000.0, 16.0])
SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * 5, distinct_colors(5))


def test_margins_fall_with_the_fourth_root_of_the_count() -> None:
    # (16 / 160000)^(1/4) = 0.1 and (16 / 10000)^(1/4) = 0.2.
    torch.testing.assert_close(LDAM(COUNTS).margins, torch.tensor([0.05, 0.1, 0.5]))


def test_each_row_costs_what_the_formula_says() -> None:
    margins = (0.05, 0.1, 0.5)
    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        own = math.exp(row[label] - 4 * margins[label])
        others = sum(math.exp(z) for c, z in enumerate(row) if c != label)
        expected -= math.log(own / (own + others)) / 9
    assert LDAM(COUNTS, scale=4.0)(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_exact() -> None:
    loss = LDAM(COUNTS, class_weights=torch.tensor([1.0, 2.0, 3.0]))
    assert torch.autograd.gradcheck(lambda z: loss(z, LABELS), [LOGITS.clone().requires_grad_()])


def test_reweighting_starts_at_its_share_of_the_training(
    make_rows: Callable[..., Supervised], statistics: ClassStatistics
) -> None:
    config = LDAMConfig(max_margin=0.0, drw_start=0.8, beta=0.99)
    term = config.build(statistics, label_space=SPACE, feature_channels=6)
    early, late = make_rows(progress=0.79), make_rows(progress=0.8)
    weights = class_weights(statistics, "class_balanced", beta=0.99).double()
    torch.testing.assert_close(term.of(early), F.cross_entropy(early.logits, early.labels))
    torch.testing.assert_close(term.of(late), F.cross_entropy(late.logits, late.labels, weight=weights))


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="counts must be positive"):
        LDAM(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="scale"):
        LDAM(COUNTS, scale=0.0)
    with pytest.raises(ValueError, match="class_weights must be 3 numbers"):
        LDAM(COUNTS, class_weights=torch.ones(2))
