"""sole_writer: a second process is refused and told who writes, whatever becomes of the first one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pointseg.core.lock import LOCK, sole_writer

HOLD = """
import os, sys, time
from pathlib import Path
from pointseg.core.lock import sole_writer
with sole_writer(sys.argv[1], "run"):
    # A worker that outlives its parent, as one of a pool may.
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_writes_and_goes_on_when_that_one_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        try:
            expected = rf"run: process {first.pid} on .* writes this run\. Wait for it"
            with pytest.raises(ValueError, match=expected), sole_writer(folder, "run"):
                pass
            first.kill()
            first.wait()
            assert (folder / LOCK).is_file()
            with sole_writer(folder, "run"):
                assert f"process {os.getpid()} on" in (folder / LOCK).read_text()
        finally:
            os.kill(worker, signal.SIGKILL)
            first.kill()


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), sole_writer(tmp_path / "new", "run"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with sole_writer(tmp_path / "new", "run"):
        (tmp_path / "new" / "result").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["result"]
    (tmp_path / "there").mkdir()
    with sole_writer(tmp_path / "there", "run"):
        pass
    assert list((tmp_path / "there").iterdir()) == []
