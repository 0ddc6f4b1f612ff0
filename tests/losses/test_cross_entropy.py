"""Cross entropy and its class weights, against numbers known by hand."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.cross_entropy import ClassWeights, CrossEntropy, PowerWeights, class_weights

RESOURCES = Path(__file__).parents[2] / "pointseg" / "resources" / "scannet200"


def test_uniform_logits_cost_the_log_of_the_number_of_classes(make_rows: Callable[..., Supervised]) -> None:
    rows = make_rows()
    loss = CrossEntropy()(torch.zeros_like(rows.logits), rows.labels)
    assert float(loss) == pytest.approx(math.log(5))


def test_the_gradient_is_exact(make_rows: Callable[..., Supervised]) -> None:
    rows = make_rows(rows=6)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    term = CrossEntropy(label_smoothing=0.1, class_weights=weights)
    assert torch.autograd.gradcheck(lambda z: term(z, rows.labels), [rows.logits])


def test_weights_make_a_weighted_mean_over_rows() -> None:
    # Row 0 costs log 2, row 1 nothing: (3 log 2 + 1 * 0) / (3 + 1).
    logits = torch.tensor([[0.0, 0.0], [-100.0, 100.0]])
    loss = CrossEntropy(class_weights=torch.tensor([3.0, 1.0]))(logits, torch.tensor([0, 1]))
    assert float(loss) == pytest.approx(0.75 * math.log(2))


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    # -log p = 0 for the label and 200 for the other: 0.1 / 2 * 200.
    loss = CrossEntropy(label_smoothing=0.1)(torch.tensor([[100.0, -100.0]]), torch.tensor([0]))
    assert float(loss) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [
        ("none", 1.0),
        (PowerWeights(power=-1), 100.0),
        (PowerWeights(power=-0.5), 10.0),
        (PowerWeights(power=-1, count="samples"), 10.0),
        ("median_frequency", 10.0),
    ],
)
def test_ratio_of_the_weights_of_two_classes(kind: ClassWeights, ratio: float) -> None:
    # 100 times fewer points; in 10 times fewer samples, so 10 times fewer points a sample that has it.
    weights = class_weights(ClassStatistics(torch.tensor([1000, 10]), torch.tensor([10, 1]), 10), kind)
    assert float(weights[1] / weights[0]) == pytest.approx(ratio)
    assert float(weights.mean()) == pytest.approx(1.0)


def test_class_balanced_weights_follow_the_effective_number() -> None:
    # 1 - 0.5^1 = 0.5 and 1 - 0.5^2 = 0.75: the first weighs 1.5 times the second.
    weights = class_weights(
        ClassStatistics(torch.tensor([9, 9]), torch.tensor([1, 2]), 2), "class_balanced", beta=0.5
    )
    assert float(weights[0] / weights[1]) == pytest.approx(1.5)


def test_class_balanced_weights_keep_their_digits_near_beta_one() -> None:
    # beta -> 1 is the inverse frequency.
    counts = ClassStatistics(torch.tensor([9, 900]), torch.tensor([1, 100]), 100)
    weights = class_weights(counts, "class_balanced", beta=1 - 1e-12)
    assert float(weights[0] / weights[1]) == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize("beta", [0.0, 0.999])
def test_class_balanced_weights_of_many_points_are_equal(beta: float) -> None:
    counts = ClassStatistics(torch.tensor([10**8, 10**5]), torch.tensor([1, 1]), 1)
    assert class_weights(counts, "class_balanced", beta=beta, count="points").tolist() == [1.0, 1.0]


def test_only_the_unit_makes_effective_numbers_tell_head_from_tail() -> None:
    """ScanNet200's own frequencies: of its points nearly every class has more than 1 / (1 - beta)."""
    with (RESOURCES / "scannet200_frequency.csv").open() as file:
        rows = list(csv.DictReader(file))
    points = torch.tensor([max(1, int(float(row["points_trainval_est"]))) for row in rows])
    # Scenes of a class are not in the table; objects are of their order, and fewer than 10,000 too.
    samples = torch.tensor([max(1, int(float(row["instances_tsv"]))) for row in rows])
    groups = [row["group"] for row in rows]
    head, tail = (torch.tensor([g == name for g in groups]) for name in ("head", "tail"))
    statistics = ClassStatistics(points, samples, 1513)

    def ratio(count: str) -> float:
        weights = class_weights(statistics, "class_balanced", count=count)  # type: ignore[arg-type]
        return float(weights[tail].median() / weights[head].median())

    assert ratio("samples") > 1.9 > ratio("points")


def test_log_weights_are_bounded() -> None:
    weights = class_weights(ClassStatistics(torch.tensor([10**9, 1]), torch.tensor([1, 1]), 1), "log")
    assert float(weights[1] / weights[0]) == pytest.approx(math.log(2.02) / math.log(1.02), rel=1e-4)


@pytest.mark.parametrize("kind", [PowerWeights(power=-0.5), "median_frequency", "log", "class_balanced"])
def test_a_class_without_points_weighs_as_much_as_the_rarest(
    kind: ClassWeights, statistics: ClassStatistics
) -> None:
    weights = class_weights(statistics, kind)
    assert bool(torch.isfinite(weights).all())
    assert weights[3] == weights[4]


def test_weights_without_any_labelled_point_are_refused() -> None:
    nothing = ClassStatistics(torch.zeros(2).long(), torch.zeros(2).long(), 1)
    with pytest.raises(ValueError, match="labelled training points"):
        class_weights(nothing, PowerWeights(power=-1))


def test_weights_may_be_numbers_one_a_class_in_any_scale() -> None:
    statistics = ClassStatistics(torch.tensor([900, 90, 0]), torch.tensor([10, 9, 0]), 10)
    weights = class_weights(statistics, (1.0, 2.0, 6.0))
    assert weights.tolist() == pytest.approx([1 / 3, 2 / 3, 2.0])
    with pytest.raises(ValueError, match="class_weights: 2 numbers for 3 classes"):
        class_weights(statistics, (1.0, 2.0))
    with pytest.raises(ValueError, match="class_weights must be positive"):
        class_weights(statistics, (1.0, 2.0, -1.0))
