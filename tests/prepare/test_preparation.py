"""prepare(): the run over many scenes."""

import errno
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.prepare.preparation import Job, Prepared, prepare
from pointseg.scans.store import Store, StoreWriter

SPACE = LabelSpace("toy", (1,), ("a",), ("",), ((0, 0, 0),), 0)
JOBS = [Job(name, "train", Path(name)) for name in ("a", "b", "c")]


def read(job: Job) -> Prepared:
    return Prepared(Scene(job.name, np.ones((2, 3), dtype=np.float32)), {}, Counter({"seen": 1}))


def read_all_but_b(job: Job) -> Prepared:
    if job.name == "b":
        raise ValueError("b.ply: broken")
    return read(job)


def die_at_b(job: Job) -> Prepared:
    if job.name == "b":
        os._exit(9)
    return read(job)


def fill_the_disk(_: Job) -> Prepared:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_is_kept_with_its_message_and_the_others_are_written(tmp_path: Path, workers: int) -> None:
    outcome = prepare(read_all_but_b, JOBS, StoreWriter(tmp_path / "s", SPACE), workers=workers)
    assert sorted(outcome.written) == ["a", "c"] and outcome.failures == {"b": "b.ply: broken"}
    assert outcome.remarks == {"seen": 2}


def test_scenes_that_are_there_are_kept_unless_overwritten(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    prepare(read, JOBS[:2], writer)
    again = prepare(read, JOBS, writer)
    assert (again.written, again.kept) == (["c"], ["a", "b"])
    assert prepare(read, JOBS, writer, overwrite=True).written == ["a", "b", "c"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_run(tmp_path: Path, workers: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        prepare(fill_the_disk, JOBS, StoreWriter(tmp_path / "s", SPACE), workers=workers)


def test_a_worker_that_dies_is_explained_and_the_rest_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"worker process was killed.*fewer --workers"):
        prepare(die_at_b, JOBS, StoreWriter(tmp_path / "s", SPACE), workers=2)
    writer = StoreWriter(tmp_path / "s", SPACE)
    prepare(read, JOBS, writer)
    writer.finish()
    assert Store.open(tmp_path / "s").scene_names("train") == ["a", "b", "c"]


def test_two_jobs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than one source for a"):
        prepare(read, [JOBS[0], JOBS[0]], StoreWriter(tmp_path / "s", SPACE))


KILLED = """
import os, signal, sys
from pathlib import Path
import test_preparation as t

def read(job):
    if job.name == "b":
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    return t.read(job)

try:
    t.prepare(read, t.JOBS, t.StoreWriter(Path(sys.argv[1]), t.SPACE))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("how", "code"), [("SIGTERM", 130), ("SIGKILL", -9)])
def test_a_killed_run_leaves_whole_scenes_and_continues(tmp_path: Path, how: str, code: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "s"), how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    writer = StoreWriter(tmp_path / "s", SPACE)
    assert [job.name for job in JOBS if writer.has(job.name)] == ["a"]
    assert prepare(read, JOBS, writer).kept == ["a"]
    writer.finish()
    assert Store.open(tmp_path / "s").scene_names("train") == ["a", "b", "c"]
