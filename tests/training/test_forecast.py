"""`pointseg doctor RECIPE STORE`: what is measured is what a training then does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config
from pointseg.experiment import Experiment
from pointseg.training import forecast as module
from pointseg.training.forecast import _fitting, forecast
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]


def test_numbers_are_those_of_the_training(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    experiment = tiny_experiment("train.steps=100", "train.keep_checkpoints=3")
    found = forecast(experiment, out=tmp_path / "not" / "there", device="cpu", console=Console(quiet=True))
    # Five scenes in batches of two.
    assert (found.scenes, found.batch_size, found.total_steps, found.steps_per_epoch) == (5, 2, 100, 3.0)
    assert found.hours == round(found.seconds_per_step * 100 / 3600, 2)
    assert 0 < found.rows_per_batch[0] <= found.rows_per_batch[1]
    assert 0 < found.memory_mb < found.device_memory_mb and 2 <= found.suggested_batch_size <= 5
    # Three last ones and the best.
    assert found.disk_mb == round(4 * 12 * found.parameters / 2**20)
    assert found.problems == () and not any(tmp_path.iterdir())


def test_the_verb_takes_recipe_store_and_method(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    experiment = tiny_experiment("train.steps=3", "train.val_every=0")
    store = experiment.data.path
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(experiment).replace(str(store), "nowhere"))
    words = ["doctor", str(recipe), str(store), "train.batch_size=1", "--method", "weighted"]
    result = CliRunner().invoke(app, [*words, "--device", "cpu", "--json", str(tmp_path / "found.json")])
    assert result.exit_code == 0, result.output
    assert "a batch of 1 scenes" in result.output and "all 3 steps" in result.output
    assert json.loads((tmp_path / "found.json").read_text())["batch_size"] == 1
    missing = CliRunner().invoke(app, ["doctor", str(recipe), "--device", "cpu"])
    assert missing.exit_code == 2 and "nowhere" in missing.output


def test_a_training_that_cannot_fit_is_told_and_ends_with_1(
    tiny_experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_device_memory", lambda device: 2**20)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(tiny_experiment("train.steps=3")))
    result = CliRunner().invoke(app, ["doctor", str(recipe), "--device", "cpu"])
    assert result.exit_code == 1 and "PROBLEM: memory" in result.output
    assert "set train.batch_size=1" in result.output


def test_a_batch_that_fits_follows_from_the_memory_that_rows_took() -> None:
    # 4 scenes took 200 of what lies above 100; four fifths of 1000 hold (800 - 100) / 50 scenes.
    assert _fitting(4, 100, 300, 1000, 1000) == 14
    assert _fitting(4, 100, 300, 1000, 9) == 9
    assert _fitting(4, 900, 1100, 1000, 9) == 1


def test_a_training_says_after_its_first_steps_what_it_takes(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    for steps, is_said in ((24, True), (10, False)):
        with (tmp_path / "said").open("w") as file:
            experiment = tiny_experiment(f"train.steps={steps}", "data.val_split=null")
            console = Console(file=file, width=300)
            train(experiment, tmp_path / f"{steps}", device="cpu", console=console, stop_after=6)
        lines = (tmp_path / "said").read_text().splitlines()
        told = [line for line in lines if line.startswith("a step: ")]
        assert len(told) == is_said
        if is_said:
            assert "an epoch: 3.0 steps" in told[0] and "all 24 steps: " in told[0]
            assert any(line.startswith("a batch of 2 scenes: ") for line in lines)
            assert any("by that, train.batch_size up to" in line for line in lines)
            assert any(line.startswith("disk: about ") for line in lines)
            # While it trains, not when it is over.
            assert lines.index(told[0]) < next(i for i, line in enumerate(lines) if "step 6/24" in line)
