"""The methods together in one experiment, and combinations that make no sense."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pointseg.config import ConfigError, load_config
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import drop_unlabelled
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import Experiment
from pointseg.losses.objective import Objective
from pointseg.models.heads import Head

K, D = 5, 6
SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * K, distinct_colors(K))
LABELS = torch.tensor([0, 1, 1, -100, 2, 0, 4, 4, 0, 0])


def experiment(head: dict[str, Any] | None = None, **losses: dict[str, Any]) -> Experiment:
    given = {"data": {"path": "store"}, "train": {"steps": 1}, "losses": losses}
    return load_config(Experiment, None, data=given if head is None else {**given, "head": head})


def built(made: Experiment) -> tuple[Head, Objective]:
    torch.manual_seed(0)
    objective = made.build_objective(
        ClassStatistics.uniform(K), label_space=SPACE, feature_channels=D
    ).double()
    return made.head.build(D, K).double(), objective


def step(head: Head, objective: Objective, progress: float) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Total, parts, and the gradient of the features."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(10, D, dtype=torch.float64, generator=generator).requires_grad_()
    prediction = head(features, LABELS, progress)
    supervised = drop_unlabelled(
        prediction.branches,
        LABELS,
        torch.arange(10) // 5,
        num_samples=2,
        features=prediction.features,
        classifier_weight=prediction.classifier_weight,
        progress=progress,
    )
    total, parts = objective(supervised)
    total.backward()
    assert features.grad is not None
    return total.detach(), parts, features.grad


ALL_FOUR = {
    "head": {"type": "class_suppression", "num_dropped": 2, "alpha": 3.0},
    "main": {"type": "tilted", "row_loss": "pat", "solver": "running_weights"},
    "center": {"type": "ceco"},
}


def test_all_four_methods_make_one_experiment() -> None:
    head, objective = built(experiment(**ALL_FOUR))
    total, parts, gradient = step(head, objective, progress=1.0)
    assert set(parts) == {"main", "center", "suppression"}
    expected = parts["main"] + 0.4 * parts["center"] + parts["suppression"]
    torch.testing.assert_close(total, expected)
    assert 0 < float(parts["suppression"]) < 3.0
    assert bool(gradient.isfinite().all()) and bool(gradient[LABELS >= 0].any(1).all())
    assert all(p.grad is not None for p in head.parameters())


def test_it_trains_head_and_features_at_every_progress() -> None:
    head, objective = built(experiment(**ALL_FOUR))
    optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
    totals = []
    for number in range(60):
        optimizer.zero_grad()
        total, _, _ = step(head, objective, progress=min(0.5, number / 60))
        optimizer.step()
        totals.append(float(total))
    assert sum(totals[-10:]) < sum(totals[:10])


def test_both_branches_keep_their_running_state_in_the_checkpoint() -> None:
    head, objective = built(experiment(**ALL_FOUR))
    step(head, objective, progress=0.9)
    state = objective.state_dict()
    plain, dropped = (value for key, value in state.items() if key.endswith("estimate"))
    assert bool(plain.isfinite()) and bool(dropped.isfinite()) and float(plain) != float(dropped)


@pytest.mark.parametrize("main", ["cross_entropy", "pat", "tilted"])
def test_at_the_start_the_head_changes_no_classification_loss(main: str) -> None:
    head, objective = built(experiment({"type": "class_suppression"}, main={"type": main}))
    _, plain_objective = built(experiment(main={"type": main}))
    parts = step(head, objective, progress=0.0)[1]
    head.zero_grad()
    expected = step(head, plain_objective, progress=0.0)[1]
    torch.testing.assert_close(parts["main"], expected["main"], rtol=1e-14, atol=0)
    assert float(parts["suppression"]) == 0.0


@pytest.mark.parametrize(
    ("head", "losses", "message"),
    [
        (
            "linear",
            {"main": None, "center": {"type": "ceco"}},
            "center would leave the classifier untrained",
        ),
        (
            "linear",
            {"main": {"type": "cross_entropy", "weight": 0}, "center": {"type": "ceco"}},
            "classifier untrained",
        ),
        ("class_suppression", {"suppression": {"type": "pat"}}, "choose another name"),
        (
            "linear",
            {"main": {"type": "tilted", "solver": "group_sampling", "level": "row"}},
            "needs level class",
        ),
        ("linear", {"main": {"type": "tilted", "t": float("nan")}}, "finite"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(
    head: str, losses: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment({"type": head}, **losses)


def test_a_simplex_that_does_not_fit_the_features_is_refused_when_the_classes_are_known() -> None:
    made = experiment(main={"type": "cross_entropy"}, center={"type": "ceco", "projection": "none"})
    with pytest.raises(ValueError, match="at least 4 dimensions; got 3"):
        made.build_objective(ClassStatistics.uniform(K), label_space=SPACE, feature_channels=3)


def test_more_dropped_classes_than_classes_are_refused_when_the_classes_are_known() -> None:
    made = experiment({"type": "class_suppression", "num_dropped": 5}, main={"type": "cross_entropy"})
    with pytest.raises(ValueError, match="fewer than the 5 classes; got 5"):
        made.head.build(D, K)
