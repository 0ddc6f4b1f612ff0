"""Runs as job arrays of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointseg.core.cluster import ArrayJob, Cluster
from pointseg.study.children import Running
from pointseg.study.work import FAILED, STOPPED, work


class _ArrayRun:
    """A run that is one job of an array."""

    def __init__(self, job: ArrayJob) -> None:
        self._job = job

    def exit_code(self) -> int | None:
        ended = self._job.ended()
        if ended is None:
            return None
        if not ended.problem:
            return int(ended.result)
        return STOPPED if ended.stopped else FAILED

    def stop(self) -> None:
        self._job.stop()


class JobArrays:
    """Launcher of job arrays: all runs that can begin are submitted together.

    Args:
        folder: where submitit keeps its files; every machine must see it, and the RUN folders.
        jobs: most jobs of an array that run at once.
        threads: CPU threads of each.
        options: see :class:`pointseg.core.cluster.Cluster`.

    Raises:
        ValueError: as there.
    """

    def __init__(self, folder: Path, *, jobs: int, threads: int, options: Sequence[str]) -> None:
        self._cluster = Cluster(folder, options, at_once=jobs, threads=threads)
        self.slots = 1_000

    def start(self, folders: Sequence[Path]) -> list[Running]:
        return [
            _ArrayRun(job) for job in self._cluster.submit(work, [folder.resolve() for folder in folders])
        ]

    def stop(self, running: Sequence[Running]) -> None:
        for job in running:
            job.stop()
