"""The search gives every method the same number of trials, and looks at no validation scene."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pointseg.config import ConfigError
from pointseg.config.load import search_space
from pointseg.experiment import load_experiment
from pointseg.study.definition import read_study
from pointseg.study.plan import Planner
from pointseg.study.state import Progress
from pointseg.study.tuning import choose, combinations, trials_of

SPACE = {"a": [1, 2, 3], "b": ["x", "y"]}


def test_the_first_trial_is_the_method_as_it_stands_and_none_comes_twice() -> None:
    drawn = combinations(SPACE, 4, seed=0)
    assert drawn[0] == {} and len(drawn) == 4
    assert len({tuple(one.items()) for one in drawn}) == 4
    assert all(one["a"] in SPACE["a"] and one["b"] in SPACE["b"] for one in drawn[1:])


def test_a_small_grid_is_tried_whole() -> None:
    assert combinations({"a": [1, 2]}, 9, seed=0) == [{}, {"a": 1}, {"a": 2}]
    assert combinations({}, 9, seed=0) == [{}]


def test_the_same_seed_draws_the_same() -> None:
    assert combinations(SPACE, 4, seed=5) == combinations(SPACE, 4, seed=5)


def test_a_method_file_may_name_values_and_they_are_no_part_of_the_experiment(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("losses: {main: {type: focal}}\nsearch: {losses.main.gamma: [1, 3]}\n")
    assert search_space(file) == {"losses.main.gamma": [1, 3]}
    assert load_experiment("synthetic/demo", methods=file).losses["main"].type == "focal"  # type: ignore[attr-defined]
    file.write_text("losses: {main: {type: focal}}\nsearch: {losses.main.gamma: 1}\n")
    with pytest.raises(ConfigError, match="lists of values"):
        search_space(file)


def test_trials_train_and_are_compared_on_training_scenes(write_study: Callable[..., Path]) -> None:
    tune = {"trials": 3, "budget": "short", "share": 0.4, "search": {"optimizer.lr": [0.01, 0.02]}}
    study = read_study(write_study(tune=tune))
    planner = Planner(study, Path("runs"), threads=1)
    settings = trials_of(study, "cross_entropy")
    assert settings == [{}, {"optimizer.lr": 0.01}, {"optimizer.lr": 0.02}]
    runs = [planner.trial("cross_entropy", one) for one in settings]
    assert [run.experiment.optimizer.lr for run in runs] == [0.1, 0.01, 0.02]
    for run in runs:
        assert run.experiment.data.val_split == "tune"
        source = run.experiment.data.open()
        assert all(name.startswith("train") for name in source.scene_names("tune"))


def test_a_method_may_run_as_it_stands(write_study: Callable[..., Path]) -> None:
    tune = {"trials": 2, "budget": "short", "share": 0.4, "search": {"optimizer.lr": [0.01]}}
    methods = {"cross_entropy": {}, "weighted": {"searched": False, "search": {"seed": [1]}}}
    study = read_study(write_study(tune=tune, methods=methods))
    assert trials_of(study, "cross_entropy") == [{}, {"optimizer.lr": 0.01}]
    assert trials_of(study, "weighted") == [{}]


def test_trials_may_be_shorter_than_their_budget(write_study: Callable[..., Path]) -> None:
    tune = {"trials": 2, "budget": "short", "share": 0.4, "search": {"optimizer.lr": [0.01]}}
    steps = {}
    for given in (None, 3):
        study = read_study(write_study(tune={**tune, "steps": given}))
        run = Planner(study, Path("runs"), threads=1).trial("cross_entropy", {})
        assert run.steps == run.total_steps == run.experiment.train.steps
        steps[given] = run.steps
    assert steps == {None: study.budgets["short"], 3: 3}


def test_the_best_trial_is_chosen_and_of_equals_the_method_as_it_stands(
    write_study: Callable[..., Path],
) -> None:
    tune = {"trials": 3, "budget": "short", "share": 0.4, "search": {"optimizer.lr": [0.01, 0.02]}}
    study = read_study(write_study(tune=tune))
    planner = Planner(study, Path("runs"), threads=1)
    scores = {"cross_entropy": (0.5, 0.5, 0.4), "weighted": (0.3, 0.6, None)}
    trials = [
        Progress(planner.trial(name, settings), Path(), facts={"miou": score})
        for name in scores
        for settings, score in zip(trials_of(study, name), scores[name], strict=True)
    ]
    second = trials_of(study, "weighted")[1]
    assert second and choose(study, trials) == {"cross_entropy": {}, "weighted": second}
