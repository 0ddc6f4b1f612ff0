"""Data-parallel training under torchrun, with two processes on one CPU."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pointseg.config import dump_config
from pointseg.evaluation.evaluate import evaluate
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.training.train import train

IS_LONG = os.environ.get("POINTSEG_LONG") == "1"
OPTIONS = ["train.steps=3", "train.batch_size=1", "train.log_every=1", "train.val_every=0"]


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", ["true", "false"] if IS_LONG else ["true"])
def test_two_processes_train_like_one_that_accumulates_two_batches(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path, checkpointing: str
) -> None:
    """The same batches, the mean of their gradients, the same validation; running statistics are apart.

    With ``checkpointing`` the two keep of each block its input alone; the one never does. Without, the two do
    less of the same: that is for the long form (``POINTSEG_LONG=1``).
    """
    one, two = tmp_path / "one", tmp_path / "two"
    result = train(
        tiny_experiment(*OPTIONS, "train.accumulate=2"), one, device="cpu", console=Console(quiet=True)
    )
    assert result.is_finished
    config = tmp_path / "config.yaml"
    theirs = tiny_experiment(*OPTIONS, f"train.activation_checkpointing={checkpointing}")
    config.write_text(dump_config(theirs), encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = ["-m", "pointseg", "train", str(config), "--out", str(two), "--device", "cpu"]
    done = subprocess.run([*torchrun, *command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 x cpu") == 1, "only the main process talks"

    weights = [load_checkpoint(run / "checkpoints" / "last.pt")["weights"] for run in (one, two)]
    learned = [key for key in weights[0] if "running" not in key and "tracked" not in key]
    for key in learned:
        torch.testing.assert_close(weights[0][key], weights[1][key], rtol=1e-3, atol=1e-5)
    validations = [
        [
            row
            for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
            if row["kind"] == "val"
        ]
        for run in (one, two)
    ]
    assert validations[0][0]["num_vertices"] == validations[1][0]["num_vertices"]

    # BatchNorm's running statistics differ between the processes, but the run keeps those of the main one:
    # the scenes that the other process validated must have been predicted with them too.
    again = evaluate(two, split="val", checkpoint="last", device="cpu")
    assert validations[1][0]["collapse"]["gradient_norm"] == pytest.approx(again.collapse.gradient_norm)
