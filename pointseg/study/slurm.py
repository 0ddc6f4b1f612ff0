"""Runs as job arrays of a cluster, through submitit (extra ``slurm``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointseg.study.children import Running
from pointseg.study.work import FAILED, STOPPED, work

#: States of submitit's jobs that are no end.
_ALIVE = frozenset({"UNKNOWN", "PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED"})


class _ArrayJob:
    """One job of an array."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def exit_code(self) -> int | None:
        if not self._job.done():
            return None
        if self._job.state not in _ALIVE and self._job.exception() is None:
            return int(self._job.result())
        return STOPPED if self._job.state in ("CANCELLED", "INTERRUPTED") else FAILED

    def stop(self) -> None:
        self._job.cancel()


class JobArrays:
    """Launcher of job arrays: all runs that can begin are submitted together.

    Args:
        folder: where submitit keeps its files; every machine must see it, and the RUN folders.
        jobs: most jobs of an array that run at once.
        threads: CPU threads of each.
        options: of submitit, such as slurm_partition, timeout_min or gpus_per_node.
        cluster: "slurm", or "local" to try it out on this machine.

    Raises:
        ValueError: if submitit is not installed, or there is no such cluster here.
    """

    def __init__(
        self, folder: Path, *, jobs: int, threads: int, options: dict[str, Any], cluster: str = "slurm"
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise ValueError("--slurm needs the library submitit; pip install 'pointseg[slurm]'.") from None
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
        except RuntimeError as error:
            raise ValueError(f"--slurm: {error}") from None
        self._executor.update_parameters(
            cpus_per_task=threads, slurm_array_parallelism=jobs, slurm_job_name="pointseg", **options
        )
        self.slots = 1_000

    def start(self, folders: Sequence[Path]) -> list[Running]:
        jobs = self._executor.map_array(work, [folder.resolve() for folder in folders])
        return [_ArrayJob(job) for job in jobs]

    def stop(self, running: Sequence[Running]) -> None:
        for job in running:
            job.stop()
