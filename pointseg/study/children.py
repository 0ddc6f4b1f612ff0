"""Runs as processes of this machine: started, asked how they are, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pointseg.study.work import STOPPED

LOG = "log.txt"
#: Seconds that children get to save before they are killed.
_GRACE_S = 60.0


class Running(Protocol):
    """A run that was started somewhere."""

    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def stop(self) -> None:
        """Ask it to save and end."""
        ...


class Launcher(Protocol):
    """Where runs are started.

    Attributes:
        slots: how many may run at once.
    """

    slots: int

    def start(self, folders: Sequence[Path]) -> list[Running]: ...

    def stop(self, running: Sequence[Running]) -> None:
        """End all of these; returns when they have ended."""
        ...


class Child:
    """One process, in a group of its own so that its readers end with it."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
        }
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pointseg.study.work", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for its end until ``deadline`` (of time.monotonic), then kill it and all it has started."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


class Children:
    """Launcher of processes on this machine.

    Args:
        jobs: how many may run at once.
        threads: CPU threads of each.
    """

    def __init__(self, jobs: int, threads: int) -> None:
        self.slots, self.threads = jobs, threads

    def start(self, folders: Sequence[Path]) -> list[Running]:
        return [Child(folder, threads=self.threads) for folder in folders]

    def stop(self, running: Sequence[Running]) -> None:
        for child in running:
            child.stop()
        deadline = time.monotonic() + _GRACE_S
        for child in running:
            assert isinstance(child, Child)
            child.end(deadline)


def why_it_failed(folder: Path, code: int) -> str:
    """The last thing that a run said, or how it ended."""
    if code == STOPPED:
        return "stopped before its end"
    log = folder / LOG
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("pointseg: ")][-1:] or lines[-1:]
    if code < 0:
        return f"ended by signal {-code}" + (f"; last said: {said[0]}" if said else "")
    return said[0] if said else f"exit code {code}"
