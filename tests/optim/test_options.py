"""The options of optimisers and schedules: what holds where nothing is said, and what is refused."""

from typing import Any

import pytest
from pydantic import BaseModel

from pointseg.experiment import OPTIMIZERS, SCHEDULES
from pointseg.optim.groups import GroupRule

#: Whatever the optimiser.
OF_ALL = {"decay_vectors": True, "groups": (), "layer_decay": None}
#: As torch has them, but for the rates and decays, which are those of the public recipes.
DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {
        **OF_ALL,
        "lr": 0.05,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "nesterov": False,
        "dampening": 0.0,
    },
    "adamw": {**OF_ALL, "lr": 2e-3, "weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-8},
    "onecycle": {"warmup": 0.0, "pct": 0.05, "div": 10.0, "final_div": 1e4},
    "poly": {"warmup": 0.0, "power": 0.9},
    "multistep": {"warmup": 0.0, "milestones": (0.6, 0.8), "gamma": 0.1},
    "cosine": {"warmup": 0.0, "final": 0.0},
    "constant": {"warmup": 0.0},
}
#: (type, option, values beyond its range, values at its ends)
RANGES: list[tuple[str, str, list[float], list[float]]] = [
    *((name, "lr", [0], [1e-6]) for name in OPTIMIZERS),
    *((name, "weight_decay", [-0.01], [0]) for name in OPTIMIZERS),
    *((name, "layer_decay", [0, 1.01], [0.01, 1]) for name in OPTIMIZERS),
    ("sgd", "momentum", [-0.01, 1], [0, 0.99]),
    ("sgd", "dampening", [-0.01, 1.01], [0, 1]),
    ("adamw", "eps", [0], [1e-12]),
    *((name, "warmup", [-0.01, 1], [0, 0.99]) for name in SCHEDULES if name != "onecycle"),
    ("onecycle", "warmup", [-0.01, 1], [0]),
    ("onecycle", "pct", [0, 1], [0.01, 0.99]),
    ("onecycle", "div", [0.99], [1]),
    ("onecycle", "final_div", [0.99], [1]),
    ("poly", "power", [0], [0.01]),
    ("multistep", "gamma", [0, 1], [0.01, 0.99]),
    ("cosine", "final", [-0.01, 1], [0, 0.99]),
]


def options_of(name: str) -> type[BaseModel]:
    found: type[BaseModel] = {**OPTIMIZERS, **SCHEDULES}[name]
    return found


@pytest.mark.parametrize("name", [*OPTIMIZERS, *SCHEDULES])
def test_what_holds_where_nothing_is_said(name: str) -> None:
    assert options_of(name)().model_dump(exclude={"type"}) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "option", "beyond", "ends"), RANGES, ids=[f"{a}-{b}" for a, b, _, _ in RANGES]
)
def test_an_option_has_its_range(name: str, option: str, beyond: list[float], ends: list[float]) -> None:
    for value in beyond:
        with pytest.raises(ValueError, match=option):
            options_of(name)(**{option: value})
    for value in ends:
        assert getattr(options_of(name)(**{option: value}), option) == value


def test_a_rule_changes_only_what_it_says() -> None:
    assert GroupRule(match="head.*").model_dump() == {
        "match": "head.*",
        "lr_scale": 1.0,
        "weight_decay": None,
    }
    assert GroupRule(match="x", lr_scale=0, weight_decay=0).lr_scale == 0
    for wrong in ({"match": ""}, {"lr_scale": -0.01}, {"weight_decay": -0.01}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            GroupRule(**{"match": "x", **wrong})


@pytest.mark.parametrize("wrong", [{"momentum": 0}, {"dampening": 0.1}])
def test_nesterov_needs_momentum_and_no_dampening(wrong: dict[str, float]) -> None:
    assert options_of("sgd")(nesterov=True).model_dump()["nesterov"]
    with pytest.raises(ValueError, match="nesterov needs momentum above 0 and dampening 0"):
        options_of("sgd")(nesterov=True, **wrong)
