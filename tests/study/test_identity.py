"""A run is another one exactly where its result could be another."""

import ast
from collections.abc import Callable

import pytest

from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.study import identity
from pointseg.study.identity import changed_code, chosen_settings, code_of, config_hash, data_hash

Make = Callable[..., Experiment]


@pytest.mark.parametrize(
    "override",
    ["engine=torch", "train.num_threads=1", "train.log_every=7", "name=other", "train.init_from=elsewhere"],
)
def test_names_and_what_is_free_to_change_make_no_other_run(tiny_experiment: Make, override: str) -> None:
    assert config_hash(tiny_experiment(override), None) == config_hash(tiny_experiment(), None)


@pytest.mark.parametrize("override", ["seed=1", "train.steps=7", "losses.main={type: focal}", "augment=[]"])
def test_settings_make_another_run(tiny_experiment: Make, override: str) -> None:
    assert config_hash(tiny_experiment(override), None) != config_hash(tiny_experiment(), None)


def test_the_run_that_it_starts_from_makes_another_run(tiny_experiment: Make) -> None:
    hashes = {config_hash(tiny_experiment(), start) for start in (None, "a", "b")}
    assert len(hashes) == 3


def test_the_type_of_a_loss_counts_also_where_all_its_options_are_defaults(tiny_experiment: Make) -> None:
    chosen = [
        chosen_settings(tiny_experiment(f"losses={{main: {{type: {name}}}}}"))["losses"]
        for name in ("balanced_softmax", "dice")
    ]
    assert chosen == [{"main": {"type": "balanced_softmax"}}, {"main": {"type": "dice"}}]


def test_only_the_modules_of_its_own_losses_are_its_code(tiny_experiment: Make) -> None:
    plain = code_of(tiny_experiment())
    focal = code_of(tiny_experiment("losses={main: {type: focal}}"))
    assert "pointseg.losses.focal" in focal and "pointseg.losses.focal" not in plain
    assert {"pointseg.models.minkunet", "pointseg.training.step", "pointseg.sparse.ops"} <= plain.keys()
    assert not any(name.startswith(("pointseg.cli", "pointseg.view", "pointseg.images")) for name in plain)
    assert changed_code(plain, {**plain, "pointseg.training.step": "other"}) == ["pointseg.training.step"]


def form(source: str) -> object:
    return identity._form(ast.parse(source))


def test_comments_docstrings_and_line_breaks_are_no_code() -> None:
    bare = "def f(x):\n    return x + 1\n"
    told = '"""Module."""\n\ndef f(\n    x,\n):\n    """Adds."""\n    # one\n    return (x + 1)\n'
    assert form(bare) == form(told)
    assert form(bare) != form(bare.replace("1", "2"))


def test_data_differ_by_their_scenes(tiny_experiment: Make) -> None:
    source: Source = tiny_experiment().data.open()
    assert data_hash(source) == data_hash(tiny_experiment().data.open())
    cut = tiny_experiment("data.tune_share=0.4").data.open()
    assert data_hash(cut) != data_hash(source)
