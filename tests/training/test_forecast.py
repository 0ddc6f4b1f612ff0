"""`pointseg doctor RECIPE STORE`: what is measured is what a training then does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config
from pointseg.experiment import Experiment
from pointseg.training import forecast as module
from pointseg.training.forecast import Forecast, _duration, _fitting, _problems, forecast
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]
FITS = Forecast(
    unit="voxel",
    scenes=5,
    parameters=10,
    rows_per_batch=(1, 2),
    seconds_per_step=1.0,
    total_steps=3,
    steps_per_epoch=3.0,
    hours=0.0,
    memory_mb=1,
    device_memory_mb=1000,
    batch_size=4,
    suggested_batch_size=5,
    disk_mb=1,
    free_disk_mb=2,
    problems=(),
)


def test_numbers_are_those_of_the_training(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    experiment = tiny_experiment("train.steps=100", "train.keep_checkpoints=3", "train.accumulate=2")
    found = forecast(experiment, out=tmp_path / "not" / "there", device="cpu", console=Console(quiet=True))
    # Five scenes in batches of two, two of which make a step.
    assert (found.scenes, found.batch_size, found.total_steps, found.steps_per_epoch) == (5, 2, 100, 1.5)
    assert found.unit == "voxel"
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
    # Fewer scenes than a batch has: scenes repeat within it.
    assert _fitting(12, 100, 300, 2000, 4) == 12


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (119, "119 seconds"),
        (120, "2.0 minutes"),
        (7199, "120.0 minutes"),
        (7200, "2.0 hours"),
        (172_799, "48.0 hours"),
        (172_800, "2.0 days"),
    ],
)
def test_durations_are_said_in_the_largest_unit_of_which_there_are_two(seconds: float, said: str) -> None:
    assert _duration(seconds) == said


@pytest.mark.parametrize(
    ("memory", "batch_size", "suggested", "advice"),
    [(800, 4, 4, None), (801, 4, 9, 3), (801, 4, 2, 2), (801, 1, 1, 1)],
)
def test_more_than_four_fifths_of_the_memory_are_a_problem_and_a_smaller_batch_the_way_out(
    memory: int, batch_size: int, suggested: int, advice: int | None
) -> None:
    found = replace(
        FITS, memory_mb=memory, device_memory_mb=1000, batch_size=batch_size, suggested_batch_size=suggested
    )
    problems = _problems(found)
    assert len(problems) == (advice is not None)
    assert advice is None or f"memory: {memory} of 1,000 MB; set train.batch_size={advice}, or" in problems[0]


def test_checkpoints_that_do_not_fit_on_the_disk_are_a_problem() -> None:
    assert _problems(replace(FITS, disk_mb=50, free_disk_mb=50)) == ()
    (problem,) = _problems(replace(FITS, disk_mb=51, free_disk_mb=50))
    assert problem == "disk: checkpoints take 51 MB, 50 MB are free"


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
