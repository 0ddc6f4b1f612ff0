"""Training end to end: steps per second with the loader, the loader alone, and who waits for the GPU."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from gpu_check.networks import TINY
from gpu_check.points import label_space, scene_of
from gpu_check.record import Recorder
from gpu_check.tile_sizes import tuning
from pointseg.config import load_config
from pointseg.core.distributed import Processes
from pointseg.experiment import Experiment
from pointseg.scans.store import StoreWriter
from pointseg.sparse import using_engine
from pointseg.training.job import TrainingJob
from pointseg.training.state import TrainingState
from pointseg.training.step import train_step

T = TypeVar("T")

_AUGMENT: list[dict[str, Any]] = [
    {"type": "center_shift"},
    {"type": "rotate"},
    {"type": "flip"},
    {"type": "elastic"},
    {"type": "chromatic_jitter"},
]


def measure_training(recorder: Recorder) -> None:
    """Steps per second of the real loop on a store on disk, for each type that the device trains in."""
    smoke = recorder.scale.is_smoke
    with tempfile.TemporaryDirectory() as folder, using_engine("triton"):
        write_store(Path(folder) / "store", scenes=2 if smoke else 16, points=150 if smoke else 150_000)
        for amp in ("none",) if smoke else ("bf16", "none", "fp16"):
            name = f"end to end, {amp}"
            if not recorder.has_time(name):
                return
            with recorder.may_run("training", name, ours=True), tuning(amp == "bf16"):
                job = job_of(recorder, Path(folder) / "store", amp)
                recorder.add("training", name, **_steps_per_second(recorder, job))


def write_store(path: Path, *, scenes: int, points: int) -> None:
    writer = StoreWriter(path, label_space(), options={})
    for i in range(scenes):
        writer.add(scene_of(points, seed=i, name=f"room{i}"), "train")
    writer.finish()


def job_of(
    recorder: Recorder, store: Path, amp: str, *, steps: int = 40, device: torch.device | None = None
) -> TrainingJob:
    """A training on a store, of a network of test size in a smoke run."""
    smoke = recorder.scale.is_smoke
    data: dict[str, Any] = {
        "data": {"path": str(store), "val_split": None, "voxel_size_m": 2.5 if smoke else 0.02},
        "augment": _AUGMENT,
        "mix3d_p": 0.5,
        "train": {
            "steps": 1 if smoke else steps,
            "batch_size": 2 if smoke else 4,
            "workers": 0 if smoke else min(8, os.cpu_count() or 1),
            "amp": amp,
        },
    }
    if smoke:
        data["model"] = {"type": "minkunet", **TINY}
    experiment = load_config(Experiment, None, [], data=data)
    return TrainingJob.prepare(experiment, Processes(0, 1, device or recorder.device))


def _steps_per_second(recorder: Recorder, job: TrainingJob) -> dict[str, float]:
    state, _ = job.fresh_state()
    state.learner.train()
    warm_up = job.total_steps // 2
    for number, batches in enumerate(job.steps(0, state.learner.segmenter.prepared)):
        if number == warm_up:
            _synchronise(recorder.device)
            began = time.perf_counter()
        result = train_step(state, batches, job.experiment, job.total_steps, job.processes)
    loss = result.read(job.processes).loss
    _synchronise(recorder.device)
    seconds = (time.perf_counter() - began) / (job.total_steps - warm_up)
    began = time.perf_counter()
    prepared = state.learner.segmenter.prepared
    batches_alone = sum(1 for step in job.steps(warm_up, prepared) for _ in step)
    _synchronise(recorder.device)
    alone = (time.perf_counter() - began) / batches_alone
    waits = _waits(recorder, job, state)
    for part, places in waits.items():
        for place, count in places.most_common(10):
            recorder.add("training", f"waits of {part} at {place}", count=count)
    return {
        "steps/s": 1 / seconds,
        "voxels": float(result.num_rows),
        "batches/s alone": 1 / alone,
        **{f"waits of {part}": float(places.total()) for part, places in waits.items()},
        "loss": loss,
    }


def _waits(recorder: Recorder, job: TrainingJob, state: TrainingState) -> dict[str, Counter[str]]:
    """The places that wait for the device, as CUDA tells them, of a batch, its maps and a step; none without.

    Made here and not by the loader: what it does is the same, but in a thread, and at any time.
    """
    if recorder.device.type != "cuda":
        return {}
    names = job.train_names[: job.experiment.train.batch_size]
    scenes: list[Any] = [job.store.read(name) for name in names]
    made, waits = _watched(lambda: job.pipeline.train_batch(scenes, seed=0))
    found = {"a batch": waits}
    prepared, found["its maps"] = _watched(lambda: state.learner.segmenter.prepared(made))
    _, found["a step"] = _watched(
        lambda: train_step(state, [prepared], job.experiment, job.total_steps, job.processes)
    )
    return found


def _watched(action: Callable[[], T]) -> tuple[T, Counter[str]]:
    """What an action gives, and the places where it waited."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            result = action()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in caught if "synchroniz" in str(w.message)]
    return result, Counter(f"{Path(w.filename).name}:{w.lineno}" for w in waits)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
