"""pointseg check-submission: what is expected, what is printed, and the exit code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.formats.ply import write_scannet_mesh
from pointseg.scans.benchmark import Benchmark
from pointseg.scans.submission import write_submission

RAW_IDS = np.asarray(load_label_space("scannet200").raw_ids)
SCANNET = Benchmark.of("scannet200")
TEST = SCANNET.official


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
    expected = SCANNET.expected(None, tmp_path / "scenes.txt")
    assert expected == {"scene0568_00": SCANNET.counts["val"]["scene0568_00"]}


def test_a_listed_scene_that_is_not_known_asks_for_its_folder(tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text("my_room\n")
    with pytest.raises(ValueError, match="--raw DIR"):
        SCANNET.expected(None, tmp_path / "scenes.txt")


def test_a_list_of_scenes_picks_from_the_raw_folder(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text("scene0708_00\n")
    assert SCANNET.expected(raw, tmp_path / "scenes.txt") == {"scene0708_00": 30}


def test_a_part_of_the_real_test_scans_on_disk_still_means_the_whole_split(tmp_path: Path) -> None:
    scene = "scene0707_00"
    folder = tmp_path / "scans_test" / scene
    folder.mkdir(parents=True)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {TEST[scene]}\nend_header\n"
    (folder / f"{scene}_vh_clean_2.ply").write_text(header)
    assert SCANNET.expected(tmp_path, None) == TEST


def test_predictions_of_a_val_scan_are_named_as_such(raw: Path, tmp_path: Path) -> None:
    path = tmp_path / "val.zip"
    write_submission(path, [("scene0568_00", RAW_IDS)])
    result = check(path, "--raw", str(raw))
    assert "wrong_split" in result.stdout
    assert "(val)" in result.stdout


def test_the_two_week_rule_is_told_for_the_official_split_only(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"")
    assert "two weeks" in SCANNET.remarks(TEST, tmp_path / "s.zip")[0]
    assert "rehearsal" in SCANNET.remarks({"scene0707_00": 40}, tmp_path / "s.zip")[0]


def test_options_of_scans_and_of_images_do_not_go_together(good: Path, tmp_path: Path) -> None:
    result = check(good, "--raw", str(tmp_path), "--layout", "cityscapes")
    assert result.exit_code == 2
    assert "--raw, --layout: these options belong to different kinds of data" in result.stderr


@pytest.fixture
def meadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new data set, by its files alone: scenes named m1, m2, ..., two classes, two scored scenes."""
    folder = tmp_path / "resources" / "meadows"
    (folder / "label_sets").mkdir(parents=True)
    (folder / "label_sets" / "meadow2.csv").write_text(
        "valid_id,train_index,name,group,r,g,b\n70,0,grass,head,0,200,0\n80,1,poppy,tail,200,0,0\n"
    )
    (folder / "scene_vertex_counts.csv").write_text(
        "scene,split,num_vertices\nm1,exam,3\nm2,exam,2\nm3,train,9\n"
    )
    rules = {"scene_name": r"m\d+", "scored_split": "exam", "advice": "Mow first."}
    (folder / "benchmark.json").write_text(json.dumps(rules))
    monkeypatch.setattr(
        "pointseg.core.labels.resource_path", lambda *parts: tmp_path.joinpath("resources", *parts)
    )


@pytest.mark.usefixtures("meadows")
def test_the_files_of_a_new_data_set_are_all_that_its_submissions_need(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    write_submission(path, [("m1", np.array([70, 80, 70])), ("m2", np.array([80, 80]))])
    result = check(path, "--labels", "meadow2")
    assert result.exit_code == 0, result.output
    assert "2 of 2 scenes read, 5 vertices" in result.stdout and "Mow first." in result.stdout


@pytest.mark.usefixtures("meadows")
def test_its_mistakes_are_told_by_its_own_names_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    names = ("m1", "m3", "m4", "scene0000_00", "m1_001")
    write_submission(path, [(name, np.array([70, 70, 70])) for name in names])
    out = check(path, "--labels", "meadow2").stdout
    assert "wrong_split: " in out and "m3.txt (train)" in out
    assert (
        "missing_scene: " in out
        and "extra_scene: Scenes that are not expected are in the archive: m4.txt." in out
    )
    assert "other_text: " in out and "scene0000_00.txt" in out
    assert "instance_format: " in out and "m1_001.txt" in out


def test_a_label_set_of_no_known_benchmark_asks_for_the_scans(tmp_path: Path) -> None:
    space = {"name": "mine", "unlabelled_raw_id": 0, "classes": []}
    space["classes"] = [{"raw_id": 5, "name": "it", "group": "", "color": [1, 2, 3]}]
    (tmp_path / "mine.json").write_text(json.dumps(space))
    write_submission(tmp_path / "s.zip", [("a", np.array([5]))])
    result = check(tmp_path / "s.zip", "--labels", str(tmp_path / "mine.json"))
    assert result.exit_code == 2 and "add --raw DIR" in result.stderr


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
