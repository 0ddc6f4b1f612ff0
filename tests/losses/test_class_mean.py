"""The class prior q_c ~ n_c^a, and class-mean cross entropy with it."""

import pytest
import torch
import torch.nn.functional as F

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.losses import ClassMeanCrossEntropy, ClassPrior
from pointseg.losses.class_mean import ClassMeanConfig
from pointseg.losses.cross_entropy import CrossEntropyConfig

ROWS = torch.tensor([4, 1, 0, 16])
LOGITS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 0, 0, 0, 1, -100, 1])
SPACE = LabelSpace("three", (1, 2, 3), tuple("abc"), ("",) * 3, distinct_colors(3))


@pytest.mark.parametrize(
    ("exponent", "shares"),
    [(0.0, [1 / 3, 1 / 3, 0, 1 / 3]), (0.5, [2 / 7, 1 / 7, 0, 4 / 7]), (1.0, [4 / 21, 1 / 21, 0, 16 / 21])],
)
def test_shares_go_with_a_power_of_the_rows(exponent: float, shares: list[float]) -> None:
    assert ClassPrior(exponent).of_rows(ROWS).tolist() == pytest.approx(shares)


def test_counts_of_the_training_set_take_the_place_of_the_rows_of_present_classes() -> None:
    prior = ClassPrior(-0.5, torch.tensor([100.0, 25.0, 1.0, 4.0]))
    assert prior.of_rows(ROWS).tolist() == pytest.approx([x / 0.8 for x in (0.1, 0.2, 0.0, 0.5)])


@pytest.mark.parametrize("exponent", [-8.0, 0.0, 40.0])
def test_extreme_exponents_and_empty_batches_are_finite(exponent: float) -> None:
    assert ClassPrior(exponent).of_rows(torch.tensor([1, 10**9])).sum().item() == pytest.approx(1.0)
    assert ClassPrior(exponent).of_rows(torch.tensor([0, 0])).tolist() == [0.0, 0.0]


def test_the_ends_are_the_mean_over_rows_and_the_mean_of_class_means() -> None:
    rows = F.cross_entropy(LOGITS, LABELS, reduction="none", ignore_index=-100)
    by_class = (rows[:4].mean() + rows[[4, 6]].mean()) / 2
    torch.testing.assert_close(ClassMeanCrossEntropy()(LOGITS, LABELS), by_class)
    by_row = ClassMeanCrossEntropy(ClassPrior(1.0))(LOGITS, LABELS)
    torch.testing.assert_close(by_row, F.cross_entropy(LOGITS, LABELS))


def test_it_is_weighted_cross_entropy_of_the_same_exponent_where_the_batch_is_the_training_set() -> None:
    statistics = ClassStatistics(torch.tensor([4, 2, 9]), torch.tensor([1, 1, 1]), 1)
    options = {"label_space": SPACE, "feature_channels": 1}
    weighted = CrossEntropyConfig(class_weights={"power": -0.5}).build(statistics, **options)  # type: ignore[arg-type]
    by_class = ClassMeanConfig(exponent=0.5).build(statistics, **options)  # type: ignore[arg-type]
    torch.testing.assert_close(weighted.double()(LOGITS, LABELS), by_class(LOGITS, LABELS))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="exponent must be a finite number"):
        ClassPrior(float("nan"))
    with pytest.raises(ValueError, match="counts must be positive"):
        ClassPrior(0.5, torch.tensor([1.0, 0.0]))
