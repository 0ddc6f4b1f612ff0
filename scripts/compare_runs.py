"""Runs on the same labelled scenes or images, side by side, with intervals over these; prints Markdown.

    python scripts/compare_runs.py runs/baseline runs/ceco runs/tilted

The first run is what the others are compared with. Every mean IoU is given under the three conventions; the
intervals are of the convention *present*: percentiles 2.5 and 97.5 of 10,000 draws of as many scenes, with
replacement, the same draws for all runs, so that the interval of a difference is one of pairs. They say how
much the choice of scenes matters, not how much another training seed would.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.evaluate import predict_store
from pointseg.evaluation.report import CONVENTIONS, Report
from pointseg.runs.checkpoint import load_run

DRAWS = 10_000
Floats = npt.NDArray[np.float64]


def scene_confusions(folder: Path, split: str, data: Path | None) -> tuple[Report, Floats]:
    """The report of a run, and (S, 3, K) true positives, truth and predictions of each class and scene."""
    run = load_run(folder, checkpoint="last")
    store = run.open_data(data)
    names = [name for name in store.scene_names(split) if store.has_labels(name)]
    total = Confusion(run.label_space.num_classes)
    parts = []
    for scene, prediction in predict_store(run, store, names):
        assert scene.raw_label is not None
        one = Confusion(run.label_space.num_classes)
        one.update(run.label_space.encode(scene.raw_label), prediction.train_index)
        total.merge(one)
        parts.append([one.tp, one.truth, one.tp + one.fp])
    return Report.from_confusion(total, run.label_space), np.array(parts, dtype=np.float64)


def drawn_miou(parts: Floats, weights: Floats) -> Floats:
    """(R,) mean IoU over the classes present in each of R draws of scenes.

    Args:
        parts: (S, 3, K), see :func:`scene_confusions`.
        weights: (R, S) how often a draw has each scene.
    """
    hit, truth, predicted = np.moveaxis(np.einsum("rs,sck->rck", weights, parts), 1, 0)
    present = truth > 0
    iou = np.divide(hit, truth + predicted - hit, out=np.zeros_like(hit), where=present)
    mean: Floats = iou.sum(axis=1) / present.sum(axis=1)
    return mean


def interval(values: Floats) -> str:
    low, high = np.percentile(100 * values, [2.5, 97.5])
    return f"{low:+.2f} to {high:+.2f}" if low < 0 else f"{low:.2f} to {high:.2f}"


def table(names: Sequence[str], reports: Sequence[Report], parts: Sequence[Floats]) -> str:
    """The Markdown."""
    draws = np.random.default_rng(0).multinomial(len(parts[0]), [1 / len(parts[0])] * len(parts[0]), DRAWS)
    means = [drawn_miou(part, draws.astype(np.float64)) for part in parts]
    groups = ("overall", *reports[0].groups())
    heading = [
        "run",
        *(f"{g}, {c}" for g in groups for c in CONVENTIONS),
        "95 % of scenes",
        "against the first",
    ]
    rows = [heading, ["---"] * len(heading)]
    for name, report, mean in zip(names, reports, means, strict=True):
        values = {"overall": report.miou, **report.groups()}
        cells = [values[g][c] for g in groups for c in CONVENTIONS]
        rows.append(
            [
                name,
                *("-" if cell is None else f"{100 * cell:.2f}" for cell in cells),
                interval(mean),
                "" if mean is means[0] else interval(mean - means[0]),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="RUN folders")
    parser.add_argument("--split", default="val")
    parser.add_argument("--data", type=Path, help="the data; those of each run's configuration if not given")
    arguments = parser.parse_args()
    found = [scene_confusions(run, arguments.split, arguments.data) for run in arguments.runs]
    reports, parts = zip(*found, strict=True)
    print(table([run.name for run in arguments.runs], reports, parts))


if __name__ == "__main__":
    main()
