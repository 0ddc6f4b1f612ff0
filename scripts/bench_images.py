"""Images per second of each part of training on images, and what share of a step is not the network.

    python scripts/bench_images.py configs/images/ccp59/baseline.yaml data.path=CCP59

Each round times the parts one after the other, so that a machine that is slow for a while is slow for all:
reading (decoding of image and label), augmentation, the network alone (forward, backward, optimiser), and all
of it as training does it, with the reader in the same process and in another one. Prints the median over the
rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from pointseg.config import changed, load_config
from pointseg.core.batch import Batch
from pointseg.core.distributed import process_group
from pointseg.core.memory import keep_freed_memory
from pointseg.experiment import Experiment
from pointseg.training.job import TrainingJob, set_num_threads
from pointseg.training.step import train_step

T = TypeVar("T")
READ, AUGMENT, NETWORK = "read", "augment", "network"


def seconds(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def measure(experiment: Experiment, device: str, *, steps: int, rounds: int) -> dict[str, float]:
    """Part -> median images per second."""
    times: dict[str, list[float]] = {}
    with process_group(device) as processes:
        set_num_threads(experiment.train.num_threads)
        keep_freed_memory()
        job = TrainingJob.prepare(experiment, processes)
        state, _ = job.fresh_state()
        numbers = iter(job.plan.batches())

        def train(batches: Iterable[Batch]) -> None:
            for batch in batches:
                train_step(state, [batch], experiment, job.total_steps, processes).read(processes)

        for _ in range(rounds):
            names = [[job.train_names[one] for one in batch] for batch in itertools.islice(numbers, steps)]
            taken: dict[str, float] = {}
            taken[READ], scenes = seconds(lambda: [[job.store.read(n) for n in some] for some in names])  # noqa: B023
            taken[AUGMENT], batches = seconds(
                lambda: [job.pipeline.train_batch(some, seed) for seed, some in enumerate(scenes)]  # type: ignore[arg-type] # noqa: B023
            )
            taken[NETWORK], _ = seconds(lambda: train(batches))  # noqa: B023
            for workers in (0, 1):
                options = changed(experiment.train, workers=workers)
                reading = TrainingJob.prepare(changed(experiment, train=options), processes)
                every = itertools.chain.from_iterable(reading.steps(0))
                # The first batch waits for the worker to start.
                train(itertools.islice(every, 1))
                taken[f"training, {workers} reading processes"], _ = seconds(
                    lambda: train(itertools.islice(every, steps))  # noqa: B023
                )
            for name, value in taken.items():
                times.setdefault(name, []).append(value)
    images = steps * experiment.train.batch_size
    return {name: images / statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=6, help="batches of a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    experiment = load_config(Experiment, arguments.config, arguments.overrides)
    rates = measure(experiment, arguments.device, steps=arguments.steps, rounds=arguments.rounds)
    table = Table("part", "images/s", "share of read + augment + network")
    total = sum(1 / rates[name] for name in (READ, AUGMENT, NETWORK))
    for name, rate in rates.items():
        share = f"{100 / rate / total:.0f} %" if name in (READ, AUGMENT, NETWORK) else ""
        table.add_row(name, f"{rate:.1f}", share)
    Console().print(table)


if __name__ == "__main__":
    main()
