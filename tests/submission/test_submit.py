"""pointseg submit: a run's predictions for every vertex, as raw ids, in a zip that passes the check."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import LabelSpace
from pointseg.experiment import Experiment
from pointseg.formats.label_text import parse_labels
from pointseg.prediction.predict import predict_scenes
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store


@pytest.fixture
def untrained_run(
    tiny_experiment: Callable[..., Experiment], tiny_store: Path, fresh_run: Callable[..., Path]
) -> Path:
    return fresh_run(tiny_experiment(), Store.open(tiny_store).label_space)


def submit(run: Path, output: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["submit", str(run), "-o", str(output), "--device", "cpu", *options])


def test_the_zip_holds_the_raw_id_of_every_vertex_in_file_order(
    untrained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    result = submit(untrained_run, tmp_path / "submission.zip")
    assert result.exit_code == 0, result.output
    run, store = load_run(untrained_run, device="cpu"), Store.open(tiny_store)
    (expected,) = predict_scenes(run.segmenter, run.pipeline, [store.load("test0")])
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["test0.txt"]
        raw_id = parse_labels(archive.read("test0.txt"), "test0.txt")
    assert np.array_equal(raw_id, run.label_space.decode(expected.train_index))
    assert "1 scenes, 360 vertices, checked" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "submission.zip"]


def test_submitting_twice_gives_the_same_bytes(untrained_run: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        submit(untrained_run, tmp_path / name, "--views", "2")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_another_split_can_be_rehearsed(untrained_run: Path, tmp_path: Path) -> None:
    result = submit(untrained_run, tmp_path / "val.zip", "--split", "val")
    assert result.exit_code == 0
    assert "rehearsal" in result.stdout
    with zipfile.ZipFile(tmp_path / "val.zip") as archive:
        assert archive.namelist() == ["val0.txt", "val1.txt"]


def test_a_result_that_fails_the_check_does_not_get_the_name(
    untrained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabelSpace, "decode", lambda self, train_index: np.asarray(train_index) + 900)
    result = submit(untrained_run, tmp_path / "submission.zip")
    assert result.exit_code == 2
    assert "not fit for the server" in result.stderr
    assert not (tmp_path / "submission.zip").exists()
    assert (tmp_path / "submission.zip.rejected").exists()


def test_an_unknown_split_ends_with_a_message(untrained_run: Path, tmp_path: Path) -> None:
    result = submit(untrained_run, tmp_path / "s.zip", "--split", "exam")
    assert result.exit_code == 2
    assert "exam" in result.stderr


def test_a_folder_that_does_not_exist_is_told_before_anything_is_predicted(
    untrained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointseg.submission.submit.load_run", pytest.fail)
    result = submit(untrained_run, tmp_path / "absent" / "s.zip")
    assert result.exit_code == 2
    assert "absent" in result.stderr


def test_a_folder_without_a_run_ends_with_a_message(tmp_path: Path) -> None:
    result = submit(tmp_path, tmp_path / "s.zip")
    assert result.exit_code == 2
    assert "config.yaml" in result.stderr
