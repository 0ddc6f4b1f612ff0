"""What people and files are told of a step: by the main process alone, as often as they want to know."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pointseg.core.distributed import Processes
from pointseg.experiment import Experiment
from pointseg.runs.folder import RunFolder
from pointseg.training.callback import Callback
from pointseg.training.job import TrainingJob
from pointseg.training.monitor import Monitor
from pointseg.training.step import StepReport

MakeExperiment = Callable[..., Experiment]
GOOD = StepReport(loss=1.0, parts={"main": 1.0}, lr=0.1, grad_norm=2.0, num_rows=50)


@pytest.fixture
def watched(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> Callable[..., tuple[list[str], list[dict[str, Any]]]]:
    def watch(
        reports: list[StepReport], *overrides: str, rank: int = 0, callback: Callback | None = None
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """Lines that were said, and rows that were written, of steps that took 1, 2, 3 ... seconds."""
        job = TrainingJob.prepare(tiny_experiment(*overrides), Processes(0, 1, torch.device("cpu")))
        state, _ = job.fresh_state()
        job = replace(job, processes=Processes(rank, 2, torch.device("cpu")))
        text, folder = io.StringIO(), RunFolder(tmp_path)
        callbacks = [] if callback is None else [callback]
        with Monitor(folder, state, job, Console(file=text, width=200), callbacks) as monitor:
            for number, report in enumerate(reports, start=1):
                monitor.step(number, report, seconds=float(number))
        rows = folder.metrics.read_text().splitlines() if folder.metrics.is_file() else []
        return text.getvalue().splitlines(), [json.loads(row) for row in rows]

    return watch


def test_about_a_hundred_lines_are_said_at_steps_that_are_logged(watched: Callable[..., Any]) -> None:
    said, rows = watched([GOOD] * 20, "train.steps=1000", "train.log_every=2")
    # What a training takes is said too, once.
    assert [line.split()[1] for line in said if line.startswith("step ")] == ["10/1000", "20/1000"]
    assert [row["step"] for row in rows] == list(range(2, 21, 2))
    # The mean since the row before.
    assert [row["seconds_per_step"] for row in rows[:3]] == [1.5, 3.5, 5.5]
    assert (rows[0]["rows"], rows[0]["voxels"], rows[0]["grad_norm"], rows[0]["lr"]) == (50, 50, 2.0, 0.1)
    said, _ = watched([GOOD] * 8, "train.steps=8", "train.log_every=4")
    assert [line.split()[1] for line in said] == ["4/8", "8/8"]


@pytest.mark.parametrize(
    ("loss", "what"), [(1.0, "a gradient that is not finite"), (float("nan"), "a loss that is not finite")]
)
def test_a_skipped_step_is_said_with_its_scenes_and_is_no_row_of_training(
    watched: Callable[..., Any], loss: float, what: str
) -> None:
    bad = replace(GOOD, loss=loss, skipped=("a", "b"))
    said, rows = watched([GOOD, bad], "train.log_every=1")
    assert f"step 2 was skipped: {what} in a, b" in said
    assert [(row["step"], row["kind"]) for row in rows] == [(1, "train"), (2, "skipped")]
    assert rows[1]["scenes"] == ["a", "b"] and rows[1]["loss"] == str(loss)


def test_what_is_no_number_is_null_in_the_log(watched: Callable[..., Any]) -> None:
    _, rows = watched([replace(GOOD, grad_norm=float("inf"))], "train.log_every=1")
    assert rows[0]["grad_norm"] is None and rows[0]["loss"] == 1.0


def test_other_processes_say_and_write_nothing_and_call_nobody(
    watched: Callable[..., Any], tmp_path: Path
) -> None:
    class Refusing(Callback):
        def on_step(self, step: int, report: StepReport) -> None:
            raise AssertionError("called")

    assert watched([GOOD] * 3, "train.log_every=1", rank=1, callback=Refusing()) == ([], [])
    assert not any(tmp_path.iterdir())
