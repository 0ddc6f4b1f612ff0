"""Objective: the weighted sum of terms."""

from collections.abc import Callable

import pytest
import torch

from pointseg.core.rows import Supervised
from pointseg.losses.base import LossTerm, Objective


class Constant(LossTerm):
    """Always the same number; counts its calls as running state."""

    calls: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, supervised: Supervised) -> torch.Tensor:
        self.calls += 1
        return supervised.logits.sum() * 0 + self.value


def test_the_total_is_the_weighted_sum_and_the_parts_are_not_weighted(
    make_rows: Callable[..., Supervised],
) -> None:
    total, parts = Objective({"a": Constant(2.0), "b": Constant(3.0)}, {"a": 1.0, "b": 0.5})(make_rows())
    assert float(total.detach()) == 3.5
    assert {name: float(part) for name, part in parts.items()} == {"a": 2.0, "b": 3.0}
    assert total.requires_grad and not parts["a"].requires_grad


def test_no_term_sees_an_empty_batch(make_rows: Callable[..., Supervised]) -> None:
    term = Constant(2.0)
    total, parts = Objective({"a": term}, {"a": 1.0})(make_rows(rows=0))
    assert float(term.calls) == 0 and float(parts["a"]) == 0 and float(total.detach()) == 0


def test_the_state_of_every_term_is_saved_under_its_name() -> None:
    state = Objective({"a": Constant(2.0)}, {"a": 1.0}).state_dict()
    assert list(state) == ["terms.a.calls"]


@pytest.mark.parametrize(("terms", "weights"), [({}, {}), ({"a": Constant(1.0)}, {"b": 1.0})])
def test_terms_and_weights_must_fit(terms: dict[str, LossTerm], weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"loss|same names"):
        Objective(terms, weights)
