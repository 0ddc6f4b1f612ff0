"""What a training will take, measured on a few of its steps before it is started."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from pointseg.core.destination import check_destination
from pointseg.core.distributed import process_group
from pointseg.core.durable import write_json
from pointseg.experiment import Experiment
from pointseg.training.job import TrainingJob, set_num_threads
from pointseg.training.step import train_step

#: Bytes of a checkpoint for each number of the network: its weights, and two running means of an optimiser.
_BYTES_A_PARAMETER = 12
#: Share of a device's memory that a training should not exceed: batches differ in size.
_ROOM = 0.8


@dataclass(frozen=True)
class Forecast:
    """What was measured and what follows.

    Args:
        unit: what a row of a batch is, voxel or pixel.
        scenes: training scenes or images.
        parameters: numbers that are learned.
        rows_per_batch: mean and largest of the batches that were measured.
        seconds_per_step: median of the steps that were measured, the first one left out.
        total_steps: of the whole training.
        steps_per_epoch: steps after which every scene was seen once.
        hours: of the whole training, validation and the reading of cold files left out.
        memory_mb: peak of the device: allocated by torch on a GPU, resident on a CPU.
        device_memory_mb: what the device has.
        batch_size: train.batch_size.
        suggested_batch_size: the largest that four fifths of the device's memory hold; no more than scenes.
        disk_mb: checkpoints of the run, best and last ones.
        free_disk_mb: where the run is to be written.
        problems: what will stop the training.
    """

    unit: str
    scenes: int
    parameters: int
    rows_per_batch: tuple[int, int]
    seconds_per_step: float
    total_steps: int
    steps_per_epoch: float
    hours: float
    memory_mb: int
    device_memory_mb: int
    batch_size: int
    suggested_batch_size: int
    disk_mb: int
    free_disk_mb: int
    problems: tuple[str, ...]


def forecast(
    experiment: Experiment,
    *,
    out: Path | str = ".",
    steps: int = 4,
    device: str = "auto",
    json_path: Path | None = None,
    console: Console | None = None,
) -> Forecast:
    """Train for a few steps without keeping anything, and say what the whole will take.

    Args:
        experiment: what is to be trained.
        out: where its RUN folder will be; for the space on that disk.
        steps: how many are measured.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        json_path: where to write the forecast, or None.
        console: where to say it; standard output if None.

    Raises:
        FileNotFoundError: if the data are not there.
        ValueError: for what would stop the training at its start.
    """
    check_destination(json_path)
    console = console or Console()
    with torch.random.fork_rng(), process_group(device) as processes:
        set_num_threads(experiment.train.num_threads)
        on = processes.device
        job = TrainingJob.prepare(experiment, processes)
        state, _ = job.fresh_state()
        before = memory_of(on)
        seconds, rows = [], []
        batches = job.steps(0, state.learner.segmenter.prepared)
        for _ in range(min(steps, job.total_steps)):
            began = time.perf_counter()
            taken = list(next(batches))
            rows += [batch.num_rows for batch in taken]
            train_step(state, iter(taken), experiment, job.total_steps, processes).read(processes)
            seconds.append(time.perf_counter() - began)
        peak = memory_of(on)
    parameters = sum(p.numel() for p in state.learner.parameters())
    found = forecast_of(
        job, out=out, parameters=parameters, seconds=seconds, rows=rows, before=before, peak=peak
    )
    for line in lines_of(found, job, str(on)):
        console.print(line, soft_wrap=True, highlight=False)
    if json_path:
        write_json(json_path, asdict(found))
    return found


def forecast_of(
    job: TrainingJob,
    *,
    out: Path | str,
    parameters: int,
    seconds: Sequence[float],
    rows: Sequence[int],
    before: int,
    peak: int,
) -> Forecast:
    """What follows from a few steps.

    Args:
        job: the training.
        out: its RUN folder.
        parameters: numbers that are learned.
        seconds: of each step, the first one among them; at least one.
        rows: of each batch, at least one.
        before: bytes of memory before the first step, see :func:`memory_of`.
        peak: the same after the last one.
    """
    device, options = job.processes.device, job.experiment.train
    # The first step compiles, proves and measures.
    usual = sorted(seconds[1:] or seconds)[len(seconds[1:] or seconds) // 2]
    steps_per_epoch = job.plan.num_batches(1.0) / job.batches_per_step
    total = _device_memory(device)
    kept = options.keep_checkpoints + bool(job.val_names)
    found = Forecast(
        unit="pixel" if job.experiment.data.kind == "images" else "voxel",
        scenes=len(job.train_names),
        parameters=parameters,
        rows_per_batch=(round(sum(rows) / len(rows)), max(rows)),
        seconds_per_step=round(usual, 4),
        total_steps=job.total_steps,
        steps_per_epoch=round(steps_per_epoch, 1),
        hours=round(usual * job.total_steps / 3600, 2),
        memory_mb=round(peak / 2**20),
        device_memory_mb=round(total / 2**20),
        batch_size=options.batch_size,
        suggested_batch_size=_fitting(options.batch_size, before, peak, total, len(job.train_names)),
        disk_mb=round(kept * _BYTES_A_PARAMETER * parameters / 2**20),
        free_disk_mb=round(shutil.disk_usage(_nearest(Path(out))).free / 2**20),
        problems=(),
    )
    return replace(found, problems=_problems(found))


def _fitting(batch_size: int, before: int, peak: int, total: int, scenes: int) -> int:
    """The largest batch that fits, by the memory that the measured one took on top of what was there.

    Of a pass over all scenes at most, or as many as the recipe has where those are more.
    """
    fits = int(batch_size * (_ROOM * total - before) / max(peak - before, 1))
    return min(max(1, fits), max(scenes, batch_size))


def _problems(found: Forecast) -> tuple[str, ...]:
    problems = []
    if found.memory_mb > _ROOM * found.device_memory_mb:
        problems.append(
            f"memory: {found.memory_mb:,} of {found.device_memory_mb:,} MB; set train.batch_size="
            f"{min(found.suggested_batch_size, max(found.batch_size - 1, 1))}, or "
            "train.activation_checkpointing=true"
        )
    if found.disk_mb > found.free_disk_mb:
        problems.append(f"disk: checkpoints take {found.disk_mb:,} MB, {found.free_disk_mb:,} MB are free")
    return tuple(problems)


def lines_of(found: Forecast, job: TrainingJob, device: str) -> list[str]:
    """A forecast for people."""
    mean, largest = found.rows_per_batch
    members = job.store.members
    return [
        f"{found.scenes:,} {members} to train on, {len(job.val_names):,} to validate on; network of "
        f"{_rounded(found.parameters)} parameters on {device}",
        f"a batch of {found.batch_size} {members}: {mean:,} {found.unit}s, the largest seen {largest:,}",
        f"a step: {found.seconds_per_step:.3g} s; an epoch: {found.steps_per_epoch:,.1f} steps, "
        f"{_duration(found.steps_per_epoch * found.seconds_per_step)}; all {found.total_steps:,} steps: "
        f"{_duration(found.total_steps * found.seconds_per_step)}, without validation",
        f"memory: {found.memory_mb:,} of {found.device_memory_mb:,} MB; by that, train.batch_size up to "
        f"{found.suggested_batch_size:,} fits",
        f"disk: about {found.disk_mb:,} MB of checkpoints; {found.free_disk_mb:,} MB are free",
        *(f"beware: {notice}" for notice in job.notices),
        *(f"PROBLEM: {problem}" for problem in found.problems),
    ]


def _rounded(count: int) -> str:
    return f"{count / 1e6:.1f} million" if count >= 1_000_000 else f"{count:,}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def memory_of(device: torch.device) -> int:
    """Peak memory so far in bytes: of the process on a CPU, allocated by torch on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes.
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _device_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _nearest(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())
