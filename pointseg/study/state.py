"""Where each run of a study stands, read from its files alone, so that any process can ask."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pointseg.runs.folder import RunFolder
from pointseg.study.plan import PlannedRun


class State(Enum):
    """Of a run; the value is what people read."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    #: The run that it starts from has failed.
    BLOCKED = "blocked"


@dataclass
class Progress:
    """A run and where it stands.

    Args:
        run: what is trained.
        folder: its RUN folder.
        state: see there.
        step: optimiser steps that its log knows of.
        facts: its record, once it is finished.
        problem: why it failed.
        is_new: whether it was trained by this call.
    """

    run: PlannedRun
    folder: Path
    state: State = State.WAITING
    step: int = 0
    facts: dict[str, Any] | None = None
    problem: str = ""
    is_new: bool = False

    def look(self) -> None:
        """Read its step from the end of its log."""
        self.step = max(self.step, last_step(RunFolder(self.folder).metrics))


def last_step(metrics: Path) -> int:
    """The latest step in a log, from its last few kilobytes; 0 if there is none."""
    try:
        with metrics.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - 4096))
            lines = handle.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


class Clock:
    """Estimates the time left of a study from the steps done since it was started."""

    def __init__(self, runs: list[Progress]) -> None:
        self._runs = runs
        self._began = time.monotonic()
        self._first = {id(one): one.step for one in runs}

    def seconds_left(self) -> float | None:
        """None before the first steps are known."""
        left = sum(
            one.run.steps - one.step for one in self._runs if one.state in (State.WAITING, State.RUNNING)
        )
        done = sum(one.step - self._first[id(one)] for one in self._runs if one.state is not State.FAILED)
        if done <= 0:
            return None
        return left * (time.monotonic() - self._began) / done


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
