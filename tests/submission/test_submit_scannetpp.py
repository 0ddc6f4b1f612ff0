"""ScanNet++ from the raw folders to Top-1 and Top-3 IoU and a zip of three classes a vertex."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scannetpp_rooms import add_scene, add_tables
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.experiment import Experiment
from pointseg.prediction.predict import predict_scenes
from pointseg.prepare import scannetpp
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store

TESTED = ("cccccccccc", "0123456789")


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "spp"
    lists = {"nvs_sem_train": ["aaaaaaaaaa"], "nvs_sem_val": ["bbbbbbbbbb"], "sem_test": TESTED}
    add_tables(source, lists)
    segments = [i // 5 for i in range(25)]
    objects = [("floor", range(5)), ("wall", [0, 1]), ("chair", [1, 2]), ("cushion", [2]), ("table", [4])]
    add_scene(source, "aaaaaaaaaa", segments, objects, side=5)
    add_scene(source, "bbbbbbbbbb", segments, objects, side=5, mask=[3, 24])
    for name in TESTED:
        add_scene(source, name, None, side=5 if name == TESTED[0] else 4)
    return source


@pytest.fixture
def run(
    source: Path,
    tmp_path: Path,
    tiny_experiment: Callable[..., Experiment],
    fresh_run: Callable[..., Path],
) -> Path:
    assert scannetpp.main([str(source), str(tmp_path / "store"), "--workers", "1"]) == 0
    experiment = tiny_experiment(f"data.path={tmp_path / 'store'}")
    return fresh_run(experiment, Store.open(tmp_path / "store").label_space)


def top3(run: Path, store: Store, scene: str) -> np.ndarray:
    loaded = load_run(run, device="cpu")
    (prediction,) = predict_scenes(loaded.segmenter, loaded.pipeline, [store.load(scene)], top=3)
    assert prediction.top_index is not None
    return prediction.top_index


def test_the_zip_has_three_classes_for_each_vertex_of_the_mesh(
    run: Path, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "submission.zip"
    result = invoke("submit", run, "-o", output, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "2 scenes, 41 vertices, checked" in result.stdout and "four submissions" in result.stdout
    store = Store.open(tmp_path / "store")
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == [f"{name}.txt" for name in sorted(TESTED)]
        for name, vertices in zip(TESTED, (25, 16), strict=True):
            written = np.loadtxt(archive.read(f"{name}.txt").decode().splitlines(), dtype=int, delimiter=",")
            assert store.num_vertices(name) == 2 * vertices  # with points that were drawn on the surface
            assert np.array_equal(written, top3(run, store, name)[:vertices])
    for labels in ("scannetpp", run / "label_space.json"):
        checked = invoke("check-submission", output, "--raw", source, "--labels", labels)
        assert checked.exit_code == 0, checked.output
        assert "2 of 2 scenes read, 41 vertices" in checked.stdout


def test_evaluate_reports_the_score_of_the_benchmark(run: Path, tmp_path: Path) -> None:
    result = invoke("evaluate", run, "--device", "cpu", "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    assert "Top-1 over all labels" in result.stdout and "Top-3 over all labels" in result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    store = Store.open(tmp_path / "store")
    room = store.load("bbbbbbbbbb")
    assert room.raw_label is not None and room.further_label is not None
    truth = np.column_stack([room.raw_label, room.further_label])[:25]
    ranked = top3(run, store, "bbbbbbbbbb")[:25]
    kept = [v for v in range(25) if v not in (3, 24)]
    for k in (1, 3):
        matrix = np.zeros((5, 5), int)
        for v in kept:
            for label in truth[v][truth[v] >= 0]:
                matrix[label, label if label in ranked[v, :k] else ranked[v, 0]] += 1
        hit = np.diag(matrix)
        union = matrix.sum(0) + matrix.sum(1) - hit
        expected = np.mean(hit[union > 0] / union[union > 0])
        assert report["ranked"][f"top{k}"]["miou"]["defined"] == pytest.approx(expected)
    # The ordinary numbers look at one label of each vertex that is scored.
    assert sum(row["tp"] + row["fn"] for row in report["classes"]) == 23


def text(rows: np.ndarray, separator: str = ",") -> bytes:
    return "".join(separator.join(map(str, np.atleast_1d(row))) + "\n" for row in rows).encode()


def good() -> dict[str, bytes]:
    ids = np.arange(25)[:, None] % 5
    three = np.concatenate([ids, (ids + 1) % 5, (ids + 2) % 5], axis=1)
    return {f"{TESTED[0]}.txt": text(three), f"{TESTED[1]}.txt": text(three[:16, 0])}


FIRST = f"{TESTED[0]}.txt"
THREE = np.loadtxt(good()[FIRST].decode().splitlines(), dtype=int, delimiter=",")

#: mistake -> (content of the first file, kind, words of the message)
MISTAKES: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "two classes a line": (text(THREE[:, :2]), "ranks", ("line 1", "two are refused")),
    "four classes a line": (text(np.tile(THREE, 2)[:, :4]), "ranks", ("line 1",)),
    "one line with one": (
        text(THREE[:4]) + b"2\n" + text(THREE[5:]),
        "ranks",
        ("line 5: '2'",),
    ),
    "blanks for commas": (text(THREE, " "), "not_integers", ("line 1", "blanks in place of commas")),
    "floats": (text(THREE).replace(b"3", b"3.000000e+00", 1), "float_text", ("delimiter=','",)),
    "a header": (b"a,b,c\n" + text(THREE), "not_integers", ("line 1: 'a,b,c'",)),
    "a blank line": (text(THREE[:9]) + b"\n" + text(THREE[9:]), "blank_line", ("line 10",)),
    "a line too few": (text(THREE[:24]), "voxel_resolution", ("24 lines for 25 vertices",)),
    "drawn points too": (
        text(np.tile(THREE, (2, 1))),
        "line_count",
        ("50 lines for 25", "drawn on its surface"),
    ),
    "no label": (text(np.where(THREE == 4, -100, THREE)), "unlabelled", ("-100",)),
    "unlabelled": (text(np.where(THREE == 4, -1, THREE)), "unlabelled", ("negative ids",)),
    "an id too large": (text(np.where(THREE == 4, 300, THREE)), "invalid_ids", ("300",)),
}


def check(tmp_path: Path, source: Path, files: dict[str, bytes]) -> Any:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return invoke("check-submission", tmp_path / "s.zip", "--labels", "scannetpp", "--raw", source)


def test_one_or_three_classes_a_line_are_both_right(source: Path, tmp_path: Path) -> None:
    result = check(tmp_path, source, good())
    assert result.exit_code == 0, result.output
    assert "41 vertices" in result.stdout and "0 of 5 classes are never predicted" in result.stdout
    windows = {name: data.replace(b"\n", b"\r\n") for name, data in good().items()}
    windows[FIRST] = windows[FIRST].removesuffix(b"\r\n")
    assert check(tmp_path, source, windows).exit_code == 0


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_fix(source: Path, tmp_path: Path, mistake: str) -> None:
    content, kind, words = MISTAKES[mistake]
    files = {FIRST: content} if kind == "voxel_resolution" else {**good(), FIRST: content}
    result = check(tmp_path, source, files)
    assert result.exit_code == 1, result.output
    assert f"{kind}: " in result.stdout
    for word in words:
        assert word in result.stdout


def test_scenes_of_another_split_and_missing_ones_are_told(source: Path, tmp_path: Path) -> None:
    result = check(tmp_path, source, {FIRST: good()[FIRST], "bbbbbbbbbb.txt": good()[FIRST]})
    assert "missing_scene: " in result.stdout and "0123456789.txt" in result.stdout
    assert "extra_scene: " in result.stdout and "bbbbbbbbbb.txt" in result.stdout


def test_its_classes_stand_in_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"")
    result = invoke("check-submission", tmp_path / "s.zip", "--labels", "scannetpp")
    assert result.exit_code == 2 and "add --raw DIR" in result.stderr
