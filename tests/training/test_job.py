"""What stays the same while a run trains: its length, whose batches, and when numbers are looked at."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment
from pointseg.scans.store import StoreWriter
from pointseg.training.job import TrainingJob, set_num_threads

MakeExperiment = Callable[..., Experiment]
CPU = torch.device("cpu")


def job_of(experiment: Experiment, *, rank: int = 0, world: int = 1, device: str = "cpu") -> TrainingJob:
    job = TrainingJob.prepare(experiment, Processes(rank, world, CPU))
    return replace(job, processes=Processes(rank, world, torch.device(device)))


def at(step: int, validated: int = -1) -> Any:
    """As much of the state as these questions need."""
    return SimpleNamespace(step=step, validated=validated)


@pytest.mark.parametrize(
    ("device", "due"), [("cpu", range(11)), ("cuda", [0, 3, 4, 6, 8, 9, 10])], ids=["cpu", "cuda"]
)
def test_numbers_are_read_where_that_costs_nothing_or_something_needs_them(
    tiny_experiment: MakeExperiment, device: str, due: Any
) -> None:
    """On a GPU at logged steps, before validations and at the end."""
    job = job_of(tiny_experiment("train.steps=10", "train.log_every=3", "train.val_every=4"), device=device)
    assert [step for step in range(11) if job.reading_is_due(at(step))] == list(due)


def test_a_validation_is_due_once_at_its_steps_and_at_the_end(tiny_experiment: MakeExperiment) -> None:
    job = job_of(tiny_experiment("train.steps=10", "train.val_every=4"))
    assert [step for step in range(11) if job.validation_is_due(at(step))] == [4, 8, 10]
    assert not job.validation_is_due(at(4, validated=4)) and job.validation_is_due(at(8, validated=4))
    assert not job.is_finished(at(10, validated=8)) and job.is_finished(at(10, validated=10))
    assert not job.is_finished(at(9, validated=9))
    without = job_of(tiny_experiment("train.steps=10", "train.val_every=4", "data.val_split=null"))
    assert not any(without.validation_is_due(at(step)) for step in range(11)) and without.is_finished(at(10))


@pytest.mark.parametrize(
    ("overrides", "world", "steps"),
    [
        # Five scenes in batches of two: 15 scenes are 8 batches.
        ([], 1, 8),
        (["train.accumulate=3"], 1, 3),
        ([], 2, 4),
        (["train.accumulate=2"], 3, 2),
        (["data.passes=2"], 1, 15),
    ],
)
def test_epochs_are_steps_by_the_scenes_of_all_their_batches(
    tiny_experiment: MakeExperiment, overrides: list[str], world: int, steps: int
) -> None:
    experiment = tiny_experiment("train.steps=null", "train.epochs=3", *overrides)
    assert job_of(experiment, world=world).total_steps == steps


@pytest.mark.parametrize(("first", "expected"), [(0, [[1, 3], [5, 7], [9, 11]]), (2, [[9, 11]])])
def test_each_process_has_every_other_batch_from_any_step_on(
    tiny_experiment: MakeExperiment, first: int, expected: list[list[int]]
) -> None:
    job = job_of(tiny_experiment("train.steps=3", "train.accumulate=2"), rank=1, world=2)
    assert job.batches_per_step == 4
    found = [[batch.names for batch in step] for step in job.steps(first)]
    planned = list(islice(job.plan.batches(), 12))
    names = [tuple(job.train_names[scene] for scene in batch) for batch in planned]
    assert found == [[names[number] for number in step] for step in expected]


def test_other_scenes_or_classes_are_another_fingerprint(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    def fingerprint(name: str, points: int, split: str, raw_id: int) -> str:
        space = LabelSpace("one", (raw_id,), ("thing",), ("",), distinct_colors(1))
        folder = tmp_path / f"{name}-{points}-{split}-{raw_id}"
        writer = StoreWriter(folder, space, options={})
        for scene, count, where in (("first", 5, "train"), (name, points, split)):
            xyz_m = np.random.default_rng(0).random((count, 3)).astype(np.float32)
            writer.add(Scene(scene, xyz_m, raw_label=np.full(count, raw_id, np.int32)), where)
        writer.finish()
        return job_of(tiny_experiment(f"data.path={folder}", "data.val_split=null")).fingerprint

    same = fingerprint("a", 7, "train", 1)
    others = [("b", 7, "train", 1), ("a", 8, "train", 1), ("a", 7, "train", 2), ("a", 7, "val", 1)]
    assert len({same, *(fingerprint(*other) for other in others)}) == 5
    # Where the validation alone differs a run may continue.
    assert fingerprint("b", 9, "val", 1) == fingerprint("a", 7, "val", 1)


def test_what_is_about_to_happen_is_said_in_a_line(tiny_experiment: MakeExperiment) -> None:
    job = job_of(tiny_experiment("name=rooms", "engine=reference"))
    said = job.headline(0)
    assert said.startswith("rooms trains for 6 steps on 5 scenes, 3 classes; 2 validation scenes; 1 x cpu, ")
    assert said.endswith(f"{torch.get_num_threads()} CPU threads, engine reference")
    assert job.headline(2).startswith("rooms continues at step 2 of 6 steps on 5 scenes")
    assert job_of(tiny_experiment()).headline(0).endswith(" (auto)")


@pytest.mark.parametrize(("accumulate", "world", "parts"), [(1, 1, 0), (2, 1, 2), (1, 3, 3), (2, 3, 6)])
def test_losses_that_are_not_those_of_the_joined_batch_are_named(
    tiny_experiment: MakeExperiment, accumulate: int, world: int, parts: int
) -> None:
    experiment = tiny_experiment(
        "losses={main: {type: cross_entropy}, region: {type: lovasz}}", f"train.accumulate={accumulate}"
    )
    job = job_of(experiment)
    state, _ = job.fresh_state()
    said = replace(job, processes=Processes(0, world, CPU)).local_losses(state)
    assert said.startswith(f"region: local, the mean over the {parts} parts") if parts else said == ""


def test_threads_are_those_asked_for_or_of_the_environment_or_all_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    set_num_threads(5)
    set_num_threads(None)
    assert asked == [5]
    monkeypatch.delenv("OMP_NUM_THREADS")
    set_num_threads(None)
    assert asked == [5, 3]
