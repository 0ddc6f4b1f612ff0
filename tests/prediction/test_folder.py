"""pointseg predict on many files: each in its format, what is done is left, a broken one stops no other."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.formats.ply import read_ply, write_ply
from pointseg.scans.store import Store


def predict(run: Path, *words: str | Path) -> Any:
    command = ["predict", str(run), *map(str, words), "--device", "cpu"]
    return CliRunner().invoke(app, command)


def said(result: Any) -> str:
    return " ".join(result.output.split())


@pytest.fixture
def clouds(tiny_store: Path, tmp_path: Path) -> Path:
    """The same room as PLY, NPZ, LAZ in a folder below, and text."""
    scene = Store.open(tiny_store).load("val0")
    assert scene.rgb is not None
    folder = tmp_path / "clouds"
    (folder / "tiles").mkdir(parents=True)
    write_ply(folder / "a.ply", scene.xyz_m, rgb=scene.rgb, faces=np.array([[0, 1, 2]]))
    np.savez(folder / "b.npz", xyz=scene.xyz_m, rgb=scene.rgb)
    header = laspy.LasHeader(version="1.4", point_format=7)
    header.scales = [0.0001] * 3
    tile = laspy.LasData(header)
    tile.x, tile.y, tile.z = scene.xyz_m.T
    tile.red, tile.green, tile.blue = scene.rgb.T.astype(np.uint16) * 257
    tile.write(folder / "tiles" / "c.LAZ")
    table = np.concatenate([scene.xyz_m, scene.rgb], axis=1)
    np.savetxt(folder / "d.csv", table, delimiter=",", header="x,y,z,red,green,blue", comments="")
    (folder / ".hidden.ply").write_bytes(b"no ply")
    (folder / "notes.md").write_text("of another kind")
    return folder


def test_a_folder_is_labelled_in_the_formats_that_it_has(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = predict(trained_run, clouds, "-o", out)
    assert result.exit_code == 0, result.output
    assert "[1/4]" in result.output and "1 files there are none of scans" in said(result)
    assert sorted(str(f.relative_to(out)) for f in out.rglob("*") if f.is_file()) == [
        *("a.ply", "b.npz", "d.ply", "predict.json", "tiles/c.LAZ")
    ]
    ply = read_ply(out / "a.ply")
    # In a folder colours are data, and stay.
    assert np.array_equal(ply.rgb, read_ply(clouds / "a.ply").rgb)
    assert np.array_equal(ply.faces, [[0, 1, 2]])
    single = tmp_path / "single.ply"
    assert predict(trained_run, clouds / "a.ply", "-o", single).exit_code == 0
    assert np.array_equal(ply.label, read_ply(single).label)
    with np.load(out / "b.npz") as npz:
        assert np.array_equal(npz["label"], ply.label)
    assert np.array_equal(laspy.read(out / "tiles" / "c.LAZ").classification, ply.label)
    assert np.array_equal(read_ply(out / "d.ply").label, ply.label)
    assert "1,440" not in result.output and result.output.count("360 points") == 4


def test_class_colours_can_be_had_in_a_folder_too(trained_run: Path, clouds: Path, tmp_path: Path) -> None:
    predict(trained_run, clouds / "*.ply", "-o", tmp_path / "out", "--class-colors")
    written = read_ply(tmp_path / "out" / "a.ply")
    assert not np.array_equal(written.rgb, read_ply(clouds / "a.ply").rgb)


def test_what_is_done_is_left_and_what_is_newer_or_missing_is_made(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert predict(trained_run, clouds, "-o", out).exit_code == 0
    before = {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in out.rglob("*") if f.is_file()}
    (out / "b.npz").unlink()
    now = (out / "a.ply").stat().st_mtime_ns + 1
    os.utime(clouds / "a.ply", ns=(now, now))
    result = predict(trained_run, clouds, "-o", out)
    assert result.exit_code == 0 and "2 of 4 are done already" in said(result)
    after = {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in out.rglob("*") if f.is_file()}
    assert {f.name for f in before if before[f] != after[f]} == {"a.ply", "b.npz"}
    again = predict(trained_run, clouds, "-o", out)
    assert again.exit_code == 0 and "4 of 4 are done already" in said(again) and "[1/" not in again.output


def test_other_options_do_not_mix_with_what_is_there(trained_run: Path, clouds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(trained_run, clouds / "*.npz", "-o", out)
    result = predict(trained_run, clouds, "-o", out, "--save", "margin")
    assert result.exit_code == 2
    assert "holds predictions made with save [], now ['margin']" in said(result)
    with np.load(out / "b.npz") as npz:
        assert "margin" not in npz.files
    assert predict(trained_run, clouds, "-o", out, "--save", "margin", "--overwrite").exit_code == 0
    with np.load(out / "b.npz") as npz:
        assert "margin" in npz.files
    other = tmp_path / "other_run"
    shutil.copytree(trained_run, other)
    state = json.loads((out / "predict.json").read_text())
    (out / "predict.json").write_text(json.dumps({**state, "weights_sha256": "0" * 64}))
    result = predict(other, clouds, "-o", out, "--save", "margin")
    assert result.exit_code == 2 and "other weights" in result.output


def test_an_overwriting_that_was_interrupted_leaves_nothing_of_the_options_before(
    trained_run: Path, clouds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    predict(trained_run, clouds, "-o", out)

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pointseg.prediction.folder.label", interrupt)
        assert predict(trained_run, clouds, "-o", out, "--save", "margin", "--overwrite").exit_code == 130
    result = predict(trained_run, clouds, "-o", out, "--save", "margin")
    assert result.exit_code == 0 and "done already" not in said(result)
    with np.load(out / "b.npz") as npz:
        assert "margin" in npz.files


def test_a_broken_file_is_listed_and_stops_no_other(trained_run: Path, clouds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    content = (clouds / "tiles" / "c.LAZ").read_bytes()
    (clouds / "aa_cut.laz").write_bytes(content[: len(content) // 2])
    (clouds / "no.ply").write_bytes(b"solid cube\n")
    result = predict(trained_run, clouds, "-o", out)
    assert result.exit_code == 1
    listed = said(result).split("2 of 6 could not be labelled:")[1]
    assert "aa_cut.laz: cannot be read as LAS/LAZ" in listed and "no.ply: cannot be read as PLY" in listed
    assert sorted(f.name for f in out.rglob("*") if f.is_file()) == [
        *("a.ply", "b.npz", "c.LAZ", "d.ply", "predict.json")
    ]
    (clouds / "no.ply").unlink()
    shutil.copy(clouds / "tiles" / "c.LAZ", clouds / "aa_cut.laz")
    result = predict(trained_run, clouds, "-o", out)
    assert result.exit_code == 0 and "4 of 5 are done already" in said(result)
    assert (out / "aa_cut.laz").is_file()


def test_files_that_the_shell_has_found_keep_their_folders(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = predict(
        trained_run, clouds / "b.npz", clouds / "tiles" / "c.LAZ", clouds / "gone.ply", "-o", out
    )
    assert result.exit_code == 1 and "gone.ply: no such file" in said(result)
    assert (out / "b.npz").is_file() and (out / "tiles" / "c.LAZ").is_file()
    # One file into a folder that is there.
    assert predict(trained_run, clouds / "a.ply", "-o", out).exit_code == 0
    assert (out / "a.ply").is_file()


def test_an_output_folder_below_the_input_is_no_input(trained_run: Path, clouds: Path) -> None:
    for _ in range(2):
        assert predict(trained_run, clouds, "-o", clouds / "out").exit_code == 0
    assert not (clouds / "out" / "out").exists()


def test_no_input_is_written_over_and_no_output_twice(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    before = (clouds / "a.ply").read_bytes()
    result = predict(trained_run, clouds, "-o", clouds)
    assert result.exit_code == 2 and "a file to read, which would be lost" in said(result)
    assert (clouds / "a.ply").read_bytes() == before
    shutil.copy(clouds / "d.csv", clouds / "a.csv")
    result = predict(trained_run, clouds, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "a.ply: both" in said(result)
    assert not (tmp_path / "out").exists()


def test_files_of_somebody_else_are_not_taken_for_done(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.ply").write_bytes(b"mine")
    result = predict(trained_run, clouds, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "a.ply: is there already" in said(result)
    assert (tmp_path / "out" / "a.ply").read_bytes() == b"mine"


@pytest.mark.parametrize("pattern", ["*.jpg", "nowhere/*.ply", "."])
def test_nothing_to_label_is_said(trained_run: Path, tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    result = predict(trained_run, tmp_path / pattern, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "no file of scans there; expected .ply, .npz" in said(result)
