"""nuScenes-lidarseg from the raw folders to the zip of its server, and the mistakes in such a zip."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes_sweeps import add_version, token_of
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.experiment import Experiment
from pointseg.formats.id_diagnosis import diagnose_ids
from pointseg.prediction.predict import predict_scenes
from pointseg.prepare import nuscenes
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store

TOKENS = [token_of("scene-0077", number) for number in range(2)]
META = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    add_version(
        tmp_path / "nuscenes", "v1.0-trainval", {"scene-0061": [[3, 15, 30] * 9], "scene-0103": [[30] * 20]}
    )
    add_version(tmp_path / "nuscenes", "v1.0-test", {"scene-0077": [20, 25]})
    return tmp_path / "nuscenes"


def test_a_run_on_sweeps_gives_the_zip_of_the_server(
    source: Path,
    tmp_path: Path,
    tiny_experiment: Callable[..., Experiment],
    fresh_run: Callable[..., Path],
) -> None:
    assert nuscenes.main([str(source), str(tmp_path / "store"), "--workers", "1"]) == 0
    experiment = tiny_experiment(f"data.path={tmp_path / 'store'}", "data.features=[height]")
    run, output = fresh_run(experiment, load_label_space("nuscenes")), tmp_path / "submission.zip"
    result = invoke("submit", run, "-o", output, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "2 sweeps, 45 points, checked" in result.stdout and "rehearsal" in result.stdout
    loaded, store = load_run(run, device="cpu"), Store.open(tmp_path / "store")
    with zipfile.ZipFile(output) as archive:
        assert set(archive.namelist()) == {
            "test/submission.json",
            *(f"lidarseg/test/{token}_lidarseg.bin" for token in TOKENS),
        }
        assert json.loads(archive.read("test/submission.json")) == {"meta": META}
        for token in TOKENS:
            written = np.frombuffer(archive.read(f"lidarseg/test/{token}_lidarseg.bin"), "u1")
            (expected,) = predict_scenes(loaded.segmenter, loaded.pipeline, [store.load(token)])
            assert np.array_equal(written, expected.train_index + 1)
    assert invoke("check-submission", output, "--raw", source).exit_code == 0
    # The val split can be checked by the devkit on one's own machine, and here.
    assert invoke("submit", run, "-o", tmp_path / "val.zip", "--split", "val").exit_code == 0
    with zipfile.ZipFile(tmp_path / "val.zip") as archive:
        assert "val/submission.json" in archive.namelist()
    checked = invoke("check-submission", tmp_path / "val.zip", "--raw", source)
    assert checked.exit_code == 0 and "1 of 1 sweeps read, 20 points" in checked.stdout
    (source / "v1.0-trainval").rename(source / "elsewhere")
    checked = invoke("check-submission", tmp_path / "val.zip", "--raw", source)
    assert checked.exit_code == 2 and "with the split 'val'" in checked.stderr


Files = dict[str, bytes]
FIRST = f"lidarseg/test/{TOKENS[0]}_lidarseg.bin"
JSON = "test/submission.json"


def labels(count: int, kind: str = "u1") -> bytes:
    return (1 + np.arange(count) % 16).astype(kind).tobytes()


def good() -> Files:
    second = f"lidarseg/test/{TOKENS[1]}_lidarseg.bin"
    return {FIRST: labels(20), second: labels(25), JSON: json.dumps({"meta": META}).encode()}


#: mistake -> (what is other in a good archive; None: left out), kind, words of the message
MISTAKES: dict[str, tuple[dict[str, bytes | None], str, tuple[str, ...]]] = {
    "no word on the inputs": ({JSON: None}, "missing_file", (JSON,)),
    "no JSON": ({JSON: b"{"}, "further_file", ("no JSON",)),
    "one key too few": ({JSON: b'{"meta": {"use_lidar": true}}'}, "further_file", ("use_external",)),
    "words for truth": (
        {JSON: json.dumps({"meta": {**META, "use_map": "no"}}).encode()},
        "further_file",
        ("use_map must be true or false",),
    ),
    "a missing sweep": ({FIRST: None}, "missing_sweep", (FIRST,)),
    "int64": ({FIRST: labels(20, "<i8")}, "file_size", ("160 bytes for 20 points, not 20", "uint8")),
    "no class": ({FIRST: b"\0" + labels(19)}, "unlabelled", ()),
    "another folder": ({FIRST: None, f"{TOKENS[0]}_lidarseg.bin": labels(20)}, "extra_sweep", ()),
    "general classes": ({FIRST: bytes([30] * 20)}, "invalid_ids", ("30",)),
}


def check(tmp_path: Path, source: Path, files: dict[str, bytes | None]) -> Any:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)
    return invoke("check-submission", tmp_path / "s.zip", "--raw", source)


def test_a_zip_made_by_others_passes_without_entries_for_folders(source: Path, tmp_path: Path) -> None:
    result = check(tmp_path, source, {**good()})
    assert result.exit_code == 0, result.output
    assert "0 of 16 classes are never predicted" in result.stdout


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_fix(source: Path, tmp_path: Path, mistake: str) -> None:
    change, kind, words = MISTAKES[mistake]
    result = check(tmp_path, source, {**good(), **change})
    assert result.exit_code == 1, result.output
    assert f"{kind}: " in result.stdout
    for word in words:
        assert word in result.stdout


def test_train_indices_are_told_as_such(source: Path, tmp_path: Path) -> None:
    less = {name: bytes(b - 1 for b in data) if "bin" in name else data for name, data in good().items()}
    result = check(tmp_path, source, {**less})
    assert "train_indices: " in result.stdout and "0..15" in result.stdout


def test_small_ids_of_another_data_set_are_no_wrong_label_set() -> None:
    # All of these are classes of ScanNet200 and numbers of classes of nuScenes; 13 is none of ScanNet's 20.
    used = (1, 2, 3, 4, 5, 6, 7, 8, 13)
    assert set(used) <= set(load_label_space("scannet200").raw_ids)
    assert diagnose_ids(dict.fromkeys(used, 5), load_label_space("scannet200")) is None
