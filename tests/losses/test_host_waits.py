"""No loss and no head waits for its device, but for those that are listed here with the reason."""

from collections.abc import Callable

import pytest
import torch
from host_waits import HostWaits

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import HEADS, LOSSES
from pointseg.losses.base import BranchTerms
from pointseg.losses.ignored_probability import IgnoredProbability
from pointseg.losses.objective import Objective
from pointseg.models.suppression import ClassSuppressionHead

K, D = 5, 6
SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * K, distinct_colors(K))

#: Options beside the defaults of each loss that take another way.
OPTIONS = [
    ("cross_entropy", {"class_weights": "log"}),
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("ceco", {"projection": "none", "prior": "none"}),
    ("ceco", {"projection": "learned"}),
    ("ceco", {"center_scope": "scene"}),
    ("tilted", {"level": "row", "row_loss": "pat"}),
    ("tilted", {"level": "scene", "solver": "running_weights"}),
    ("tilted", {"level": "hierarchical", "exponent": 1.0}),
    ("tilted", {"solver": "group_sampling", "sampled_classes": 2}),
    ("tilted", {"anneal": 1.0}),
    ("pat", {"homogenize": "none"}),
    ("pat", {"homogenize": "mean", "counts": "samples"}),
    ("dice", {"exponent": 1}),
    ("focal", {"class_weights": {"power": -1}}),
    ("ldam", {"drw_start": 0.0}),
    ("region_classifier", {"scope": "sample"}),
    ("top_k", {"threshold": 0.7}),
    ("spatial_class_balanced", {"context": "density"}),
    ("pixel_contrast", {"max_anchors": 4}),
]
#: How often a forward and backward pass waits, and why that is so.
WAITS = {
    # Sorts the rows once for each class that is present; to sort for all classes costs more than the wait.
    "lovasz": 1,
}
#: Reads random numbers of the host, which lie there: no wait, though on a CPU it looks like one.
HOSTS_OWN = "suppression.py:_drawn_by_host"
MakeRows = Callable[..., Supervised]


def waits_of(objective: Objective, rows: Supervised) -> HostWaits:
    with HostWaits() as waits:
        loss, _ = objective.float()(rows)
        loss.backward()
    return waits


def places_of_head(waits: HostWaits) -> set[str]:
    return set(waits.places) - {HOSTS_OWN}


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in LOSSES), *OPTIONS], ids=lambda value: str(value)
)
def test_a_loss_waits_as_often_as_it_is_listed_to(
    name: str, options: dict[str, object], statistics: ClassStatistics, make_rows: MakeRows
) -> None:
    term = LOSSES[name](**options).build(statistics, label_space=SPACE, feature_channels=D)
    waits = waits_of(Objective({name: term}, {name: 1.0}), make_rows(dtype=torch.float32))
    assert waits.places.total() == WAITS.get(name, 0), waits.places


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].trains_classifier])
def test_branches_that_ignore_classes_cost_no_wait_of_their_own(
    name: str, statistics: ClassStatistics, make_rows: MakeRows
) -> None:
    def build():  # type: ignore[no-untyped-def]
        return LOSSES[name]().build(statistics, label_space=SPACE, feature_channels=D)

    both = BranchTerms([build(), build()])
    waits = waits_of(
        Objective({name: both, "penalty": IgnoredProbability()}, {name: 1.0, "penalty": 1.0}),
        make_rows(dtype=torch.float32, branches=2),
    )
    assert waits.places.total() == 2 * WAITS.get(name, 0), waits.places


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_head_does_not_wait_where_the_signs_of_features_are_known(name: str, nonnegative: bool) -> None:
    head = HEADS[name]().build(D, K)
    head.nonnegative = nonnegative
    features = torch.randn(24, D).abs() if nonnegative else torch.randn(24, D)
    with HostWaits() as waits:
        prediction = head(features.requires_grad_(), torch.arange(24) % K, 1.0)
        loss = prediction.logits.square().sum()
        for branch in prediction.branches[1:]:
            assert name != "class_suppression" or (branch.ignored is not None and len(branch.ignored) > 0)
            loss = loss + branch.logits.square().sum()
        loss.backward()
    assert places_of_head(waits) == set()


def test_a_head_that_draws_from_the_classes_of_a_batch_asks_for_them_in_one_copy() -> None:
    head = ClassSuppressionHead(D, K, sample_from="present")
    head.nonnegative = True
    with HostWaits() as waits:
        head(torch.rand(24, D), torch.arange(24) % K, 1.0)
    # On a CPU there is nothing to copy, so that one wait is not seen here; nor is there another one.
    assert places_of_head(waits) == set()


def test_a_head_that_does_not_know_the_signs_of_its_features_looks_once() -> None:
    head = ClassSuppressionHead(D, K)
    with HostWaits() as waits:
        head(torch.rand(24, D), None, 1.0)
    assert places_of_head(waits) == {"suppression.py:linear_of_gated"}
