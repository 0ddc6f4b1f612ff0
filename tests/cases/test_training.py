"""Trainings of real people: nothing that was learned is lost, and what cannot be learned is refused."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from pointseg.config import dump_config
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, save_checkpoint
from pointseg.scans.store import Store, StoreWriter
from pointseg.training import train as train_module
from pointseg.training.callback import Callback
from pointseg.training.step import StepReport
from pointseg.training.train import TrainingResult, train

IS_LONG = os.environ.get("POINTSEG_LONG") == "1"
MakeExperiment = Callable[..., Experiment]


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


def store_with_labels(path: Path, label: int) -> Path:
    writer = StoreWriter(path, LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2)))
    xyz = np.random.default_rng(0).random((60, 3)).astype(np.float32)
    for name, split in (("a", "train"), ("b", "val")):
        writer.add(Scene(name, xyz, raw_label=np.full(60, label, np.int32)), split)
    writer.finish()
    return path


def test_a_split_without_one_labelled_point_is_refused(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    path = store_with_labels(tmp_path / "store", 0)
    with pytest.raises(ValueError, match="split 'train' has not one labelled point"):
        quiet_train(tiny_experiment(f"data.path={path}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_colours_that_are_not_there_are_said(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    path = store_with_labels(tmp_path / "store", 1)
    with (tmp_path / "out.txt").open("w") as file:
        console = Console(file=file, width=200)
        train(
            tiny_experiment(f"data.path={path}", "train.steps=1"),
            tmp_path / "run",
            device="cpu",
            console=console,
        )
    assert "2 of 2 scenes have none, such as a" in (tmp_path / "out.txt").read_text()


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_bad_scene_of_validation_is_found_before_the_first_step(
    tiny_experiment: MakeExperiment, tmp_path: Path, damage: str
) -> None:
    path = store_with_labels(tmp_path / "store", 1)
    file = path / "scenes" / "b" / "raw_label.npy"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    else:
        file.unlink()
    with pytest.raises(ValueError, match=r"b/raw_label\.npy: cannot be read"):
        quiet_train(tiny_experiment(f"data.path={path}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_steps_are_saved_before_they_are_validated(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("b.npy: a bad page")

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "validate", broken)
        with pytest.raises(ValueError, match="a bad page"):
            quiet_train(tiny_experiment(), tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 3
    assert quiet_train(tiny_experiment(), tmp_path).is_finished


@pytest.mark.parametrize("workers", [0, 1])
def test_a_scene_that_breaks_on_the_way_leaves_the_steps_before_it(
    tiny_experiment: MakeExperiment,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    read = Store.read
    broken = tmp_path / "broken"

    def read_or_fail(self: Store, name: str) -> Scene:
        if broken.exists() and name == "train3":
            raise ValueError("train3/xyz_m.npy: cannot be read")
        scene = read(self, name)
        broken.touch()
        return replace(scene)

    monkeypatch.setattr(Store, "read", read_or_fail)
    experiment = tiny_experiment("data.val_split=null", "train.batch_size=1", f"train.workers={workers}")
    with pytest.raises(ValueError, match=r"^train3/xyz_m\.npy: cannot be read$"):
        quiet_train(experiment, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] >= 1


def test_one_value_for_a_batch_norm_is_said_in_words_of_the_configuration(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: Any) -> Any:
        torch.nn.BatchNorm1d(8)(torch.zeros(1, 8))

    monkeypatch.setattr(train_module, "train_step", step)
    with pytest.raises(ValueError, match=r"train\.batch_size.*data\.voxel_size_m.*model\.widths"):
        quiet_train(tiny_experiment(), tmp_path / "run")


def test_epochs_do_not_continue_on_another_number_of_processes(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    for steps, settings in (("epochs", ["train.steps=null", "train.epochs=3"]), ("steps", [])):
        experiment, run = tiny_experiment("data.val_split=null", *settings), tmp_path / steps
        quiet_train(experiment, run, stop_after=1)
        saved = load_checkpoint(run / "checkpoints" / "last.pt")
        saved.pop("format")
        save_checkpoint(run / "checkpoints" / "last.pt", {**saved, "batches_per_step": 2})
        if steps == "epochs":
            with pytest.raises(ValueError, match="of 2 batches over all processes and are now of 1"):
                quiet_train(experiment, run)
        else:
            assert quiet_train(experiment, run, stop_after=2).step == 2


def test_one_process_goes_on_where_two_were_with_the_same_batches_a_step(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    """What two processes have begun: their run says accumulate = 1 and two batches a step."""
    for epochs in ([], ["train.steps=null", "train.epochs=4"]):
        settings, run = ("data.val_split=null", *epochs), tmp_path / f"run{len(epochs)}"
        quiet_train(tiny_experiment(*settings), run, stop_after=1)
        saved = load_checkpoint(run / "checkpoints" / "last.pt")
        saved.pop("format")
        save_checkpoint(run / "checkpoints" / "last.pt", {**saved, "batches_per_step": 2})
        with pytest.raises(ValueError, match=r"are now of 3.*train\.accumulate=2 keeps them"):
            quiet_train(tiny_experiment(*settings, "train.accumulate=3"), run)
        assert quiet_train(tiny_experiment(*settings, "train.accumulate=2"), run).is_finished
        assert load_checkpoint(run / "checkpoints" / "last.pt")["batches_per_step"] == 2


def test_the_same_process_does_not_go_on_with_other_steps(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    quiet_train(tiny_experiment("data.val_split=null"), tmp_path / "run", stop_after=1)
    with pytest.raises(ValueError, match=r"here train\.accumulate=1 keeps them"):
        quiet_train(tiny_experiment("data.val_split=null", "train.accumulate=2"), tmp_path / "run")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"] if IS_LONG else ["SIGTERM"])
def test_a_signal_to_the_whole_group_saves_and_stops(
    tiny_experiment: MakeExperiment, tmp_path: Path, number: str
) -> None:
    """All three are heard in the same way: two of them in the long form (``POINTSEG_LONG=1``)."""
    experiment = tiny_experiment("train.steps=100000", "data.val_split=null", "train.workers=2")
    (tmp_path / "x.yaml").write_text(dump_config(experiment))
    command = [
        sys.executable,
        "-m",
        "pointseg",
        "train",
        str(tmp_path / "x.yaml"),
        "--out",
        str(tmp_path / "run"),
    ]

    def hears() -> None:
        """In the child: where the tests run in the background or under nohup, it would inherit deaf ears."""
        signal.signal(getattr(signal, number), signal.default_int_handler)

    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen(
            command, start_new_session=True, stdout=log, stderr=subprocess.STDOUT, preexec_fn=hears
        )
    try:
        metrics, end = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 120
        while not (metrics.is_file() and metrics.read_text().count("\n") > 3) and time.monotonic() < end:
            time.sleep(0.1)
        os.killpg(child.pid, getattr(signal, number))
        assert child.wait(60) == 130, (tmp_path / "log").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] >= 4


class _Killer(Callback):
    """Kills the process that reads scenes, after the second step."""

    def on_step(self, step: int, report: StepReport) -> None:
        if step == 2:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)


def test_a_reader_that_is_killed_is_named_and_the_run_continues(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    settings = ("train.steps=60", "data.val_split=null", "train.batch_size=1", "train.checkpoint_every=1")
    experiment = tiny_experiment(*settings, "train.workers=1")
    with pytest.raises(ValueError, match=r"process that reads scenes has ended .* fewer train\.workers"):
        train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True), callbacks=[_Killer()])
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] >= 1
    result = quiet_train(tiny_experiment(*settings), tmp_path / "run", stop_after=8)
    assert result.step == 8
