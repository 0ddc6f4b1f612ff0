"""What every row of LOSSES must satisfy, whatever the method."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from losses.conftest import line_table
from torch import Tensor

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import IGNORE, Supervised, drop_unlabelled
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import LOSSES
from pointseg.losses.base import LossTerm
from pointseg.losses.context_distillation import ContextDistillation
from pointseg.losses.ignored_probability import IgnoredProbability
from pointseg.losses.objective import Objective

K, D = 5, 6
SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * K, distinct_colors(K))
MakeRows = Callable[..., Supervised]


@pytest.fixture(params=LOSSES)
def term(request: pytest.FixtureRequest, statistics: ClassStatistics) -> LossTerm:
    """Each method with its default options, in float64."""
    torch.manual_seed(0)
    return LOSSES[request.param]().build(statistics, label_space=SPACE, feature_channels=D).double()


def value(term: LossTerm, rows: Supervised) -> Tensor:
    """The loss from the same state and the same random numbers each time."""
    torch.manual_seed(3)
    return copy.deepcopy(term).of(rows)


def objective(term: LossTerm) -> Objective:
    return Objective({"only": term}, {"only": 2.0})


def with_logits(rows: Supervised, change: Callable[[Tensor], Tensor]) -> Supervised:
    """The rows with the logits of each branch changed."""
    branches = tuple(replace(branch, logits=change(branch.logits)) for branch in rows.branches)
    return replace(rows, branches=branches)


def permuted(rows: Supervised, order: Tensor) -> Supervised:
    return replace(
        with_logits(rows, lambda logits: logits[order]),
        labels=rows.labels[order],
        sample=rows.sample[order],
        features=rows.features[order],
        surroundings=rows.surroundings and rows.surroundings[order],
    )


def test_the_loss_is_one_finite_number(term: LossTerm, make_rows: MakeRows) -> None:
    loss = value(term, make_rows())
    assert loss.shape == () and bool(torch.isfinite(loss))


def test_a_step_against_the_gradient_lowers_the_loss(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows(branches=2 if isinstance(term, IgnoredProbability | ContextDistillation) else 1)
    loss = value(term.eval(), rows)
    loss.backward()
    assert rows.classifier_weight is not None
    inputs = [*(branch.logits for branch in rows.branches), rows.features, rows.classifier_weight]
    assert any(bool(leaf.grad.any()) for leaf in inputs if leaf.grad is not None)

    def moved(leaf: Tensor) -> Tensor:
        return leaf if leaf.grad is None else leaf - 1e-3 * leaf.grad

    lower = replace(with_logits(rows, moved), features=moved(rows.features))
    lower = replace(lower, classifier_weight=moved(rows.classifier_weight))
    assert value(term, lower).item() < loss.item()


def test_the_order_of_rows_does_not_matter(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows()
    order = torch.randperm(len(rows.labels), generator=torch.Generator().manual_seed(1))
    # Without dropout: it hits rows by their place.
    torch.testing.assert_close(value(term.eval(), permuted(rows, order)), value(term.eval(), rows))


#: Losses that are no means over rows: a smoothing term, a number of misses that is assumed, counts of absent
#: classes taken for one, and pairs of rows, of which none is with itself.
COUNTING = {"dice", "recall", "seesaw", "pixel_contrast"}


@pytest.mark.parametrize("number", [1, 2, 24])
def test_every_row_twice_is_the_same_batch(
    term: LossTerm, number: int, make_rows: MakeRows, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["term"] in COUNTING:
        pytest.skip("counts rows")
    rows = make_rows(rows=number)
    twice = permuted(rows, torch.arange(number).repeat(2))
    torch.testing.assert_close(value(term.eval(), twice), value(term.eval(), rows))


def test_ignored_rows_change_nothing(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows()
    keep = torch.arange(len(rows.labels)) % 3 != 0

    def dropped(rows: Supervised) -> Supervised:
        return drop_unlabelled(
            rows.branches,
            torch.where(keep, rows.labels, IGNORE),
            rows.sample,
            num_samples=rows.num_samples,
            features=rows.features,
            classifier_weight=rows.classifier_weight,
            progress=rows.progress,
            table=line_table(rows.sample),
        )

    wild = with_logits(rows, lambda logits: torch.where(keep[:, None], logits, 1e6))
    torch.testing.assert_close(value(term, dropped(wild)), value(term, dropped(rows)))


def test_a_branch_without_some_classes_is_one_whose_rows_are_gone(
    term: LossTerm, make_rows: MakeRows, request: pytest.FixtureRequest
) -> None:
    """Masked rows of a classification loss cost nothing and push nothing, as if they were not there."""
    if not LOSSES[request.node.callspec.params["term"]].trains_classifier:
        pytest.skip("applied to no branch")
    term.eval()
    rows = make_rows(branches=2)
    masked = rows.of_branch(1)
    keep = rows.labels != 2
    picked = permuted(masked, torch.nonzero(keep).squeeze(1))
    loss = value(term, masked)
    torch.testing.assert_close(loss, value(term, picked))
    loss.backward()
    gradient = masked.features.grad if masked.logits.grad is None else masked.logits.grad
    assert gradient is not None
    assert bool(gradient[keep].any()) and not bool(gradient[~keep].any())


def test_an_empty_batch_gives_a_zero_that_is_connected(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows(rows=0)
    total, parts = objective(term)(rows)
    total.backward()
    assert total.item() == 0.0 and parts["only"].item() == 0.0
    assert rows.logits.grad is not None and rows.features.grad is not None
    assert all(p.grad is not None and not p.grad.any() for p in term.parameters())


def test_an_empty_batch_moves_no_state(term: LossTerm, make_rows: MakeRows) -> None:
    before = copy.deepcopy(term.state_dict())
    objective(term)(make_rows(rows=0))
    assert all(torch.equal(before[key], after) for key, after in term.state_dict().items())


def test_state_survives_a_round_trip(
    term: LossTerm, make_rows: MakeRows, statistics: ClassStatistics, request: pytest.FixtureRequest
) -> None:
    term.of(make_rows())
    other = LOSSES[request.node.callspec.params["term"]]()
    restored = other.build(statistics, label_space=SPACE, feature_channels=D).double()
    restored.load_state_dict(term.state_dict())
    rows = make_rows(rows=10)
    assert value(restored, rows).item() == value(term, rows).item()


def test_half_precision_rows_are_widened_first(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows(dtype=torch.bfloat16)
    total, _ = objective(term.float())(rows)
    assert total.dtype == torch.float32
    total.backward()
    assert bool(torch.isfinite(total))


def test_one_row_is_enough(term: LossTerm, make_rows: MakeRows) -> None:
    assert bool(torch.isfinite(value(term.eval(), make_rows(rows=1))))
