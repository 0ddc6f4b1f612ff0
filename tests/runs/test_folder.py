"""The files of a RUN folder: damaged ones are named, and a run killed while they are written continues."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from rich.console import Console

from pointseg.config import ConfigError
from pointseg.core import durable
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_run
from pointseg.runs.folder import RunFolder
from pointseg.training.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]
FILES = ["config.yaml", "label_space.json", "class_statistics.json", "environment.json"]


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


@pytest.fixture
def run(tiny_experiment: MakeExperiment, tmp_path: Path) -> tuple[Experiment, Path]:
    """A run that stopped after one of two steps."""
    experiment = tiny_experiment("train.steps=2", "data.val_split=null")
    quiet_train(experiment, tmp_path, stop_after=1)
    return experiment, tmp_path


def cut_short(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("how", [cut_short, lambda file: file.write_bytes(b"")], ids=["half", "empty"])
def test_a_damaged_configuration_is_named_with_what_to_do(
    run: tuple[Experiment, Path], how: Callable[[Path], Any]
) -> None:
    experiment, folder = run
    how(folder / "config.yaml")
    for use in (lambda: load_run(folder, device="cpu"), lambda: quiet_train(experiment, folder)):
        with pytest.raises(ConfigError, match=r"config\.yaml: damaged.*Restore it from a copy.*--no-resume"):
            use()


@pytest.mark.parametrize("name", ["label_space.json", "class_statistics.json"])
@pytest.mark.parametrize("how", [cut_short, lambda file: file.write_text("{}")], ids=["half", "no keys"])
def test_a_damaged_table_is_named_and_training_writes_it_again(
    run: tuple[Experiment, Path], name: str, how: Callable[[Path], Any]
) -> None:
    experiment, folder = run
    whole = (folder / name).read_bytes()
    how(folder / name)
    with pytest.raises(ValueError, match=rf"{name}: not readable, .*train` command of this run writes it"):
        load_run(folder, device="cpu", logit_adjustment_tau=1.0)
    quiet_train(experiment, folder)
    assert (folder / name).read_bytes() == whole
    assert load_run(folder, device="cpu").step == 2


def test_a_damaged_record_of_starts_is_named_and_can_be_deleted(run: tuple[Experiment, Path]) -> None:
    experiment, folder = run
    cut_short(folder / "environment.json")
    with pytest.raises(ValueError, match=r"environment\.json: not readable, .*delete it and go on"):
        quiet_train(experiment, folder)
    (folder / "environment.json").unlink()
    assert quiet_train(experiment, folder).is_finished


@pytest.mark.parametrize("name", [*FILES, "last.pt"])
def test_a_run_killed_while_a_file_is_rewritten_continues(
    run: tuple[Experiment, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Half of the new content lies on the disk when the process ends, and nothing cleans up behind it."""
    experiment, folder = run

    @contextmanager
    def killed(path: Path | str) -> Iterator[BinaryIO]:
        left = Path(path).with_name(f".{Path(path).name}.0{durable.PARTIAL}")
        with left.open("wb") as stream:
            yield stream
        cut_short(left)
        raise KeyboardInterrupt

    real = durable.writing
    with monkeypatch.context() as patch:
        choose = lambda path: killed(path) if Path(path).name == name else real(path)  # noqa: E731
        patch.setattr(durable, "writing", choose)
        patch.setattr("pointseg.runs.checkpoint.writing", choose)
        with pytest.raises(KeyboardInterrupt):
            quiet_train(experiment, folder)
    assert list(folder.rglob(f".*{durable.PARTIAL}"))
    assert quiet_train(experiment, folder).is_finished
    assert load_run(folder, device="cpu").step == 2
    assert not list(folder.rglob(f".*{durable.PARTIAL}"))


def test_class_counts_are_read_as_they_were_written(run: tuple[Experiment, Path]) -> None:
    _, folder = run
    counts = RunFolder(folder).read_class_statistics()
    assert counts is not None and counts.num_samples == 5
    assert counts.samples.dtype == torch.int64 and counts.samples.tolist() == [5, 5, 5]
