"""A run that stops and continues is the run that never stopped, bit for bit."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import pointseg.training.train as train_module
from pointseg.experiment import Experiment
from pointseg.losses.base import Sums
from pointseg.losses.cross_entropy import CrossEntropy, CrossEntropyConfig
from pointseg.losses.facts import BatchFacts
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.training.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]

VARIANTS = {
    "sgd, averaged weights": ["train.ema_decay=0.9"],
    "adamw, two batches a step, point budget, Mix3D": [
        "optimizer={type: adamw, lr: 0.01}",
        "schedule={type: cosine, warmup: 0.2}",
        "train.accumulate=2",
        "train.point_budget=800",
        "train.batch_size=3",
        "mix3d_p=0.5",
    ],
    "dropout, clipping, readers in other processes": [
        "model.dropout=0.5",
        "train.clip_norm=0.5",
        "train.workers=1",
    ],
}


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> Iterator[None]:
    """Tests that run in the background of a shell, or under nohup, would not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


def differing(a: Any, b: Any, where: str = "") -> list[str]:
    """Places where two checkpoints differ in a single bit."""
    if isinstance(a, dict):
        keys = [] if a.keys() == b.keys() else [f"{where}: other keys"]
        return keys + [
            place for key in a.keys() & b.keys() for place in differing(a[key], b[key], f"{where}.{key}")
        ]
    if isinstance(a, list | tuple):
        return [p for i, (x, y) in enumerate(zip(a, b, strict=True)) for p in differing(x, y, f"{where}.{i}")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    return [] if same else [where]


class LossWithMemory(CrossEntropy):
    """A stand-in for methods with running state: the weight of the loss follows its own past."""

    past: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(()))

    linear = False

    def value(self, sums: Sums, facts: BatchFacts) -> torch.Tensor:
        return super().value(sums, facts) * (1 + self.past) + 0.01 * torch.rand(())

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        self.past.lerp_(super().value(sums, facts), 0.1)


def loss_state(out: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_checkpoint(out / "checkpoints" / "last.pt")["training"]["objective"]
    return state


def without_times(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds_per_step"} for row in rows]


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_resumed_run_equals_one_that_never_stopped(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    monkeypatch.setattr(CrossEntropyConfig, "build", lambda self, statistics, **others: LossWithMemory())
    experiment = tiny_experiment(*overrides)
    quiet_train(experiment, tmp_path / "whole")
    for stop_after in (2, 5):
        assert quiet_train(experiment, tmp_path / "parts", stop_after=stop_after).step == stop_after
        # What else a program draws between the two parts must not matter.
        torch.rand(stop_after)
    assert quiet_train(experiment, tmp_path / "parts").is_finished
    for name in ("last.pt", "best.pt"):
        whole, parts = (load_checkpoint(tmp_path / run / "checkpoints" / name) for run in ("whole", "parts"))
        assert differing(whole, parts) == []
    assert float(loss_state(tmp_path / "parts")["terms.main.past"]) > 0
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "parts")


def test_a_crash_after_the_last_checkpoint_repeats_the_lost_steps(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny_experiment("train.checkpoint_every=2")
    quiet_train(experiment, tmp_path / "whole")
    real_step = train_module.train_step

    def crash_in_step_five(state: Any, *others: Any) -> Any:
        if state.step == 5:
            raise RuntimeError("power cut")
        return real_step(state, *others)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "train_step", crash_in_step_five)
        with pytest.raises(RuntimeError, match="power cut"):
            quiet_train(experiment, tmp_path / "crashed")
    assert load_checkpoint(tmp_path / "crashed" / "checkpoints" / "last.pt")["step"] == 4
    quiet_train(experiment, tmp_path / "crashed")
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "crashed")
    whole, crashed = (
        load_checkpoint(tmp_path / run / "checkpoints" / "last.pt") for run in ("whole", "crashed")
    )
    assert differing(whole, crashed) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_continues(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    experiment = tiny_experiment("data.val_split=null")
    real_step = train_module.train_step

    def signal_in_step_two(state: Any, *others: Any) -> Any:
        if state.step == 1:
            os.kill(os.getpid(), number)
        return real_step(state, *others)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "train_step", signal_in_step_two)
        result = quiet_train(experiment, tmp_path)
    assert result.step == 2 and not result.is_finished
    assert signal.getsignal(number) is before
    assert quiet_train(experiment, tmp_path).is_finished


def test_a_signal_during_validation_leaves_it_to_the_next_start(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny_experiment("train.steps=3")
    quiet_train(experiment, tmp_path / "whole")
    real_validate = train_module.validate

    def signal_then_validate(*others: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return real_validate(*others, **options)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "validate", signal_then_validate)
        stopped = quiet_train(experiment, tmp_path / "stopped")
    assert stopped.step == 3 and stopped.report is None and not stopped.is_finished
    assert quiet_train(experiment, tmp_path / "stopped").report is not None
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "stopped")


def test_another_configuration_is_refused_by_name(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    quiet_train(tiny_experiment(), tmp_path, stop_after=1)
    with pytest.raises(ValueError) as caught:
        quiet_train(tiny_experiment("optimizer.lr=0.2", "augment.0.p=0.1"), tmp_path)
    message = str(caught.value)
    assert "optimizer.lr: 0.1 there, 0.2 now" in message and "augment.0.p" in message
    assert "--no-resume" in message


def test_settings_of_where_and_how_fast_may_change(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    quiet_train(tiny_experiment("train.steps=2"), tmp_path, stop_after=1)
    changed = tiny_experiment("train.steps=2", "train.log_every=5", "train.checkpoint_every=7")
    assert quiet_train(changed, tmp_path).is_finished


def test_no_resume_starts_over(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    quiet_train(tiny_experiment("train.steps=3"), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    result = quiet_train(
        tiny_experiment("optimizer.lr=0.2", "data.val_split=null"), tmp_path, resume=False, stop_after=1
    )
    assert result.step == 1
    assert [row["step"] for row in without_times(tmp_path)] == [1]
    assert not (tmp_path / "checkpoints" / "best.pt").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_resume_without_a_checkpoint_is_refused(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        quiet_train(tiny_experiment(), tmp_path, resume=True)


def test_other_training_scenes_are_refused(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    quiet_train(tiny_experiment(), tmp_path / "run", stop_after=1)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.pt"
    saved = torch.load(checkpoint, weights_only=True)
    torch.save({**saved, "data": "of another store"}, checkpoint)
    with pytest.raises(ValueError, match="training scenes or classes"):
        quiet_train(tiny_experiment(), tmp_path / "run")
