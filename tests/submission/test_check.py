"""pointseg check-submission: what is expected, what is printed, and the exit code."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.formats.ply import write_scannet_mesh
from pointseg.formats.submission import write_submission
from pointseg.formats.vertex_counts import official_vertex_counts
from pointseg.submission.check import expected_vertex_counts, print_advice

RAW_IDS = np.asarray(load_label_space("scannet200").raw_ids)
TEST = official_vertex_counts()["test"]


def check(path: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["check-submission", str(path), *options])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two generated test scans, of 40 and 30 vertices."""
    for scene, count in (("scene0707_00", 40), ("scene0708_00", 30)):
        folder = tmp_path / "raw" / "scans_test" / scene
        folder.mkdir(parents=True)
        xyz, rgba = np.zeros((count, 3), np.float32), np.zeros((count, 4), np.uint8)
        write_scannet_mesh(folder / f"{scene}_vh_clean_2.ply", xyz, rgba, np.array([[0, 1, 2]]))
    return tmp_path / "raw"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "submission.zip"
    write_submission(path, [("scene0707_00", RAW_IDS[np.arange(40)]), ("scene0708_00", RAW_IDS[:30])])
    return path


def test_a_good_zip_of_generated_scenes_passes_and_shows_its_classes(raw: Path, good: Path) -> None:
    result = check(good, "--raw", str(raw))
    assert result.exit_code == 0
    assert "2 of 2 scenes read, 70 vertices" in result.stdout
    assert "wall" in result.stdout
    assert "2.857" in result.stdout
    assert "160 of 200 classes are never predicted" in result.stdout
    assert "not the official test split" in result.stdout


def test_mistakes_are_printed_with_their_fix_and_exit_code_1(raw: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    write_submission(path, [("scene0707_00", np.arange(40)), ("readme", np.array([1]))])
    result = check(path, "--raw", str(raw))
    assert result.exit_code == 1
    for word in ("train_indices", "LabelSpace.decode", "missing_scene", "scene0708_00.txt", "other_text"):
        assert word in result.stdout


def test_the_whole_official_test_split_is_expected_by_default(good: Path) -> None:
    result = check(good)
    assert result.exit_code == 1
    assert "98 more" not in result.stdout
    assert "2 of 100 scenes read" in result.stdout
    assert f"40 lines for {TEST['scene0707_00']:,} vertices" in result.stdout


def test_a_list_of_scenes_takes_its_counts_from_the_shipped_table(tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text("scene0568_00\n")
    expected = expected_vertex_counts(None, tmp_path / "scenes.txt")
    assert expected == {"scene0568_00": official_vertex_counts()["val"]["scene0568_00"]}


def test_a_listed_scene_that_is_not_known_asks_for_its_folder(tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text("my_room\n")
    with pytest.raises(ValueError, match="--raw DIR"):
        expected_vertex_counts(None, tmp_path / "scenes.txt")


def test_a_list_of_scenes_picks_from_the_raw_folder(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text("scene0708_00\n")
    assert expected_vertex_counts(raw, tmp_path / "scenes.txt") == {"scene0708_00": 30}


def test_a_part_of_the_real_test_scans_on_disk_still_means_the_whole_split(tmp_path: Path) -> None:
    scene = "scene0707_00"
    folder = tmp_path / "scans_test" / scene
    folder.mkdir(parents=True)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {TEST[scene]}\nend_header\n"
    (folder / f"{scene}_vh_clean_2.ply").write_text(header)
    assert expected_vertex_counts(tmp_path, None) == TEST


def test_predictions_of_a_val_scan_are_named_as_such(raw: Path, tmp_path: Path) -> None:
    path = tmp_path / "val.zip"
    write_submission(path, [("scene0568_00", RAW_IDS)])
    result = check(path, "--raw", str(raw))
    assert "wrong_split" in result.stdout
    assert "(val)" in result.stdout


def test_the_two_week_rule_is_told_for_the_official_split_only(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"")
    told = []
    for expected in (TEST, {"scene0707_00": 40}):
        console = Console(file=io.StringIO(), width=200)
        print_advice(expected, tmp_path / "s.zip", console)
        told.append("two weeks" in console.file.getvalue())  # type: ignore[attr-defined]
    assert told == [True, False]


@pytest.mark.parametrize(
    "options", [("--labels", "scannet21"), ("--raw", "nowhere"), ("--scenes", "nowhere")]
)
def test_options_that_name_nothing_end_with_exit_code_2(good: Path, options: tuple[str, str]) -> None:
    result = check(good, *options)
    assert result.exit_code == 2
    assert options[1] in result.stderr


def test_a_zip_that_does_not_exist_ends_with_exit_code_2(tmp_path: Path) -> None:
    result = check(tmp_path / "absent.zip")
    assert result.exit_code == 2
    assert "absent.zip" in result.stderr
