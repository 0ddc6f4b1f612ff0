"""Every method trains from the configuration that ships with it, on rooms of a few hundred points."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pointseg.config.shipped import shipped
from pointseg.core.labels import LabelSpace, distinct_colors, groups_by_points
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment, load_experiment
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import StoreWriter
from pointseg.training.train import train

#: More classes than `dropclass_strong` suppresses.
NUM_CLASSES = 12
#: A network and rooms of test size; the method itself stays as it is shipped.
SMALL = (
    "model.widths=[8, 8, 8, 8, 8, 8, 8, 8]",
    "model.blocks=[1, 1, 1, 1, 1, 1, 1, 1]",
    "model.stem_channels=8",
    "data.voxel_size_m=0.1",
    "train.steps=2",
    "train.batch_size=2",
    "train.val_every=0",
    "train.log_every=1",
    "train.num_threads=1",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rooms with a floor and a cube of each class on it, large for the first and small for the last."""
    path = tmp_path_factory.mktemp("methods") / "store"
    sizes = [200 // (1 + c) for c in range(NUM_CLASSES)]
    names = ("floor", *(f"thing {c}" for c in range(1, NUM_CLASSES)))
    space = LabelSpace(
        "twelve",
        tuple(range(1, NUM_CLASSES + 1)),
        names,
        groups_by_points(sizes),
        distinct_colors(NUM_CLASSES),
    )
    writer = StoreWriter(path, space, options={})
    for number in range(5):
        rng = np.random.default_rng(number)
        label = np.repeat(np.arange(1, NUM_CLASSES + 1), sizes).astype(np.int32)
        corner = np.stack([label % 4, label // 4, np.zeros_like(label)], axis=1)
        xyz_m = np.where(label[:, None] == 1, [4, 4, 0.01], 0.4) * rng.random((len(label), 3)) + corner
        normal = np.tile(np.array([0, 0, 1], np.float32), (len(label), 1))
        rgb = (20 * label[:, None] + rng.integers(0, 20, (len(label), 3))).astype(np.uint8)
        instance = np.where(label == 1, -1, label).astype(np.int32)
        writer.add(
            Scene(f"room{number}", xyz_m.astype(np.float32), rgb, normal, label, instance),
            "val" if number == 4 else "train",
        )
    writer.finish()
    return path


def experiment(method: str, store: Path, *overrides: str) -> Experiment:
    return load_experiment(
        "synthetic/minkunet", methods=method, overrides=[*SMALL, f"data.path={store}", *overrides]
    )


@pytest.fixture(scope="module")
def baseline(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for the methods that begin with a trained network."""
    out = tmp_path_factory.mktemp("baseline") / "run"
    train(
        experiment("label_smoothing", store, "train.steps=1"), out, device="cpu", console=Console(quiet=True)
    )
    return out


@pytest.mark.parametrize("method", shipped("method"))
def test_a_shipped_method_trains_and_is_evaluated(
    method: str, store: Path, baseline: Path, tmp_path: Path
) -> None:
    options = ["data.paste.min_points=10"] if method == "paste" else []
    if method in ("crt", "tilted_trained"):
        options = [f"train.init_from={baseline}"]
    chosen = experiment(method, store, *options)
    result = train(chosen, tmp_path, device="cpu", console=Console(quiet=True))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    assert len(steps) == 2 and all(row["grad_norm"] > 0 for row in steps)
    assert {f"loss/{name}" for name in chosen.losses} <= set(steps[0])
    assert result.report is not None and result.report.miou["present"] is not None
    load_run(tmp_path, device="cpu")


def test_what_a_loss_learns_is_trained_with_the_network_and_resumed(store: Path, tmp_path: Path) -> None:
    """Region rebalance has a classifier of its own."""
    import torch

    chosen = experiment("region_classifier", store, "data.val_split=null")
    train(chosen, tmp_path / "whole", device="cpu", console=Console(quiet=True))
    train(chosen, tmp_path / "parts", device="cpu", console=Console(quiet=True), stop_after=1)
    key = "terms.regions.classifier.weight"
    weights = [torch.load(tmp_path / "parts" / "checkpoints" / "last.pt")["training"]["objective"][key]]
    train(chosen, tmp_path / "parts", device="cpu", console=Console(quiet=True))
    for run in ("parts", "whole"):
        weights.append(torch.load(tmp_path / run / "checkpoints" / "last.pt")["training"]["objective"][key])
    after_one_step, resumed, whole = weights
    assert torch.equal(resumed, whole) and not torch.equal(after_one_step, whole)


def test_pasting_without_instances_is_refused_with_what_to_do(tiny_store: Path, tmp_path: Path) -> None:
    chosen = experiment("paste", tiny_store, "data.features=[color]")
    with pytest.raises(ValueError, match="Prepare the store with instances"):
        train(chosen, tmp_path, device="cpu", console=Console(quiet=True))
