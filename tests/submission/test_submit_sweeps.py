"""Sweeps from raw folders by way of a store to the zip of their server, and the mistakes in such a zip."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.experiment import Experiment
from pointseg.formats.semantickitti import TEST
from pointseg.prediction.predict import predict_scenes
from pointseg.prepare import semantickitti
from pointseg.runs.checkpoint import load_run
from pointseg.scans.benchmark import Benchmark
from pointseg.scans.store import Store

KITTI = load_label_space("semantickitti")
DESCRIPTION = (
    "method name: ours\nmethod description: a network\nproject url:\npublication url:\nbibtex:\n"
    "organization or affiliation: us\n"
)


def invoke(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A sweep to train on, one to validate on, two of each sequence that is scored; 30 to 40 points each."""
    rng = np.random.default_rng(0)
    for sequence in ("00", "08", *TEST):
        folder = tmp_path / "dataset" / "sequences" / sequence
        (folder / "velodyne").mkdir(parents=True)
        for number in range(2 if sequence in TEST else 1):
            points = rng.uniform(-2, 2, (30 + int(rng.integers(10)), 4)).astype("<f4")
            points.tofile(folder / "velodyne" / f"{number:06d}.bin")
            if sequence not in TEST:
                (folder / "labels").mkdir()
                labels = np.array(KITTI.raw_ids, "<u4")[rng.integers(0, 19, len(points))]
                labels.tofile(folder / "labels" / f"{number:06d}.label")
    return tmp_path / "dataset"


@pytest.fixture
def run(
    dataset: Path,
    tmp_path: Path,
    tiny_experiment: Callable[..., Experiment],
    fresh_run: Callable[..., Path],
) -> Path:
    assert semantickitti.main([str(dataset), str(tmp_path / "store"), "--workers", "1"]) == 0
    experiment = tiny_experiment(f"data.path={tmp_path / 'store'}", "data.features=[height]")
    return fresh_run(experiment, KITTI)


def as_the_validator_looks(path: Path, dataset: Path) -> None:
    """What validate_submission.py of the release asks of a zip, said anew."""
    assert path.name.endswith(".zip")
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for number in range(11, 22):
        assert {"sequences/", f"sequences/{number}/", f"sequences/{number}/predictions/"} <= set(sizes)
        for sweep in (dataset / "sequences" / str(number) / "velodyne").iterdir():
            labels = sizes[f"sequences/{number}/predictions/{sweep.stem}.label"] // 4
            assert labels * 16 == sweep.stat().st_size


def test_a_run_on_sweeps_gives_the_zip_of_the_benchmark(run: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "about.txt").write_text(DESCRIPTION)
    output = tmp_path / "submission.zip"
    result = invoke("submit", run, "-o", output, "--device", "cpu", "--description", tmp_path / "about.txt")
    assert result.exit_code == 0, result.output
    assert "22 sweeps" in result.stdout and "rehearsal" in result.stdout
    as_the_validator_looks(output, dataset)
    loaded, store = load_run(run, device="cpu"), Store.open(tmp_path / "store")
    (expected,) = predict_scenes(loaded.segmenter, loaded.pipeline, [store.load("13_000001")])
    with zipfile.ZipFile(output) as archive:
        written = np.frombuffer(archive.read("sequences/13/predictions/000001.label"), "<u4")
        assert archive.read("description.txt").decode() == DESCRIPTION
        assert len(archive.namelist()) == 1 + 2 * 11 + 22 + 1
    # The inverse of the learning map: raw classes, no train index, no object.
    assert np.array_equal(written, np.asarray(KITTI.raw_ids)[expected.train_index])
    checked = invoke("check-submission", output, "--raw", dataset)
    assert checked.exit_code == 0, checked.output
    assert "22 of 22 sweeps read" in checked.stdout


def test_validation_can_be_rehearsed_and_a_text_for_the_server_must_be_one(run: Path, tmp_path: Path) -> None:
    assert invoke("submit", run, "-o", tmp_path / "val.zip", "--split", "val").exit_code == 0
    with zipfile.ZipFile(tmp_path / "val.zip") as archive:
        assert "sequences/08/predictions/000000.label" in archive.namelist()
    (tmp_path / "about.txt").write_text("we are good")
    words = ("submit", run, "-o", tmp_path / "s.zip", "--description", tmp_path / "about.txt")
    result = invoke(*words)
    assert result.exit_code == 2
    assert "description.txt lacks 'method name:'" in result.stderr
    assert not (tmp_path / "s.zip").exists()


def test_all_sweeps_of_the_test_sequences_are_no_rehearsal(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"")
    rules = Benchmark.of("semantickitti")
    assert "rehearsal" in rules.remarks({str(i): 1 for i in range(20350)}, tmp_path / "s.zip")[0]
    assert "still classes" in rules.remarks({str(i): 1 for i in range(20351)}, tmp_path / "s.zip")[0]


Files = dict[str, bytes]


def good(dataset: Path) -> Files:
    """What the server wants of the sweeps, made without our writer."""
    files: Files = {"sequences/": b""}
    for number in TEST:
        files |= {f"sequences/{number}/": b"", f"sequences/{number}/predictions/": b""}
        for sweep in sorted((dataset / "sequences" / number / "velodyne").iterdir()):
            points = sweep.stat().st_size // 16
            # Objects in the upper half, and moving classes, are counted as the benchmark does.
            labels = np.array([*KITTI.raw_ids, 252], "<u4")[np.arange(points) % 20] | np.uint32(7 << 16)
            files[f"sequences/{number}/predictions/{sweep.stem}.label"] = labels.tobytes()
    return files


FIRST = "sequences/11/predictions/000000.label"


def relabelled(files: Files, change: Callable[[np.ndarray], np.ndarray]) -> Files:
    return {
        name: change(np.frombuffer(data, "<u4")).tobytes() if name.endswith(".label") else data
        for name, data in files.items()
    }


def without(files: Files, pattern: str) -> Files:
    return {name: data for name, data in files.items() if not re.search(pattern, name)}


#: mistake -> (what is done to a good archive, its kind, words of the message)
MISTAKES: dict[str, tuple[Callable[[Files], Files], str, tuple[str, ...]]] = {
    "no folders": (lambda f: without(f, "/$"), "missing_folder", ("sequences/11/predictions/", "without -D")),
    "a folder too many": (
        lambda f: {f"results/{name}": data for name, data in f.items()},
        "enclosing_folder",
        (f"results/{FIRST}",),
    ),
    "a missing sweep": (lambda f: without(f, FIRST), "missing_sweep", (FIRST,)),
    "a sweep of validation": (
        lambda f: {**f, "sequences/08/predictions/000000.label": b"\0" * 4},
        "extra_sweep",
        ("sequences/08/",),
    ),
    "int64": (
        lambda f: relabelled(f, lambda x: x.astype("<i8")),
        "file_size",
        ("bytes for", "no int64"),
    ),
    "voxels": (lambda f: relabelled(f, lambda x: x[::2]), "file_size", ("no voxels",)),
    "a header of numpy": (lambda f: {**f, FIRST: b"\x93NUMPY" + f[FIRST]}, "file_size", (FIRST,)),
    "train indices": (
        lambda f: relabelled(f, lambda x: np.arange(len(x), dtype="<u4") % 19),
        "train_indices",
        ("0..18", "inverse"),
    ),
    "indices of the learning map": (
        lambda f: relabelled(f, lambda x: 1 + np.arange(len(x), dtype="<u4") % 19),
        "train_indices",
        ("1..19",),
    ),
    "no label": (lambda f: relabelled(f, lambda x: np.where(x & 0xFFFF == 10, 0, x)), "unlabelled", ()),
    "unknown ids": (lambda f: relabelled(f, lambda x: x + 300), "invalid_ids", ()),
    "a read-me": (lambda f: {**f, "sequences/readme.md": b"hello"}, "other_file", ("readme.md",)),
    "a bad description": (
        lambda f: {**f, "description.txt": b"method name: x"},
        "further_file",
        ("'bibtex:'",),
    ),
    "a description of bytes": (lambda f: {**f, "description.txt": b"\xff\xfe"}, "further_file", ("UTF-8",)),
    "a way out": (lambda f: {**f, "../evil.label": b""}, "unsafe_name", ("../evil",)),
    "a thousand files": (lambda f: f | {f"x{i}": b"" for i in range(999)}, "too_many_files", ("22 sweeps",)),
}


def archive(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as handle:
        for name, data in files.items():
            handle.writestr(name, data)
    return path


def test_a_zip_made_by_others_passes(dataset: Path, tmp_path: Path) -> None:
    files = {**good(dataset), "description.txt": DESCRIPTION.encode()}
    result = invoke("check-submission", archive(tmp_path / "s.zip", files), "--raw", dataset)
    assert result.exit_code == 0, result.output
    assert "0 of 19 classes are never predicted" in result.stdout


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_fix(dataset: Path, tmp_path: Path, mistake: str) -> None:
    change, kind, words = MISTAKES[mistake]
    path = archive(tmp_path / "s.zip", change(good(dataset)))
    result = invoke("check-submission", path, "--labels", "semantickitti", "--raw", dataset)
    assert result.exit_code == 1, result.output
    assert f"{kind}: " in result.stdout
    for word in words:
        assert word in result.stdout


def test_another_name_and_a_damaged_or_foreign_archive_are_told(dataset: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "s.zip", good(dataset))
    content = bytearray(path.read_bytes())
    content[content.index(FIRST.encode()) + len(FIRST) + 8] ^= 0xFF
    (tmp_path / "cut.zip").write_bytes(bytes(content))
    path.rename(tmp_path / "s.dat")
    (tmp_path / "x.zip").write_bytes(b"7z\xbc\xaf\x27\x1c")
    for name, kind in (("s.dat", "zip_name"), ("cut.zip", "corrupt"), ("x.zip", "not_a_zip")):
        result = invoke("check-submission", tmp_path / name, "--labels", "semantickitti", "--raw", dataset)
        assert result.exit_code == 1 and f"{kind}: " in result.stdout, result.output


def test_a_zip_of_another_name_is_refused_before_it_gets_it(run: Path, tmp_path: Path) -> None:
    result = invoke("submit", run, "-o", tmp_path / "submission.dat", "--device", "cpu")
    assert result.exit_code == 2 and "submission.dat. Servers refuse other names" in result.stderr
    assert not (tmp_path / "submission.dat").exists()


def test_what_is_expected_stands_in_the_data_set(dataset: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "s.zip", good(dataset))
    result = invoke("check-submission", path)
    assert result.exit_code == 2 and "give --raw DIR" in result.stderr
    result = invoke("check-submission", path, "--raw", tmp_path)
    assert result.exit_code == 2 and "expected sequences/11/velodyne" in result.stderr
    (dataset / "sequences" / "12" / "velodyne" / "000000.bin").write_bytes(b"\0" * 17)
    result = invoke("check-submission", path, "--raw", dataset)
    assert result.exit_code == 2 and "17 bytes are no whole number" in result.stderr


def test_a_text_on_the_method_is_for_that_server_alone(
    tiny_experiment: Callable[..., Experiment],
    tiny_store: Path,
    fresh_run: Callable[..., Path],
    tmp_path: Path,
) -> None:
    run = fresh_run(tiny_experiment(), Store.open(tiny_store).label_space)
    (tmp_path / "about.txt").write_text(json.dumps("x"))
    result = invoke("submit", run, "-o", tmp_path / "s.zip", "--description", tmp_path / "about.txt")
    assert result.exit_code == 2 and "takes none" in result.stderr
