"""What every row of LOSSES must satisfy, whatever the method."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import IGNORE, Supervised, Suppressed, drop_unlabelled
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import LOSSES
from pointseg.losses.base import LossTerm, Objective

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
    return copy.deepcopy(term)(rows)


def objective(term: LossTerm) -> Objective:
    return Objective({"only": term}, {"only": 2.0})


def permuted(rows: Supervised, order: Tensor) -> Supervised:
    assert rows.suppressed is not None
    return replace(
        rows,
        logits=rows.logits[order],
        labels=rows.labels[order],
        sample=rows.sample[order],
        features=rows.features[order],
        suppressed=Suppressed(rows.suppressed.logits[order], rows.suppressed.dropped),
    )


def test_the_loss_is_one_finite_number(term: LossTerm, make_rows: MakeRows) -> None:
    loss = value(term, make_rows())
    assert loss.shape == () and bool(torch.isfinite(loss))


def test_a_step_against_the_gradient_lowers_the_loss(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows()
    loss = value(term.eval(), rows)
    (gradient,) = torch.autograd.grad(loss, rows.logits, allow_unused=True)
    if gradient is None:
        (gradient,) = torch.autograd.grad(value(term, rows), rows.features)
        lower = replace(rows, features=rows.features - 1e-3 * gradient)
    else:
        lower = replace(rows, logits=rows.logits - 1e-3 * gradient)
    assert bool(gradient.abs().sum() > 0)
    assert value(term, lower).item() < loss.item()


def test_the_order_of_rows_does_not_matter(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows()
    order = torch.randperm(len(rows.labels), generator=torch.Generator().manual_seed(1))
    # Without dropout: it hits rows by their place.
    torch.testing.assert_close(value(term.eval(), permuted(rows, order)), value(term.eval(), rows))


def test_ignored_rows_change_nothing(term: LossTerm, make_rows: MakeRows) -> None:
    rows = make_rows()
    assert rows.suppressed is not None
    keep = torch.arange(len(rows.labels)) % 3 != 0

    def dropped(logits: Tensor) -> Supervised:
        return drop_unlabelled(
            logits,
            torch.where(keep, rows.labels, IGNORE),
            rows.sample,
            num_samples=rows.num_samples,
            features=rows.features,
            classifier_weight=rows.classifier_weight,
            suppressed=rows.suppressed,
            progress=rows.progress,
        )

    wild = torch.where(keep[:, None], rows.logits, 1e6)
    torch.testing.assert_close(value(term, dropped(wild)), value(term, dropped(rows.logits)))


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
    term(make_rows())
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
