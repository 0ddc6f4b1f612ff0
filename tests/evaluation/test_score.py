"""pointseg score: the official script's integers and its verdict on malformed input."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.evaluation.score import score_folders
from pointseg.formats.label_text import write_labels

OFFICIAL = json.loads((Path(__file__).parents[1] / "fixtures" / "eval_fixtures.json").read_text())
RUNNER = CliRunner()
#: (predicted raw ids, true raw ids) of each scene.
Scans = list[tuple[list[int], list[int]]]

#: Each case of the official input-error table as (prediction, ground truth) bytes.
INPUTS = {
    "fewer lines than vertices": b"1\n",
    "more lines than vertices": b"1\n1\n1\n",
    "float text such as 1.000e+00 (numpy.savetxt default)": b"1.000e+00\n1.000e+00\n",
    "blank line in the middle": b"1\n\n1\n",
    "extra blank line at the end": b"1\n1\n\n",
    "no newline at the end": b"1\n1",
    "CRLF line ends": b"1\r\n1\r\n",
    "negative prediction -1": b"-1\n1\n",
    "prediction 99999": b"99999\n1\n",
    "two numbers on a line": b"1 1\n1\n",
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("pred", "gt"):
        (tmp_path / name).mkdir()
    return tmp_path / "pred", tmp_path / "gt"


def run(folders: tuple[Path, Path], labels: str = "scannet20", *options: str) -> Any:
    pred, gt = folders
    return RUNNER.invoke(app, ["score", "--pred", str(pred), "--gt", str(gt), "--labels", labels, *options])


def write(folders: tuple[Path, Path], scene: str, predicted: list[int], truth: list[int]) -> None:
    for folder, ids in zip(folders, (predicted, truth), strict=True):
        (folder / f"{scene}.txt").write_text("".join(f"{i}\n" for i in ids))


@pytest.mark.parametrize("case", OFFICIAL["fixtures"], ids=lambda case: case["name"])
def test_the_official_script_is_equalled_integer_for_integer(
    case: dict[str, Any], folders: tuple[Path, Path]
) -> None:
    for scene, ids in case["scans"].items():
        write(folders, scene, ids["pred_ids"], ids["gt_ids"])
    label_space = load_label_space(case["label_set"])
    report = score_folders(*folders, label_space).report

    column_id = [*label_space.raw_ids, case["unknown_id"]]
    counts = report.confusion.counts
    cells = [[label_space.raw_ids[r], column_id[c], int(counts[r, c])] for r, c in np.argwhere(counts)]
    assert sorted(cells) == sorted(case["confusion_nonzero_gt_pred_count"])

    for entry in report.to_dict()["classes"]:
        official = case["per_class"].get(
            str(entry["raw_id"]), {"iou": None, "tp": 0, "denom": 0, "gt_vertices": 0}
        )
        assert entry["tp"] == official["tp"]
        assert entry["tp"] + entry["fp"] + entry["fn"] == official["denom"]
        assert entry["tp"] + entry["fn"] == official["gt_vertices"]
        assert entry["iou"] == pytest.approx(official["iou"], abs=1e-12)

    means = case["summary"]["all"]
    assert report.miou["defined"] == pytest.approx(means["mean_iou_defined"], abs=1e-12)
    assert report.miou["present"] == pytest.approx(means["mean_iou_with_gt"], abs=1e-12)
    assert report.miou["all"] == pytest.approx(means["mean_iou_all_absent_as_zero"], abs=1e-12)
    assert [report.miou.num_all, report.miou.num_defined, report.miou.num_present] == [
        means["classes"],
        means["defined"],
        means["with_gt"],
    ]


@pytest.mark.parametrize("case", OFFICIAL["input_errors"], ids=lambda case: case["case"])
def test_input_is_accepted_exactly_when_the_official_script_accepts_it(
    case: dict[str, Any], folders: tuple[Path, Path]
) -> None:
    pred, gt = folders
    (pred / "s.txt").write_bytes(INPUTS[case["case"]])
    (gt / "s.txt").write_bytes(b"1\n1\n")
    result = run(folders)
    assert result.exit_code == (2 if case["exit_code"] else 0)
    if case["exit_code"]:
        assert f"{pred}/s.txt" in result.stderr
        assert "line " in result.stderr


def official_in_a_loop(scans: Scans, valid_ids: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """id -> (tp, denominator): the official algorithm over raw ids, vertex by vertex."""
    unknown = max(valid_ids) + 1
    confusion: Counter[tuple[int, int]] = Counter()
    for predicted, truth in scans:
        for p, t in zip(predicted, truth, strict=True):
            if t in valid_ids:
                confusion[t, p if p in valid_ids else unknown] += 1
    result = {}
    for label in valid_ids:
        tp = confusion[label, label]
        fn = sum(confusion[label, p] for p in (*valid_ids, unknown)) - tp
        fp = sum(confusion[t, label] for t in valid_ids if t != label)
        result[label] = (tp, tp + fp + fn)
    return result


@settings(max_examples=25)
@given(st.data(), st.sampled_from(["scannet20", "scannet200"]))
def test_any_folders_score_as_the_official_algorithm_in_a_loop(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, labels: str
) -> None:
    label_space = load_label_space(labels)
    # Few ids, so that they meet: valid ones, and others of every kind.
    raw_id = st.sampled_from([*label_space.raw_ids[:4], *label_space.raw_ids[-3:], 0, -1, 40, 1192, 99999])
    scan = st.lists(st.tuples(raw_id, raw_id), max_size=25).map(
        lambda v: ([p for p, _ in v], [t for _, t in v])
    )
    scans: Scans = data.draw(st.lists(scan, min_size=1, max_size=3))
    folder = tmp_path_factory.mktemp("folders")
    folders = (folder / "pred", folder / "gt")
    for part in folders:
        part.mkdir()
    for i, (predicted, truth) in enumerate(scans):
        write(folders, f"scene{i}", predicted, truth)
    classes = score_folders(*folders, label_space).report.to_dict()["classes"]
    found = {c["raw_id"]: (c["tp"], c["tp"] + c["fp"] + c["fn"]) for c in classes}
    assert found == official_in_a_loop(scans, label_space.raw_ids)


def test_several_scenes_share_one_confusion(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1, 2], [1, 1])
    write(folders, "b", [1, 2], [1, 2])
    score = score_folders(*folders, load_label_space("scannet20"))
    assert score.report.confusion.tp[:2].tolist() == [2, 1]
    assert score.scenes == ("a", "b")


def test_the_json_file_holds_the_agreed_keys(folders: tuple[Path, Path], tmp_path: Path) -> None:
    write(folders, "a", [1, 1191, 2], [1, 1191, 3])
    assert run(folders, "scannet200", "--json", str(tmp_path / "out.json")).exit_code == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert set(data["miou"]) == {"present", "defined", "all"}
    assert len(data["classes"]) == 200
    assert sum(data[group]["num_classes"] for group in ("head", "common", "tail")) == 3
    assert data["missing_predictions"] == []


def test_a_scene_without_prediction_is_named_loudly_and_not_evaluated(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    write(folders, "a", [1], [1])
    write_labels(folders[1] / "b.txt", [2])
    result = run(folders, "scannet20", "--json", str(tmp_path / "out.json"))
    assert result.exit_code == 0
    assert "WARNING" in result.stderr
    assert "b.txt" in result.stderr or "(b)" in result.stderr
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["missing_predictions"] == ["b"]
    assert data["miou"]["present"] == 1.0


def test_a_prediction_without_ground_truth_is_an_error(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1], [1])
    write_labels(folders[0] / "readme.txt", [1])
    result = run(folders)
    assert result.exit_code == 2
    assert "readme.txt" in result.stderr


def test_the_result_file_of_the_official_script_is_no_prediction(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1], [1])
    (folders[0] / "semantic_label_evaluation.txt").write_text("iou scores\n")
    assert run(folders).exit_code == 0


def test_an_empty_prediction_folder_is_an_error(folders: tuple[Path, Path]) -> None:
    result = run(folders)
    assert result.exit_code == 2
    assert "no prediction" in result.stderr


def test_a_folder_that_does_not_exist_is_an_error(folders: tuple[Path, Path]) -> None:
    result = run((folders[0] / "nowhere", folders[1]))
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_an_unknown_label_set_is_an_error(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1], [1])
    result = run(folders, "scannet2000")
    assert result.exit_code == 2
    assert "scannet200" in result.stderr


def test_every_malformed_file_is_named(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1, 2], [1])
    write(folders, "b", [1], [1])
    (folders[0] / "b.txt").write_text("1.0\n")
    result = run(folders)
    assert result.exit_code == 2
    assert "a.txt: 2 predictions for 1 vertices" in result.stderr
    assert "b.txt: line 1" in result.stderr


def refusal(folders: tuple[Path, Path]) -> str:
    with pytest.raises(ValueError) as caught:
        score_folders(*folders, load_label_space("scannet20"))
    return str(caught.value)


def test_ten_malformed_files_are_named_and_the_others_counted(folders: tuple[Path, Path]) -> None:
    for number in range(12):
        write(folders, f"s{number:02}", [1, 2], [1])
    message = refusal(folders)
    assert "s09.txt: 2 predictions for 1 vertices; line 2 has no partner" in message
    assert "s10.txt" not in message and message.endswith("... and 2 more files.")
    for number in (0, 1):
        (folders[0] / f"s{number:02}.txt").unlink()
    assert "s11.txt" in refusal(folders) and "more files" not in refusal(folders)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "1 file or scene (m0) with"),
        (5, "5 files or scenes (m0, m1, m2, m3, m4) with"),
        (6, "6 files or scenes (m0, m1, m2, m3, m4, ...) with"),
    ],
)
def test_five_missing_scenes_are_named(number: int, said: str, folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1], [1])
    for missing in range(number):
        write_labels(folders[1] / f"m{missing}.txt", [2])
    seen: list[str] = []
    score = score_folders(*folders, load_label_space("scannet20"), scored=seen.append)
    assert len(score.warnings) == 1 and score.warnings[0].startswith(said)
    assert len(score.missing_predictions) == number and seen == ["a"]


@pytest.mark.parametrize(
    ("predicted", "truth", "warnings"),
    [
        ([1, 1, 1, 1], [1, 1, 0, 0], []),
        ([1, 1, 1, 1], [1, 0, 0, 0], ["Only 1 of 4 vertices have a class of scannet20"]),
        ([1, 1, 0, 99], [1, 1, 1, 1], []),
        ([1, 0, 0, 99], [1, 1, 1, 1], ["3 of 4 predictions are no class of scannet20"]),
    ],
)
def test_half_of_the_ids_may_be_strange(
    predicted: list[int], truth: list[int], warnings: list[str], folders: tuple[Path, Path]
) -> None:
    write(folders, "a", predicted, truth)
    found = score_folders(*folders, load_label_space("scannet20")).warnings
    assert len(found) == len(warnings)
    assert all(line.startswith(words) for line, words in zip(found, warnings, strict=True))


def test_a_malformed_ground_truth_is_named_too(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [1], [1])
    (folders[1] / "a.txt").write_text("wall\n")
    result = run(folders)
    assert result.exit_code == 2
    assert f"{folders[1]}/a.txt: line 1" in result.stderr


def test_train_indices_in_place_of_raw_ids_are_warned_about(folders: tuple[Path, Path]) -> None:
    write(folders, "a", [0, 0, 0], [1, 1, 1])
    assert "train indices" in run(folders).stderr


def test_a_label_set_can_be_given_as_the_file_of_a_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    write(folders, "a", [1, 2], [1, 2])
    path = tmp_path / "label_space.json"
    path.write_text(json.dumps(load_label_space("scannet20").to_dict()))
    assert run(folders, str(path)).exit_code == 0
    path.write_text("{}")
    assert run(folders, str(path)).exit_code == 2
