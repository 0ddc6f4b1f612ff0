"""Cluster: the parts of a long work as an array of jobs, through submitit (extra ``slurm``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pointseg.core.cores import num_cores

Item = TypeVar("Item")

#: Jobs of an array at most. Clusters take 1,000 unless they are set up otherwise; each job starts Python.
MOST_JOBS = 256
#: What is asked for where the user says nothing. Submitit's own five minutes end almost anything.
DEFAULTS = {"timeout_min": 240, "slurm_job_name": "pointseg"}
#: The option that is no parameter of jobs: where they run, "slurm", or "local" for this machine.
WHERE = "cluster"
#: States of submitit's jobs that are no end, and those of jobs that somebody stopped.
_ALIVE = frozenset({"UNKNOWN", "PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED"})
_STOPPED = frozenset({"CANCELLED", "INTERRUPTED"})
#: Seconds between two looks at the jobs.
_POLL_S = 0.5
#: Seconds that jobs of this machine get to end once they are cancelled.
_GRACE_S = 30.0


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Args:
        result: what its function returned; None where it did not come to that.
        problem: what went wrong, in words with the place of its log; empty where it returned.
        stopped: whether somebody stopped it.
    """

    result: Any = None
    problem: str = ""
    stopped: bool = False


class ArrayJob:
    """One job of an array."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def ended(self) -> Ended | None:
        """None while it waits or runs."""
        if not self._job.done():
            return None
        stopped = self._job.state in _STOPPED
        if self._job.state in _ALIVE:
            error: Any = f"it vanished in state {self._job.state}"
        elif (error := self._job.exception()) is None:
            return Ended(self._job.result())
        return Ended(problem=f"{_last_words(str(error))}; see {self._job.paths.stderr}", stopped=stopped)

    def stop(self) -> None:
        """Cancel it; it need not have ended when this returns."""
        self._job.cancel()


class Cluster:
    """Where arrays of jobs are submitted.

    Args:
        folder: where submitit keeps its files; every machine must see it, and what the jobs read and write.
        options: ``key=value`` of submitit, such as ``slurm_partition=gpu`` or ``timeout_min=60``;
            ``cluster=local`` runs the jobs as processes of this machine.
        at_once: most jobs of an array that run at once.
        threads: CPUs of each.

    Raises:
        ValueError: if submitit is not installed, there is no such cluster here, or an option is none.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = (), *, at_once: int = MOST_JOBS, threads: int = 1
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise ValueError("--slurm needs the library submitit; pip install 'pointseg[slurm]'.") from None
        given = read_options(options)
        where = given.pop(WHERE, "slurm")
        self._is_here = where == "local"
        self._most = min(MOST_JOBS, at_once, num_cores()) if self._is_here else MOST_JOBS
        parameters = {"cpus_per_task": threads, "slurm_array_parallelism": at_once, **DEFAULTS, **given}
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=where)
            self._executor.update_parameters(**parameters)
        except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
            # Submitit has its own kind of error for each way in which it cannot go on.
            raise ValueError(
                f"--slurm: {error}. On a machine without Slurm, --slurm-option {WHERE}=local tries it out."
            ) from None

    def submit(self, function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[ArrayJob]:
        """A job for each argument; function and arguments are pickled."""
        return [ArrayJob(job) for job in self._executor.map_array(function, arguments)]

    def share_out(self, items: Sequence[Item]) -> list[list[Item]]:
        """The parts of a work that jobs are made of: dealt out in turn, as many as go into an array."""
        number = min(len(items), self._most)
        return [list(items[first::number]) for first in range(number)]

    def results(
        self, function: Callable[[list[Item]], Any], items: Sequence[Item]
    ) -> Iterator[tuple[list[Item], Ended]]:
        """Each part of a work and how its job ended, as they end; leaving early cancels the rest.

        Args:
            function: does a part.
            items: the work.
        """
        parts = self.share_out(items)
        left = list(zip(parts, self.submit(function, parts), strict=True))
        try:
            while left:
                for pair in list(left):
                    ended = pair[1].ended()
                    if ended is not None:
                        left.remove(pair)
                        yield pair[0], ended
                if left:
                    time.sleep(_POLL_S)
        finally:
            self._stop([job for _, job in left])

    def _stop(self, jobs: Sequence[ArrayJob]) -> None:
        """Cancel jobs; those of this machine have ended when this returns, unless they take very long."""
        for job in jobs:
            job.stop()
        deadline = time.monotonic() + _GRACE_S
        while self._is_here and time.monotonic() < deadline and any(job.ended() is None for job in jobs):
            time.sleep(0.1)


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as parameters; whole numbers become such.

    Raises:
        ValueError: for a word without an equals sign.
    """
    given: dict[str, Any] = {}
    for option in options:
        key, found, value = option.partition("=")
        if not found:
            raise ValueError(f"--slurm-option {option!r}: expected key=value, such as slurm_partition=gpu.")
        given[key] = int(value) if value.isdigit() else value
    return given


def _last_words(text: str) -> str:
    """Of a long message of submitit the line that says what happened: the last one of the traceback in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        start = max(place for place, line in enumerate(lines) if line.startswith("Traceback"))
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("----")), len(lines))
        return lines[end - 1]
    return lines[0] if lines else "it ended without a word"
