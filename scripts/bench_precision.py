"""How many predictions of a run stay when its network computes in 16 bits.

    python scripts/bench_precision.py RUN [--scenes 10]

Predicts validation scenes or images in float32 and again in bf16 and fp16, on a CPU, and compares. What a
type rounds is the same on every device: factors and results of products, whose sums are kept in float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from pointseg.core.labels import GROUPS
from pointseg.data.source import Source
from pointseg.models.precision import Amp, Precision
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import TrainedRun, load_run

Counts = npt.NDArray[np.int64]
_TYPES: tuple[Amp, ...] = ("none", "bf16", "fp16")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--scenes", type=int, default=10, help="how many of the validation split")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # The engine of any device and type: those for CPUs take no fp16.
    run = load_run(arguments.run, device="cpu", engine="reference")
    data = run.experiment.data
    source = data.open()
    names = source.scene_names(data.val_split or data.train_split)[: arguments.scenes]
    predicted = {amp: _labels(run, source, names, amp) for amp in _TYPES}
    labels = [raw for name in names if (raw := source.load(name).raw_label) is not None]
    truth = np.concatenate([run.label_space.encode(raw).ravel() for raw in labels])
    exact = predicted["none"]
    console, table = Console(), Table("forward pass in", "labels as in float32, %", *GROUPS, "mIoU, %")
    of_row = np.asarray([*run.label_space.groups, ""])[np.where(truth < 0, -1, truth)]
    for amp in _TYPES:
        same = predicted[amp] == exact
        kept = [same[of_row == group] for group in GROUPS]
        shares = [f"{100 * rows.mean():.3f}" if len(rows) else "-" for rows in kept]
        miou = f"{100 * _miou(predicted[amp], truth, run.label_space.num_classes):.3f}"
        table.add_row(amp, f"{100 * same.mean():.3f}", *shares, miou)
    console.print(table)
    console.print(f"{len(names)} {source.members}, {len(truth):,} rows of {arguments.run.name}")


def _labels(run: TrainedRun, source: Source, names: Sequence[str], amp: Amp) -> npt.NDArray[np.int64]:
    run.segmenter.precision = Precision(amp)
    return np.concatenate([predict_scene(run, source.load(name)).train_index.ravel() for name in names])


def _miou(predicted: Counts, truth: Counts, num_classes: int) -> float:
    """Over the classes with ground truth."""
    kept = truth >= 0
    pairs = np.bincount(truth[kept] * num_classes + predicted[kept], minlength=num_classes**2)
    table = pairs.reshape(num_classes, num_classes)
    hits, present = table.diagonal(), table.sum(1) > 0
    return float((hits / np.maximum(table.sum(0) + table.sum(1) - hits, 1))[present].mean())


if __name__ == "__main__":
    main()
