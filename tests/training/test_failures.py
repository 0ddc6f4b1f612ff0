"""Losses that are not finite, and mistakes that training refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.scans.store import StoreWriter
from pointseg.training.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


@pytest.fixture
def store_with_a_broken_scene(tmp_path: Path) -> Path:
    """Two scenes of one class; the normals of ``broken`` are NaN."""
    path = tmp_path / "store"
    space = LabelSpace("two", (1, 2), ("thing", "other"), ("", ""), distinct_colors(2))
    writer = StoreWriter(path, space, options={})
    rng = np.random.default_rng(0)
    for name, normal in (("broken", np.nan), ("whole", 0.5)):
        xyz_m = rng.uniform(0, 1, (60, 3)).astype(np.float32)
        raw_label = rng.integers(1, 3, 60).astype(np.int32)
        writer.add(
            Scene(name, xyz_m, normal=np.full((60, 3), normal, np.float32), raw_label=raw_label), "train"
        )
    writer.finish()
    return path


@pytest.fixture
def broken(tiny_experiment: MakeExperiment, store_with_a_broken_scene: Path) -> MakeExperiment:
    def make(*overrides: str) -> Experiment:
        return tiny_experiment(
            f"data.path={store_with_a_broken_scene}",
            "data.val_split=null",
            "data.features=[normal]",
            "augment=[]",
            "train.batch_size=1",
            *overrides,
        )

    return make


def test_a_loss_that_is_not_finite_is_reported_with_its_scene_and_skipped(
    broken: MakeExperiment, tmp_path: Path
) -> None:
    with (tmp_path / "out.txt").open("w") as file:
        train(broken("train.steps=4"), tmp_path / "run", device="cpu", console=Console(file=file, width=200))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["scenes"] for row in rows if row["kind"] == "skipped"] == [["broken"], ["broken"]]
    assert sum(row["kind"] == "train" for row in rows) == 2
    assert "was skipped: a loss that is not finite in broken" in (tmp_path / "out.txt").read_text()


def test_a_skipped_step_leaves_weights_and_running_statistics_alone(
    broken: MakeExperiment, tmp_path: Path
) -> None:
    quiet_train(broken("train.steps=4"), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["training"]["skipped"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in state["weights"].values())
    tracked = {int(v) for name, v in state["weights"].items() if name.endswith("num_batches_tracked")}
    assert max(tracked) == 2


def test_a_step_is_skipped_whole_when_one_of_its_batches_is_bad(
    broken: MakeExperiment, tmp_path: Path
) -> None:
    result = quiet_train(broken("train.steps=2", "train.accumulate=2"), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert result.step == 2 and state["training"]["skipped"] == 2
    # The other batch is not to blame.
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["scenes"] for row in rows] == [["broken"], ["broken"]]


def test_too_many_bad_batches_end_the_training(broken: MakeExperiment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"max_bad_batches = 1; the latest scenes were broken"):
        quiet_train(broken("train.steps=20", "train.max_bad_batches=1"), tmp_path / "run")


@pytest.mark.parametrize("part", ["train", "evaluate"])
def test_fp16_on_a_cpu_is_refused(tiny_experiment: MakeExperiment, tmp_path: Path, part: str) -> None:
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        quiet_train(tiny_experiment(f"{part}.amp=fp16"), tmp_path)


def test_a_split_without_labels_is_refused(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no scene of split 'test' is labelled"):
        quiet_train(tiny_experiment("data.train_split=test"), tmp_path)


def test_an_unknown_device_is_refused(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown device 'gpu'"):
        train(tiny_experiment(), tmp_path, device="gpu")


def test_a_failed_start_leaves_no_folder(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        quiet_train(tiny_experiment(f"data.path={tmp_path / 'nowhere'}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a training run"):
        load_run(tmp_path)


def test_a_damaged_checkpoint_is_named(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    quiet_train(tiny_experiment("data.val_split=null"), tmp_path, stop_after=1)
    file = tmp_path / "checkpoints" / "last.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last\.pt: not a readable checkpoint"):
        load_run(tmp_path, device="cpu")


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "path": Path("/")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / "old.pt")
    with pytest.raises(ValueError, match="checkpoint format 99 is newer"):
        load_checkpoint(tmp_path / "old.pt")
