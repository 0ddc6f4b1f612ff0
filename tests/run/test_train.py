"""Training from a configuration to a RUN folder, on rooms of a few hundred points."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pointseg.experiment import Experiment
from pointseg.run.checkpoint import load_checkpoint, load_run
from pointseg.run.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]


def quiet_train(experiment: Experiment, out: Path, **options: object) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


def rows(out: Path, kind: str) -> list[dict]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_the_loss_falls_and_the_rooms_are_learned(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    result = quiet_train(tiny_experiment("train.steps=30", "train.val_every=0"), tmp_path)
    loss = [row["loss"] for row in rows(tmp_path, "train")]
    assert len(loss) == 30
    assert sum(loss[-5:]) < 0.5 * sum(loss[:5])
    assert result.is_finished and result.report is not None
    assert result.report.miou["present"] > 0.6
