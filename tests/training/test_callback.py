"""Callbacks: a user's own numbers in metrics.jsonl and TensorBoard, without a line of training/ changed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pointseg import Callback, Experiment, StepReport, Validation, train

MakeExperiment = Callable[..., Experiment]


class Watch(Callback):
    """Notes its calls; says the loss again, and a count of the confusion matrix."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.losses: dict[int, float] = {}

    def on_step(self, step: int, report: StepReport) -> Mapping[str, float] | None:
        self.calls.append(("step", step))
        self.losses[step] = report.loss
        return {"mine/loss_twice": 2 * report.loss} if step != 2 else None

    def on_validation(self, step: int, validation: Validation) -> Mapping[str, float]:
        self.calls.append(("validation", step))
        return {"mine/vertices": int(validation.report.confusion.counts.sum())}


class Saying(Callback):
    def __init__(self, **scalars: Any) -> None:
        self.scalars = scalars

    def on_step(self, step: int, report: StepReport) -> Mapping[str, float]:
        return self.scalars


def quiet_train(experiment: Experiment, out: Path, *callbacks: Callback) -> None:
    train(experiment, out, device="cpu", console=Console(quiet=True), callbacks=callbacks)


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_what_a_callback_returns_is_logged_in_both_places(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    watch = Watch()
    options = ("train.steps=4", "train.val_every=2", "train.log_every=2")
    quiet_train(tiny_experiment(*options), tmp_path, watch)
    calls = [("step", 1), ("step", 2), ("validation", 2), ("step", 3), ("step", 4), ("validation", 4)]
    assert watch.calls == calls
    rows = rows_of(tmp_path)
    said = {(row["step"], row["kind"]): row.get("mine/loss_twice") for row in rows if row["kind"] != "val"}
    twice = {step: 2 * loss for step, loss in watch.losses.items()}
    # Steps 1 and 3 have no row of their own; at step 2 nothing was returned.
    assert said == {
        (1, "callback"): twice[1],
        (2, "train"): None,
        (3, "callback"): twice[3],
        (4, "train"): twice[4],
    }
    # Two rooms of 360 vertices, of which each twentieth has no label.
    assert [row["mine/vertices"] for row in rows if row["kind"] == "val"] == [684, 684]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("train/mine/loss_twice")] == [1, 3, 4]
    assert [event.value for event in board.Scalars("val/mine/vertices")] == [684, 684]


def test_a_callback_changes_nothing_about_the_training(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    losses = {}
    for name, callbacks in (("with", (Watch(), Callback())), ("without", ())):
        quiet_train(tiny_experiment("train.steps=2"), tmp_path / name, *callbacks)
        losses[name] = [row["loss"] for row in rows_of(tmp_path / name) if row["kind"] == "train"]
    assert losses["with"] == losses["without"]


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ((Saying(loss=1.0),), "'loss', a name of the log itself"),
        ((Saying(a=1.0), Saying(a=2.0)), "Two callbacks returned 'a'"),
        ((Saying(a="much"),), "'much' for 'a'; expected a number"),
    ],
)
def test_numbers_that_cannot_be_logged_are_refused(
    tiny_experiment: MakeExperiment, tmp_path: Path, callbacks: tuple[Callback, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        quiet_train(tiny_experiment("train.steps=1"), tmp_path, *callbacks)


def test_training_leaves_torch_as_it_was(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    quiet_train(tiny_experiment("train.steps=1", f"train.num_threads={threads + 1}"), tmp_path)
    assert torch.equal(torch.rand(2), expected) and torch.get_num_threads() == threads
