"""An auxiliary head on inner features: from the recipe to its gradient, and gone at evaluation."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from pointseg.config import ConfigError
from pointseg.experiment import Experiment, load_experiment
from pointseg.models.segmenter import Segmenter
from pointseg.runs.checkpoint import load_run
from pointseg.training.train import train

pytest.importorskip("transformers")
IS_LONG = os.environ.get("POINTSEG_LONG") == "1"
SMALL = (
    *("model.hidden_size=16", "data.size=[32, 32]", "train.batch_size=2", "train.steps=2"),
    *("train.num_threads=1", "train.workers=0", "train.val_every=0", "train.log_every=1", "train.amp=none"),
    *("data.layout=folder", "model.window_size=2"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    (root / "images").mkdir()
    (root / "labels").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        label = np.zeros((40, 50), np.uint8)
        label[:, : rng.integers(15, 25)] = 3
        Image.fromarray(np.stack([label * 80] * 3, axis=-1)).save(root / "images" / f"{number}.jpg")
        Image.fromarray(label).save(root / "labels" / f"{number}.png")
    splits = [("image", "split"), *((n, "val" if n == 4 else "train") for n in range(5))]
    for name, rows in (("split.csv", splits), ("classes.csv", [("raw_id", "name"), (0, "a"), (3, "b")])):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def experiment(folder: Path, *overrides: str, methods: tuple[str, ...] = ()) -> Experiment:
    return load_experiment(
        "ade20k/upernet", methods=methods, overrides=[*SMALL, f"data.path={folder}", *overrides]
    )


@pytest.mark.parametrize("methods", [("ceco",), (), ("pat",)] if IS_LONG else [("ceco",)])
def test_the_recipe_trains_its_auxiliary_head_and_evaluates_the_main_one(
    methods: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    """With a method, which adds to it; without, and with another, in the long form (``POINTSEG_LONG=1``)."""
    chosen = experiment(folder, methods=methods)
    assert chosen.losses["auxiliary"].type == "cross_entropy"  # type: ignore[attr-defined]
    result = train(chosen, tmp_path / "run", device="cpu", console=Console(quiet=True))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, lines) if row["kind"] == "train"]
    assert all({"loss/main", "loss/auxiliary"} <= row.keys() for row in steps)
    first = steps[0]
    others = sum(first[f"loss/{name}"] * chosen.losses[name].weight for name in chosen.losses)
    assert first["loss"] == pytest.approx(others)
    assert chosen.losses["auxiliary"].weight == 0.4
    assert result.report is not None and result.report.miou["present"] is not None
    (validation,) = [row for row in map(json.loads, lines) if row["kind"] == "val"]
    assert not validation.get("heads")
    segmenter = load_run(tmp_path / "run", device="cpu").segmenter
    assert segmenter.others["auxiliary"].classifier.weight.shape == (2, 256)  # type: ignore[union-attr]


def test_inner_features_are_of_the_third_stage_and_only_in_training(folder: Path) -> None:
    torch.manual_seed(0)
    segmenter: Segmenter = experiment(folder).build_segmenter(3, 2)
    from pointseg.core.batch import ImageBatch, Labels

    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    batch = ImageBatch(torch.randn(2, 3, 64, 64), labels, ("a", "b"), {"auxiliary": Labels(labels.flatten())})
    training = segmenter(batch)
    map_ = segmenter.backbone.rows(batch).inner["auxiliary"]  # type: ignore[operator]
    assert map_.grid == (2, 4, 4) and map_.rows.shape == (32, 256)
    assert training.others["auxiliary"].logits.shape == (2 * 64 * 64, 2)
    training.others["auxiliary"].logits.sum().backward()
    network = segmenter.backbone.network
    assert all(p.grad is not None for p in network.auxiliary_head.parameters())  # type: ignore[union-attr]
    assert all(p.grad is None for p in network.decode_head.parameters())  # type: ignore[union-attr]
    assert not segmenter.eval()(batch).others


def test_channels_are_dropped_whole_and_in_training_only(folder: Path) -> None:
    torch.manual_seed(0)
    backbone = experiment(folder, "model.dropout=0.5").build_segmenter(3, 2).backbone
    images = torch.randn(2, 3, 64, 64)

    def share_of_empty_channels() -> float:
        return (backbone(images) == 0).flatten(2).all(2).float().mean().item()

    training = share_of_empty_channels()
    backbone.eval()
    # Behind a ReLU some are empty by themselves.
    assert share_of_empty_channels() + 0.2 < training < 0.9
    assert experiment(folder).model.dropout == 0.1  # type: ignore[attr-defined]


def test_stochastic_depth_reaches_the_encoder(folder: Path) -> None:
    config = experiment(folder).build_segmenter(3, 2).backbone.network.config.backbone_config  # type: ignore[union-attr]
    assert config.drop_path_rate == 0.2
    plain = experiment(folder, "model.drop_path=null").build_segmenter(3, 2).backbone
    assert plain.network.config.backbone_config.drop_path_rate == 0.1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.auxiliary=false"], "gives no inner features 'auxiliary' as it is set; it gives none"),
        (["heads=null", "losses.auxiliary=null"], "nothing reads the inner features 'auxiliary'"),
        (["losses.auxiliary=null"], "would leave the classifier of head 'auxiliary' untrained"),
    ],
)
def test_inner_features_heads_and_losses_must_fit(overrides: list[str], message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(folder, *overrides)
