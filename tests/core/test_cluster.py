"""Arrays of jobs, run by submitit's processes of this machine: results, failures, and what is asked for."""

import os
import signal
import time
from pathlib import Path

import pytest

from pointseg.core.cluster import Cluster, read_options

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'pointseg[slurm]'")
LOCAL = ["cluster=local"]


def double(numbers: list[int]) -> list[int]:
    """Twice each; of 13 an error, of 14 the death of the process."""
    if 13 in numbers:
        raise ValueError("thirteen cannot be doubled")
    if 14 in numbers:
        os._exit(3)
    return [2 * number for number in numbers]


def wait(files: list[Path]) -> None:
    files[0].write_text(str(os.getpid()))
    time.sleep(600)


def cluster(folder: Path, *, at_once: int = 8) -> Cluster:
    made = Cluster(folder, LOCAL, at_once=at_once)
    # As if this machine had the cores for it.
    made._most = at_once
    return made


def test_every_part_comes_back_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    ended = {tuple(part): end for part, end in cluster(tmp_path).results(double, [1, 13, 14])}
    assert ended[1,].result == [2] and not ended[1,].problem
    assert ended[13,].problem.startswith("ValueError: thirteen cannot be doubled; see ")
    assert Path(ended[13,].problem.partition("; see ")[2]).is_file()
    assert ended[14,].result is None and ended[14,].problem


def test_the_work_is_dealt_out_in_no_more_parts_than_jobs(tmp_path: Path) -> None:
    parts = cluster(tmp_path, at_once=3).share_out(list(range(7)))
    assert parts == [[0, 3, 6], [1, 4], [2, 5]]
    assert cluster(tmp_path, at_once=3).share_out([1]) == [[1]]


def test_whoever_leaves_early_stops_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "one", tmp_path / "two"]

    interrupted = []
    # Jobs are stopped by SIGINT, which shells have their background commands ignore, these tests perhaps.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def look(seconds: float) -> None:
        # As Ctrl-C does in the middle of waiting, once both are at work.
        if not interrupted and all(file.is_file() and file.read_text() for file in files):
            interrupted.append(True)
            raise KeyboardInterrupt
        real_sleep(0.1)

    real_sleep = time.sleep
    monkeypatch.setattr(time, "sleep", look)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(cluster(tmp_path / "jobs").results(wait, files))
    finally:
        signal.signal(signal.SIGINT, before)
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_options_are_those_of_submitit(tmp_path: Path) -> None:
    assert read_options(["timeout_min=60", "slurm_partition=gpu"]) == {
        "timeout_min": 60,
        "slurm_partition": "gpu",
    }
    with pytest.raises(ValueError, match="expected key=value"):
        read_options(["gpu"])
    with pytest.raises(ValueError, match=r"--slurm: .*partitoin"):
        Cluster(tmp_path, [*LOCAL, "partitoin=gpu"])


def test_without_a_cluster_it_is_said_how_to_try(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--slurm-option cluster=local tries it out"):
        Cluster(tmp_path)
