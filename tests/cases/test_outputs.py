"""Outputs: judged before the work, never half, never over what was read; one message and exit code 2."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.convert.convert import read_weights
from pointseg.core.scene import Scene
from pointseg.formats.ply import write_ply
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.scans.store import StoreWriter


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def room(tmp_path: Path) -> Path:
    write_ply(tmp_path / "room.ply", np.random.default_rng(0).random((80, 3)).astype(np.float32))
    return tmp_path / "room.ply"


def test_predict_does_not_write_over_its_input(trained_run: Path, room: Path, tmp_path: Path) -> None:
    before = room.read_bytes()
    (tmp_path / "link.ply").symlink_to(room)
    os.link(room, tmp_path / "hard.ply")
    for name in ("room.ply", "link.ply", "hard.ply"):
        code, said = run("predict", trained_run, room, "-o", tmp_path / name)
        assert code == 2 and "this is the file to read" in said
    assert room.read_bytes() == before


@pytest.mark.parametrize("verb", ["predict", "evaluate", "submit", "convert"])
@pytest.mark.parametrize("place", ["folder", "nowhere"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    trained_run: Path, room: Path, tmp_path: Path, verb: str, place: str
) -> None:
    out = tmp_path / ("nowhere/out.ply" if place == "nowhere" else "out.ply")
    if place == "folder":
        out.mkdir()
    command = {
        "predict": ["predict", trained_run, room, "-o", out],
        "evaluate": ["evaluate", trained_run, "--json", out],
        "submit": ["submit", trained_run, "-o", out],
        "convert": ["convert", trained_run, "--to", "minkowski", "-o", out],
    }[verb]
    code, said = run(*command)
    assert code == 2 and out.name in said.replace("\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_with_the_file(trained_run: Path, room: Path, tmp_path: Path) -> None:
    (tmp_path / "full.ply").symlink_to("/dev/full")
    code, said = run("predict", trained_run, room, "-o", tmp_path / "full.ply")
    assert code == 2 and "No space left" in said and "full.ply" in said.replace("\n", "")


def test_views_that_there_are_not_are_refused_before_anything_is_loaded() -> None:
    for verb in ("evaluate", "submit"):
        code, said = run(verb, "nowhere", "--views", 99, *(["-o", "x.zip"] if verb == "submit" else []))
        assert code == 2 and "views" in said and "nowhere" not in said


def test_names_that_an_archive_cannot_hold_are_refused_before_the_prediction(
    trained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    from pointseg.scans.store import Store

    writer = StoreWriter(tmp_path / "store", Store.open(tiny_store).label_space)
    writer.add(Scene("Room 1", np.ones((5, 3), np.float32), rgb=np.zeros((5, 3), np.uint8)), "test")
    writer.finish()
    code, said = run("submit", trained_run, "-o", tmp_path / "x.zip", "--data", tmp_path / "store")
    assert code == 2 and "'Room 1'" in said and "predicting" not in said
    assert not list(tmp_path.glob("x.zip*"))


def test_what_a_submission_is_held_against_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("scene0707_00.txt", "1\n" * 30)
    code, said = run("check-submission", tmp_path / "x.zip")
    assert code == 1 and "official table" in said and "--raw DIR" in said


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        b"<html>",
        b"\xff" * 40,
        b"PK\x03\x04",
    ],
)
def test_weights_that_were_not_downloaded_whole_are_named(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"w\.{suffix}: "):
        read_weights(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_weights_that_were_cut_are_named(tmp_path: Path, share: float) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file({"a": torch.zeros(100)}, tmp_path / "w.safetensors")
    torch.save({"format": 1, "a": torch.zeros(100)}, tmp_path / "w.pt")
    for name, read in (("w.safetensors", read_weights), ("w.pt", load_checkpoint)):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=rf"{name}: "):
            read(tmp_path / name)
