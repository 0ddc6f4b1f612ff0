"""Longer trainings: memory over hundreds of steps, the same bits twice, a second GPU and two at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from gpu_check.record import Recorder
from gpu_check.training import job_of, write_store
from pointseg.core.distributed import process_group
from pointseg.sparse import using_engine
from pointseg.training.deterministic import deterministic_sums
from pointseg.training.job import TrainingJob
from pointseg.training.step import train_step

#: What the allocator may hold more of at the end: shapes differ from step to step.
_GROWTH = 1.1
_ROUND_UP = 64 * 2**20


def measure_endurance(recorder: Recorder) -> None:
    """Each part on a store of small rooms; a part for which there is no time or no second GPU says so."""
    smoke = recorder.scale.is_smoke
    is_interpreted = recorder.device.type == "cpu"
    # There a step takes seconds, and the section before has taken one.
    with tempfile.TemporaryDirectory() as folder, using_engine("reference" if is_interpreted else "triton"):
        store = Path(folder) / "store"
        write_store(store, scenes=2 if smoke else 8, points=150 if smoke else 20_000)
        for part in (_repeats_its_bits, _memory_stays, _second_gpu, _two_gpus):
            name = part.__name__.strip("_").replace("_", " ")
            if recorder.has_time(name):
                with recorder.may_run("endurance", name, ours=True):
                    part(recorder, store)


def _steps(job: TrainingJob, count: int | None = None) -> tuple[list[Tensor], list[int]]:
    """Weights at the end, and bytes that tensors held after each step."""
    torch.manual_seed(0)
    state, _ = job.fresh_state()
    state.learner.train()
    held = []
    for number, batches in enumerate(job.steps(0, state.learner.segmenter.prepared)):
        train_step(state, batches, job.experiment, job.total_steps, job.processes)
        held.append(torch.cuda.memory_allocated(job.processes.device) if torch.cuda.is_available() else 0)
        if number + 1 == count:
            break
    return [value.detach().clone() for value in state.learner.state_dict().values()], held


def _repeats_its_bits(recorder: Recorder, store: Path) -> None:
    for deterministic in (True, False):
        with deterministic_sums(deterministic):
            once, again = (_steps(job_of(recorder, store, "none", steps=6))[0] for _ in range(2))
        same = all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
        recorder.add("endurance", f"two runs, deterministic {deterministic}", same_bits=same)
        if deterministic and not same:
            recorder.fail("two runs with train.deterministic ended with different weights")


def _memory_stays(recorder: Recorder, store: Path) -> None:
    steps = 2 if recorder.scale.is_smoke else 350
    _, held = _steps(job_of(recorder, store, "none", steps=steps))
    early, late = max(held[: len(held) // 7 or 1]), max(held[-(len(held) // 7 or 1) :])
    recorder.add("endurance", f"memory over {steps} steps", early_mib=early / 2**20, late_mib=late / 2**20)
    if late > _GROWTH * early + _ROUND_UP:
        recorder.fail(f"tensors held {early} bytes early in {steps} steps and {late} at the end")


def _second_gpu(recorder: Recorder, store: Path) -> None:
    if torch.cuda.device_count() < 2:
        recorder.add("skipped", "cuda:1", reason="there is no second GPU")
        return
    ends = []
    for name in ("cuda:0", "cuda:1"):
        # As `--device cuda:1` does: the device is the current one meanwhile.
        with process_group(name) as processes:
            ends.append(_steps(job_of(recorder, store, "none", steps=4, device=processes.device))[0])
    difference = max(float((a.cpu() - b.cpu()).abs().max()) for a, b in zip(*ends, strict=True) if a.numel())
    recorder.add("endurance", "cuda:1 against cuda:0 after 4 steps", largest_difference=difference)
    if not difference < 1e-2:
        recorder.fail(f"4 steps on cuda:1 end {difference} away from those on cuda:0")


def _two_gpus(recorder: Recorder, store: Path) -> None:
    if recorder.scale.is_smoke or torch.cuda.device_count() < 2:
        # Processes of their own would not run the kernels of a smoke test.
        reason = "this is a smoke test" if recorder.scale.is_smoke else "there is no second GPU"
        recorder.add("skipped", "two GPUs", reason=reason)
        return
    options = ["train.steps=20", "train.batch_size=2", "train.val_every=0", "data.val_split=null"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "pointseg", "train", "synthetic/minkunet", f"data.path={store}", *options]
    done = subprocess.run(
        [*command, "--out", str(store.parent / "two")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    recorder.add("endurance", "20 steps on two GPUs", exit_code=done.returncode)
    if done.returncode:
        recorder.fail(f"training on two GPUs: {done.stderr[-800:]}")
