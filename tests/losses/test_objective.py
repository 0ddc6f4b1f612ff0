"""Objective: the weighted sum of terms."""

from collections.abc import Callable

import pytest
import torch

from pointseg.core.rows import Supervised
from pointseg.losses.base import LossTerm, Sums
from pointseg.losses.facts import BatchFacts
from pointseg.losses.objective import Objective


class Constant(LossTerm):
    """Always the same number; counts its calls as running state."""

    calls: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.number = value
        self.register_buffer("calls", torch.zeros(()))

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        return {"logits": rows.logits.sum()}

    def value(self, sums: Sums, facts: BatchFacts) -> torch.Tensor:
        return sums["logits"] * 0 + self.number * (facts.num_rows > 0)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        self.calls += 1


def test_the_total_is_the_weighted_sum_and_the_parts_are_not_weighted(
    make_rows: Callable[..., Supervised],
) -> None:
    total, parts = Objective({"a": Constant(2.0), "b": Constant(3.0)}, {"a": 1.0, "b": 0.5})(make_rows())
    assert float(total.detach()) == 3.5
    assert {name: float(part) for name, part in parts.items()} == {"a": 2.0, "b": 3.0}
    assert total.requires_grad and not parts["a"].requires_grad


def test_an_empty_batch_moves_no_term(make_rows: Callable[..., Supervised]) -> None:
    term = Constant(2.0)
    total, parts = Objective({"a": term}, {"a": 1.0})(make_rows(rows=0))
    assert float(term.calls) == 0 and float(parts["a"]) == 0 and float(total.detach()) == 0


def test_a_batch_with_rows_moves_each_term_once_and_only_in_training(
    make_rows: Callable[..., Supervised],
) -> None:
    training, evaluated = Constant(2.0), Constant(3.0).eval()
    Objective({"a": training, "b": evaluated}, {"a": 1.0, "b": 1.0})(make_rows())
    assert (float(training.calls), float(evaluated.calls)) == (1, 0)


def test_the_state_of_every_term_is_saved_under_its_name() -> None:
    state = Objective({"a": Constant(2.0)}, {"a": 1.0}).state_dict()
    assert list(state) == ["terms.a.calls"]


@pytest.mark.parametrize(("terms", "weights"), [({}, {}), ({"a": Constant(1.0)}, {"b": 1.0})])
def test_terms_and_weights_must_fit(terms: dict[str, LossTerm], weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"loss|same names"):
        Objective(terms, weights)
