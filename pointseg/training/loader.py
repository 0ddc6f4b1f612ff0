"""BatchPlan: which scenes make up which batch, a function of the seed; and the loader that follows it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pointseg.core.cores import num_cores
from pointseg.data.reader import LoadedBatch, SceneReader
from pointseg.training.interrupt import SIGNALS


class BatchPlan:
    """The endless list of training batches.

    Scenes come in shuffled passes, one after the other; batches are cut from that stream across the borders
    of passes, so that all are full. Batch number i is the same whatever the number of processes: process r of
    W takes the numbers r, r + W, r + 2 W, ...

    Args:
        num_points: points of each scene.
        batch_size: largest number of scenes in a batch.
        point_budget: largest number of points in a batch, or None. A scene above it makes a batch of its own.
        seed: seed of the shuffling.
        repeat: how often each scene comes in a pass on average, one number or more; None for once each. The
            part behind the point is a probability, drawn anew for each pass.

    Raises:
        ValueError: if there is no scene.
    """

    def __init__(
        self,
        num_points: Sequence[int],
        *,
        batch_size: int,
        point_budget: int | None = None,
        seed: int = 0,
        repeat: npt.NDArray[np.float64] | None = None,
    ) -> None:
        if not num_points:
            raise ValueError("There is no scene to train on; check data.train_split.")
        self.num_points = tuple(num_points)
        self.batch_size = batch_size
        self.point_budget = point_budget
        self.seed = seed
        self.repeat = repeat

    def batches(self) -> Iterator[tuple[int, ...]]:
        """Positions of the scenes of batch 0, 1, 2, ... without end."""
        batch: list[int] = []
        points = 0
        for scene in self._stream():
            too_many = self.point_budget is not None and points + self.num_points[scene] > self.point_budget
            if batch and (len(batch) == self.batch_size or too_many):
                yield tuple(batch)
                batch, points = [], 0
            batch.append(scene)
            points += self.num_points[scene]

    def num_batches(self, passes: float) -> int:
        """Number of batches that hold as many scenes as ``passes`` passes over all, each counted once."""
        wanted = passes * len(self.num_points)
        taken = 0
        for number, batch in enumerate(self.batches(), start=1):
            taken += len(batch)
            if taken >= wanted:
                return number
        raise AssertionError("the stream of batches has no end")

    def _stream(self) -> Iterator[int]:
        for number in count():
            rng = np.random.default_rng([self.seed, number])
            scenes = np.arange(len(self.num_points))
            if self.repeat is not None:
                scenes = np.repeat(scenes, np.floor(self.repeat + rng.random(len(scenes))).astype(np.int64))
            yield from rng.permutation(scenes).tolist()


class _Numbers(Sampler[tuple[int, tuple[int, ...]]]):
    """(number, scenes) of the batches of one process; skipping to a step reads no scene."""

    def __init__(self, plan: BatchPlan, numbers: range) -> None:
        self.plan = plan
        self.numbers = numbers

    def __iter__(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        span = self.numbers
        return islice(enumerate(self.plan.batches()), span.start, span.stop, span.step)


@dataclass(frozen=True)
class _Failure:
    """A batch that could not be read, and why; torch would wrap the message of a worker in its traceback."""

    message: str


class _Reader(Dataset[LoadedBatch | _Failure]):
    """The reader, with failures as values."""

    def __init__(self, reader: SceneReader) -> None:
        self.reader = reader

    def __getitem__(self, batch: tuple[int, tuple[int, ...]]) -> LoadedBatch | _Failure:
        try:
            return self.reader[batch]
        except (ValueError, OSError, MemoryError) as error:
            return _Failure(str(error) or type(error).__name__)


def train_loader(
    reader: SceneReader, plan: BatchPlan, numbers: range, *, workers: int = 0
) -> Iterator[LoadedBatch]:
    """The batches with the given numbers, in order, read by ``workers`` processes (0: by this one), or
    by as many as there are cores where that is fewer; how many makes no difference to the batches.

    Raises:
        ValueError: for a scene that cannot be read, with the message of what read it.
    """
    loader = DataLoader(
        _Reader(reader),
        batch_size=None,
        sampler=_Numbers(plan, numbers),
        num_workers=min(workers, num_cores()),
        collate_fn=_as_it_is,
        worker_init_fn=_leave_signals_to_main,
        # Its own generator: the loader must not draw from the one that losses and heads use.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, _Failure):
            raise ValueError(batch.message)
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


def _leave_signals_to_main(worker: int) -> None:
    """A terminal, timeout and Slurm signal all processes of a group, and the main one still needs this one to
    end its step. It ends with the main process, which it watches.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
