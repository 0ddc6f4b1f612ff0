"""The opponent that a network must beat: a classifier of single points by colour, height and normal.

    python scripts/point_classifier.py STORE [--json FILE]

Trains on sampled vertices of the training scenes of a prepared store and predicts every vertex of val. Two
ways to sample are tried, as the data come and with equal numbers of every class, and the better one on val is
reported: a generous opponent.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from sklearn.ensemble import ExtraTreesClassifier

from pointseg.core.rows import IGNORE
from pointseg.core.scene import Scene
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report, print_report
from pointseg.scans.store import Store

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--json", type=Path, help="also write the report of the better one to this file")
    parser.add_argument("--points", type=int, default=80_000, help="training points")
    parser.add_argument("--trees", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    store, console = Store.open(arguments.store), Console()
    rng = np.random.default_rng(arguments.seed)
    start = time.perf_counter()
    features, labels = gather(store, "train", 15 * arguments.points, rng)
    scenes = [labelled(store, name) for name in store.scene_names("val") if store.has_labels(name)]
    reports = {}
    for kind in ("as they come", "balanced"):
        rows = sample(labels, arguments.points, rng, balanced=kind == "balanced")
        forest = ExtraTreesClassifier(
            arguments.trees, min_samples_leaf=3, max_depth=20, n_jobs=-1, random_state=arguments.seed
        ).fit(features[rows], labels[rows])
        confusion = Confusion(store.label_space.num_classes)
        for values, truth in scenes:
            confusion.update(truth, forest.predict(values).astype(np.int64))
        reports[kind] = Report.from_confusion(confusion, store.label_space)
        console.print(f"points {kind}: mIoU {100 * (reports[kind].miou.present or 0):.2f} %")
    kind = max(reports, key=lambda key: reports[key].miou.present or 0)
    print_report(reports[kind], console, title=f"Per-point classifier, points {kind}")
    console.print(f"{time.perf_counter() - start:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(reports[kind].to_dict(), indent=1) + "\n", encoding="utf-8")


def describe(scene: Scene) -> Features:
    """(P, 11) colour, colour's brightness and tints, height over the lowest percent, and normal.

    The sign of the horizontal direction means nothing in a turned room; its size and z do.
    """
    if scene.rgb is None or scene.normal is None:
        raise SystemExit(f"{scene.name}: the store has no colours or no normals for it.")
    rgb = np.asarray(scene.rgb, dtype=np.float32)
    normal = np.asarray(scene.normal, dtype=np.float32)
    height = scene.xyz_m[:, 2] - np.percentile(scene.xyz_m[:, 2], 1)
    grey = rgb.mean(axis=1)
    flat = np.hypot(normal[:, 0], normal[:, 1])
    tints = rgb / np.maximum(grey, 1)[:, None]
    return np.column_stack((rgb, grey, tints, height, normal[:, 2], flat, np.abs(normal[:, 2]))).astype(
        np.float32
    )


def labelled(store: Store, name: str) -> tuple[Features, Labels]:
    """Features and train indices of the labelled vertices of one scene."""
    scene = store.load(name)
    if scene.raw_label is None:
        raise SystemExit(f"{name}: no labels in the store.")
    truth = store.label_space.encode(np.asarray(scene.raw_label))
    rows = truth != IGNORE
    return describe(scene)[rows], truth[rows]


def gather(store: Store, split: str, points: int, rng: np.random.Generator) -> tuple[Features, Labels]:
    """Labelled points of a split; of each scene all points of rare classes and a share of the others."""
    names = [name for name in store.scene_names(split) if store.has_labels(name)]
    parts = []
    for name in names:
        features, truth = labelled(store, name)
        rare = np.bincount(truth, minlength=store.label_space.num_classes)[truth] < 300
        keep = rare | (rng.random(len(truth)) < points / len(names) / max(len(truth), 1))
        parts.append((features[keep], truth[keep]))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def sample(labels: Labels, points: int, rng: np.random.Generator, *, balanced: bool) -> npt.NDArray[np.int64]:
    """Rows to train on; balanced: as many of each class as there are, up to an equal share."""
    if not balanced:
        return rng.choice(len(labels), min(points, len(labels)), replace=False)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    start = np.repeat(np.cumsum(counts) - counts, counts)
    share = max(points // max(int((counts > 0).sum()), 1), 1)
    return order[np.arange(len(order)) - start < share]


if __name__ == "__main__":
    main()
