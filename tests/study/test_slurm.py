"""--slurm of prepare, predict and study, with submitit's jobs as processes of this machine."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.formats.ply import read_ply, write_ply
from pointseg.scans.store import Store

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'pointseg[slurm]'")
JOBS = ["--slurm", "--slurm-option", "cluster=local"]


def run(*words: str | Path) -> tuple[int, str]:
    """Exit code, and what was said without the breaks of its lines."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Three clouds of two classes, one of them cut short."""
    random = np.random.default_rng(0)
    folder = tmp_path / "clouds"
    for name in ("train/a", "train/b", "val/c"):
        file = folder / f"{name}.ply"
        file.parent.mkdir(parents=True, exist_ok=True)
        xyz = random.uniform(0, 2, (300, 3)).astype(np.float32)
        label = (xyz[:, 2] > 1).astype(np.int32) + 1
        write_ply(file, xyz, rgb=np.full((300, 3), 90, np.uint8), label=label)
    (folder / "train" / "b.ply").write_bytes((folder / "train" / "b.ply").read_bytes()[:700])
    (tmp_path / "classes.csv").write_text("raw_id,name\n1,low\n2,high\n")
    return folder


def test_scenes_are_prepared_by_jobs_as_by_one_process(clouds: Path, tmp_path: Path) -> None:
    words = ["prepare", "custom", clouds, "--classes", tmp_path / "classes.csv", "--workers", "2"]
    for store, how in (("by_jobs", JOBS), ("here", [])):
        code, said = run(*words[:3], tmp_path / store, *words[3:], *how)
        # The broken one is named, and stops no other.
        assert code == 1 and "written 2, there already 0, failed 1" in said and "b.ply" in said
    by_jobs, here = (Store.open(tmp_path / store) for store in ("by_jobs", "here"))
    assert by_jobs.splits() == here.splits() == {"train": ["a"], "val": ["c"]}
    for name in ("a", "c"):
        assert by_jobs.entry(name) == here.entry(name)
        assert np.array_equal(by_jobs.load(name).xyz_m, here.load(name).xyz_m)
    assert not (tmp_path / "by_jobs" / ".slurm").exists()


def test_files_are_labelled_by_jobs_as_by_one_process(
    trained_run: Path, clouds: Path, tmp_path: Path
) -> None:
    for out, how in (("by_jobs", JOBS), ("here", [])):
        code, said = run("predict", trained_run, clouds, "-o", tmp_path / out, "--device", "cpu", *how)
        assert code == 1 and "1 of 3 could not be labelled" in said and "Classes found" in said
        assert "[1/3]" in said and "[3/3]" in said
    for name in ("train/a.ply", "val/c.ply"):
        assert (tmp_path / "by_jobs" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert read_ply(tmp_path / "by_jobs" / "val" / "c.ply").label is not None
    # What is done is left, also by jobs; and one file needs none.
    shutil.rmtree(clouds / "train")
    code, said = run("predict", trained_run, clouds, "-o", tmp_path / "by_jobs", "--device", "cpu", *JOBS)
    assert code == 0 and "1 of 1 are done already" in said
    code, said = run("predict", trained_run, clouds / "val/c.ply", "-o", tmp_path / "c.ply", *JOBS)
    assert code == 2 and "--slurm is for many files" in said


def test_a_study_is_trained_by_jobs(write_study: Callable[..., Path], tmp_path: Path) -> None:
    study = write_study(methods={"cross_entropy": None, "focal": {"overrides": {"train.init_from": "gone"}}})
    words = ["study", study, "--out", tmp_path / "runs", "--device", "cpu", "--threads", "1", "--jobs", "2"]
    code, said = run(*words, *JOBS)
    assert code == 1 and "1 of 2 runs are finished, 1 of them now, 1 to go" in said
    assert (study.parent / "results.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "run", "clouds", "-o", "out"],
        ["study", "study.yaml"],
        ["prepare", "custom", "clouds", "store", "--classes", "classes.csv"],
    ],
)
def test_options_of_a_cluster_without_one_are_refused(
    words: list[str], clouds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(*words, "--slurm-option", "timeout_min=60")
    assert code == 2 and "--slurm-option is one of --slurm" in said
