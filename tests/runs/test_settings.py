"""What may differ when a run continues, what it notes of its machine, and which checkpoint is the newest."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pointseg.experiment import Experiment
from pointseg.runs import checkpoint as module
from pointseg.runs.checkpoint import load_checkpoint, load_run, save_last
from pointseg.runs.folder import RunFolder, compare, describe_environment

MakeExperiment = Callable[..., Experiment]


@pytest.mark.parametrize(
    "override",
    [
        *("data.path=elsewhere", "engine=reference", "train.workers=3", "train.num_threads=2"),
        *("train.log_every=7", "train.checkpoint_every=7", "train.keep_checkpoints=7"),
    ],
)
def test_where_and_how_fast_may_change(tiny_experiment: MakeExperiment, override: str) -> None:
    assert compare(tiny_experiment(), tiny_experiment(override)) == []


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=1", "seed: 0 there, 1 now"),
        ("train.batch_size=3", "train.batch_size: 2 there, 3 now"),
        ("train.val_every=4", "train.val_every: 3 there, 4 now"),
        ("train.deterministic=true", "train.deterministic: False there, True now"),
        ("data.voxel_size_m=0.2", "data.voxel_size_m: 0.1 there, 0.2 now"),
        ("evaluate.views=2", "evaluate.views: 1 there, 2 now"),
        ("augment.1.p=0.5", "augment.1.p: 1.0 there, 0.5 now"),
        ("losses.main.weight=2", "losses.main.weight: 1.0 there, 2.0 now"),
    ],
)
def test_what_is_computed_may_not_and_is_named(
    tiny_experiment: MakeExperiment, override: str, line: str
) -> None:
    assert compare(tiny_experiment(), tiny_experiment(override)) == [line]


def test_a_setting_that_is_not_there_is_not_none(tiny_experiment: MakeExperiment) -> None:
    plain, more = tiny_experiment(), tiny_experiment("losses.other={type: lovasz}")
    assert any(
        line.startswith("losses.other.type: not set there, 'lovasz' now") for line in compare(plain, more)
    )
    assert any(line.endswith("'lovasz' there, not set now") for line in compare(more, plain))


def test_the_machine_of_a_start_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pointseg", "train", "a b"])
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    noted = describe_environment(torch.device("cpu"))
    assert (noted["command"], noted["device"], noted["processes"]) == ("pointseg train 'a b'", "cpu", 1)
    assert noted["torch"] == torch.__version__ and noted["cpu_threads"] == torch.get_num_threads()
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert describe_environment(torch.device("cpu"))["processes"] == 3


def test_checkpoints_are_ordered_by_number_and_other_files_are_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    for name in ("last.10.pt", "last.2.pt", "last.pt", "last.old.pt", "best.pt", "last.3.txt"):
        (folder.checkpoints / name).touch()
    assert [file.name for file in folder.recent] == ["last.pt", "last.2.pt", "last.10.pt"]
    assert folder.weights() == folder.best and folder.weights("last") == folder.last
    folder.best.unlink()
    assert folder.weights() == folder.last


@pytest.mark.parametrize("has_links", [True, False])
def test_there_is_a_last_checkpoint_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not on this file system")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    real, there = module.save_checkpoint, []

    def watched(path: Path, state: dict[str, int]) -> None:
        there.append(path.is_file())
        real(path, state)

    monkeypatch.setattr(module, "save_checkpoint", watched)
    for step in range(5):
        save_last(folder, {"step": step}, keep=3)
    assert there == [False, True, True, True, True]
    assert [load_checkpoint(file)["step"] for file in folder.recent] == [4, 3, 2]


def test_a_run_is_loaded_ready_to_predict_as_asked_for(trained_run: Path) -> None:
    run = load_run(trained_run, device="cpu")
    assert run.step == 30 and not run.segmenter.training
    assert not any(parameter.requires_grad for parameter in run.segmenter.parameters())
    assert run.experiment.evaluate.amp == "none" and run.segmenter.evaluation_offset is None
    other = load_run(
        trained_run, device="cpu", engine="reference", amp="bf16", logit_adjustment_tau=1.0, checkpoint="last"
    )
    assert (other.experiment.engine, other.segmenter.engine) == ("reference", "reference")
    assert other.experiment.evaluate.amp == other.segmenter.precision.amp == "bf16"
    offset = other.segmenter.evaluation_offset
    assert offset is not None and offset.shape == (3,) and bool((offset > 0).all())
    # None of these asks for the others.
    assert other.experiment.evaluate.tau_normalisation == 0
    with pytest.raises(ValueError, match="checkpoint must be 'best' or 'last'; got 'newest'"):
        load_run(trained_run, checkpoint="newest", device="cpu")  # type: ignore[arg-type]
