"""Damaged checkpoints: no flipped bit loads as other weights, and a run goes on from the newest whole one."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, load_run, save_checkpoint
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def flip(file: Path, bit: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ 1 << bit % 8]))


def test_no_flipped_bit_of_a_checkpoint_loads_as_another(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    state = {"step": 3, "weights": {"w": torch.randn(20, 10), "b": torch.arange(7)}, "lr": 0.5}
    save_checkpoint(file, state)
    whole, size = load_checkpoint(file), 8 * file.stat().st_size
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        bit = rng.randrange(size)
        flip(file, bit)
        try:
            assert same(load_checkpoint(file), whole), bit
        except ValueError as error:
            assert "a.pt" in str(error)
            refused += 1
        flip(file, bit)
    assert same(load_checkpoint(file), whole)
    # What is left are bits of padding and of dates.
    assert refused > 100


def trained(experiment: Experiment, out: Path, **options: Any) -> str:
    text = io.StringIO()
    train(experiment, out, device="cpu", console=Console(file=text, width=200), **options)
    return text.getvalue()


@pytest.fixture
def experiment(tiny_experiment: MakeExperiment) -> Experiment:
    return tiny_experiment("train.steps=3", "train.checkpoint_every=1", "data.val_split=null")


def test_a_run_goes_on_from_the_newest_whole_checkpoint_and_says_so(
    experiment: Experiment, tmp_path: Path
) -> None:
    trained(experiment, tmp_path / "whole")
    out = tmp_path / "run"
    trained(experiment, out, stop_after=2)
    checkpoints = out / "checkpoints"
    assert [int(load_checkpoint(checkpoints / n)["step"]) for n in ("last.pt", "last.1.pt")] == [2, 2]
    last = checkpoints / "last.pt"
    last.unlink()
    last.write_bytes((checkpoints / "last.1.pt").read_bytes()[:-500])
    told = trained(experiment, out)
    assert "last.pt: not a readable checkpoint" in told
    assert "continues from last.1.pt instead, step 2" in told
    never_stopped = load_checkpoint(tmp_path / "whole/checkpoints/last.pt")
    assert same(load_checkpoint(last)["weights"], never_stopped["weights"])


def test_so_many_are_kept_as_asked_for(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    options = ("train.steps=4", "train.checkpoint_every=1", "data.val_split=null")
    trained(tiny_experiment(*options, "train.keep_checkpoints=3"), tmp_path / "three")
    folder = tmp_path / "three/checkpoints"
    # The last step is saved when it is due and once more at the end.
    found = {file.name: int(load_checkpoint(file)["step"]) for file in folder.glob("last*")}
    assert found == {"last.pt": 4, "last.1.pt": 4, "last.2.pt": 3}
    trained(tiny_experiment(*options, "train.keep_checkpoints=1"), tmp_path / "one")
    assert [file.name for file in (tmp_path / "one/checkpoints").glob("last*")] == ["last.pt"]


def test_where_none_is_whole_the_run_says_so(experiment: Experiment, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained(experiment, out, stop_after=1)
    for file in (out / "checkpoints").glob("last*"):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content[:100])
    with pytest.raises(ValueError, match=r"(?s)no whole checkpoint.*last\.pt.*--no-resume") as caught:
        trained(experiment, out)
    assert "last.1.pt" in str(caught.value) or not (out / "checkpoints/last.1.pt").exists()
    with pytest.raises(ValueError, match=r"last\.pt: not a readable checkpoint"):
        load_run(out, checkpoint="last", device="cpu")


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: checkpoint format 99 is newer than this pointseg"):
        load_checkpoint(tmp_path / "a.pt")
