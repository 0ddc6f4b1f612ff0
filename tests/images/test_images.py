"""Photographs through the same trainer, evaluation, prediction and pictures as scans."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import ConfigError
from pointseg.core.batch import ImageBatch
from pointseg.core.image import ImageScene
from pointseg.core.labels import IGNORE, LabelSpace, distinct_colors
from pointseg.core.prediction import Prediction
from pointseg.experiment import Experiment, load_experiment
from pointseg.images.pipeline import ImagePipeline
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.training import job
from pointseg.training.train import train

RECIPE = "ccp59/unet"
METHODS = (
    *("ceco", "tilted", "pat", "dropclass", "all_four"),
    *("cac", "pixel_contrast", "boundary_cb", "density_cb"),
)
BATCHES = ("data.size=[32, 32]", "train.batch_size=2", "train.num_threads=1")
SMALL = (*BATCHES, "model.widths=[8, 16]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of 40 x 50: grey (0), a red bar on the left (3), a blue one at the bottom (7)."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    (root / "labels").mkdir()
    splits = []
    for number in range(6):
        label = np.zeros((40, 50), np.uint8)
        label[:, : rng.integers(10, 20)] = 3
        label[rng.integers(25, 35) :] = 7
        colors = np.zeros((256, 3), np.uint8)
        colors[[0, 3, 7]] = (120, 120, 120), (220, 30, 30), (30, 30, 220)
        Image.fromarray(colors[label]).save(root / "images" / f"{number}.jpg", quality=95)
        Image.fromarray(label).save(root / "labels" / f"{number}.png")
        splits.append((number, "val" if number == 5 else "train"))
    for name, rows in (
        ("split.csv", [("image", "split"), *splits]),
        ("classes.csv", [("raw_id", "name"), (0, "grey"), (3, "red"), (7, "blue")]),
    ):
        with (root / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def experiment(folder: Path, methods: Sequence[str] = (), *overrides: str) -> Experiment:
    return load_experiment(RECIPE, methods=methods, overrides=[*SMALL, f"data.path={folder}", *overrides])


def quiet_train(chosen: Experiment, out: Path, **options: Any) -> Any:
    return train(chosen, out, device="cpu", console=Console(quiet=True), **options)


def test_a_run_on_photographs_asks_for_no_engine(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the question alone would compile and prove the kernels of networks that it does not have."""
    asked: list[str] = []
    monkeypatch.setattr(job, "current_engine", asked.append)
    said = io.StringIO()
    console = Console(file=said, width=500)
    train(experiment(folder, (), "train.steps=1"), tmp_path / "run", device="cpu", console=console)
    assert "CPU threads" in said.getvalue() and "engine" not in said.getvalue() and not asked


@pytest.mark.parametrize("methods", [(), *((method,) for method in METHODS)])
def test_a_shipped_method_trains_on_photographs(methods: tuple[str], folder: Path, tmp_path: Path) -> None:
    result = quiet_train(experiment(folder, methods, "train.steps=3", "train.log_every=1"), tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(row["grad_norm"] > 0 and row["rows"] == 2 * 32 * 32 for row in rows if row["kind"] == "train")
    assert result.report.miou["present"] is not None


@pytest.mark.parametrize(
    "model",
    [
        "{type: segformer}",
        "{type: upernet, hidden_size: 16}",
        "{type: upernet, encoder: swin, hidden_size: 16}",
        "{type: deeplabv3plus, depth_multiplier: 0.5}",
    ],
)
def test_a_network_of_the_library_trains_with_ceco_and_dropclass(
    model: str, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    options = ("data.size=[32, 32]", "train.batch_size=2", "train.num_threads=1", "train.log_every=1")
    chosen = load_experiment(
        RECIPE,
        methods=["ceco", "dropclass"],
        overrides=[*options, f"data.path={folder}", f"model={model}", "train.steps=2"],
    )
    result = quiet_train(chosen, tmp_path / "run")
    assert result.is_finished and result.report.miou["present"] is not None
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    assert len(steps) == 2 and all(row["grad_norm"] > 0 for row in steps)


def test_a_trained_network_does_without_the_weights_it_started_from(folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    start = tmp_path / "mit"
    transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig()).save_pretrained(start)
    options = ("train.steps=2", "data.val_split=null", f"model={{type: segformer, pretrained: {start}}}")
    chosen = load_experiment(RECIPE, overrides=[*BATCHES, f"data.path={folder}", *options])
    quiet_train(chosen, tmp_path / "run", stop_after=1)
    start.rename(tmp_path / "gone")
    assert quiet_train(chosen, tmp_path / "run").is_finished
    run = load_run(tmp_path / "run", device="cpu")
    weights = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["weights"]
    scale = next(value for key, value in weights.items() if key.endswith("input_scale"))
    assert torch.equal(run.segmenter.backbone.input_scale, scale) and not torch.all(scale == 1)


def test_a_resumed_run_has_the_weights_of_one_that_never_stopped(folder: Path, tmp_path: Path) -> None:
    chosen = experiment(folder, (), "train.steps=4", "data.val_split=null")
    quiet_train(chosen, tmp_path / "whole")
    quiet_train(chosen, tmp_path / "parts", stop_after=2)
    quiet_train(chosen, tmp_path / "parts")
    whole, parts = (
        load_checkpoint(tmp_path / n / "checkpoints" / "last.pt")["weights"] for n in ("whole", "parts")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_it_learns_and_every_verb_takes_the_run(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = quiet_train(experiment(folder, (), "train.steps=60", "optimizer.lr=0.01"), run)
    assert result.report.miou["present"] > 0.7
    call = CliRunner().invoke
    evaluated = call(app, ["evaluate", str(run), "--views", "2", "--json", str(tmp_path / "e.json")])
    assert evaluated.exit_code == 0, evaluated.output
    numbers = json.loads((tmp_path / "e.json").read_text())
    assert "Neural collapse" in evaluated.output and "NC3" in evaluated.output
    assert numbers["views"] == 2 and numbers["num_vertices"] == 40 * 50
    assert numbers["miou"]["present"] == pytest.approx(result.report.miou["present"], abs=0.1)
    out = tmp_path / "out.png"
    predicted = call(app, ["predict", str(run), str(folder / "images" / "5.jpg"), "-o", str(out)])
    assert predicted.exit_code == 0, predicted.output
    with Image.open(out) as picture:
        assert picture.mode == "P" and picture.size == (50, 40)
        truth = np.array(Image.open(folder / "labels" / "5.png"))
        assert (np.array(picture) == truth).mean() > 0.8
    refused = [
        ([str(folder / "room.ply")], "was trained on images and cannot read .ply"),
        ([str(folder / "images" / "5.jpg"), "--keep-colors"], "no room for the colours"),
        ([str(folder / "images" / "5.jpg"), "--save", "margin"], "no room for margin; leave out --save"),
    ]
    for arguments, words in refused:
        answer = call(app, ["predict", str(run), *arguments, "-o", str(out)])
        assert answer.exit_code == 2 and words in answer.output
    some = [str(folder / "images" / f"{i}.jpg") for i in (4, 5)]
    sure = ["-o", str(tmp_path / "all"), "--min-confidence", "0.99"]
    assert call(app, ["predict", str(run), *some, *sure]).exit_code == 0
    with Image.open(tmp_path / "all" / "5.png") as picture, Image.open(out) as before:
        left_out = np.array(picture) == 255
        assert picture.mode == "P" and left_out.any()
        assert np.array_equal(np.array(picture)[~left_out], np.array(before)[~left_out])
    shown = call(app, ["visualise", str(run), "--scene", "5", "--no-window", "-o", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "5.png").is_file()


def test_a_network_for_scans_is_refused_for_photographs(folder: Path) -> None:
    with pytest.raises(ConfigError, match="minkunet is a network for scans, data are images"):
        load_experiment(RECIPE, overrides=[f"data.path={folder}", "model={type: minkunet}"])


def test_supervised_pixels_keep_their_image_and_their_order() -> None:
    labels = torch.tensor([[[0, IGNORE]], [[1, 0]]])
    batch = ImageBatch(torch.zeros(2, 3, 1, 2), labels, ("a", "b"))
    logits = torch.arange(8.0).view(4, 2)
    rows = batch.supervise(Prediction.of(logits, logits))
    assert rows.labels.tolist() == [0, 1, 0] and rows.sample.tolist() == [0, 1, 1]
    assert rows.logits[:, 0].tolist() == [0, 4, 6]


def pipeline(**options: Any) -> ImagePipeline:
    space = LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2))
    return ImagePipeline(
        **{"size": (8, 8), "scale": (0.5, 2.0), "color_jitter": 0.0, "label_space": space, **options}
    )


def halves(height: int = 16, width: int = 16) -> ImageScene:
    """Left half black, class 1; right half white, class 2."""
    right = np.tile(np.arange(width) >= width // 2, (height, 1)).reshape(-1)
    rgb = np.repeat(np.where(right, 255, 0).astype(np.uint8)[:, None], 3, axis=1)
    return ImageScene("halves", height, width, rgb, (1 + right).astype(np.int32))


def test_image_and_label_are_moved_alike_and_outside_is_unlabelled() -> None:
    batches = [pipeline().train_batch([halves()], seed) for seed in range(40)]
    for batch in batches:
        dark, light = batch.images[0, 0] < -1.9, batch.images[0, 0] > 1.9
        label = batch.pixel_labels[0]
        assert bool((label[dark] == 0).all() and (label[light] == 1).all())
    assert any(bool((batch.pixel_labels == IGNORE).any()) for batch in batches)
    # Mirrored half of the time.
    left = [bool(b.images[0, 0, 4, :].mul(torch.arange(8) - 3.5).sum() > 0) for b in batches]
    assert 8 < sum(left) < 32


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_window_is_the_image_scaled_cut_and_mirrored_or_not(scale: float) -> None:
    y, x = np.mgrid[:24, :30]
    rgb = np.stack([8 * x, 8 * y, 0 * x], axis=-1).astype(np.uint8).reshape(-1, 3)
    scene = ImageScene("ramp", 24, 30, rgb, (1 + (x // 3 + y // 3) % 2).astype(np.int32).reshape(-1))
    one = pipeline(resize=(24, 30), scale=(scale, scale))
    truth = torch.from_numpy(one.label_space.encode(scene.raw_label)).view(24, 30)
    directions = set()
    for seed in range(30):
        batch = one.train_batch([halves(10, 40), scene], seed)
        # The colours say from where a pixel comes; at the rim they are mixed with what lies outside.
        column, row = ((64 * batch.images[1, c] + 127.5) / 8 for c in range(2))
        outside = torch.nn.functional.pad((batch.pixel_labels[1] == IGNORE).float(), (2, 2, 2, 2), value=1.0)
        inside = torch.nn.functional.max_pool2d(outside[None], 5, 1)[0] == 0
        inside &= (column > 0) & (column < 29) & (row > 0) & (row < 23)
        step = column.diff(dim=1)[inside[:, 1:] & inside[:, :-1]]
        assert torch.allclose(step.abs(), torch.tensor(1 / scale), atol=1e-2)
        directions.update((step > 0).tolist())
        down = row.diff(dim=0)[inside[1:] & inside[:-1]]
        assert torch.allclose(down, torch.tensor(1 / scale), atol=1e-2)
        found = truth[row[inside].round().long(), column[inside].round().long()]
        clear = ((row[inside] % 1 - 0.5).abs() > 0.02) & ((column[inside] % 1 - 0.5).abs() > 0.02)
        assert torch.equal(found[clear], batch.pixel_labels[1][inside][clear])
    assert directions == {True, False}


def test_a_window_does_not_depend_on_the_other_images_of_its_batch() -> None:
    one = pipeline(color_jitter=0.3, hue_jitter=0.1)
    alone = one.train_batch([halves(), halves(12, 20)], 5)
    beside = one.train_batch([halves(), halves(12, 20), halves(40, 31)], 5)
    assert torch.allclose(alone.images, beside.images[:2], atol=1e-5)
    assert torch.equal(alone.pixel_labels, beside.pixel_labels[:2])


def test_colours_change_within_their_range_and_only_where_asked() -> None:
    scene = halves(32, 32)
    plain = pipeline(size=(32, 32), scale=(1.0, 1.0))
    assert plain.train_batch([scene], 0).images.unique().numel() <= 3
    for seed in range(5):
        images = pipeline(size=(32, 32), scale=(1.0, 1.0), color_jitter=0.4, hue_jitter=0.1)
        changed = images.train_batch([scene], seed).images
        assert not torch.allclose(changed, plain.train_batch([scene], seed).images)
        assert changed.min() >= -2.0 and changed.max() <= 2.0


def test_windows_of_a_sliding_test_cover_the_image_and_overlap() -> None:
    one = pipeline(size=(64, 64), resize=(64, 64), slide_stride=(48, 40))
    scene = halves(64, 150)
    for view in range(8):
        batch = one.eval_batch([scene], view)
        assert len(batch.images) > 1 and batch.images.shape[-2:] == batch.pixel_labels.shape[-2:]
        assert max(batch.images.shape[-2:]) <= 64 and len(batch.names) == len(batch.images)
        whole = pipeline(size=(64, 64)).eval_batch([scene], view)
        # A network that sees single pixels predicts the same from windows as from the whole.
        seen, expected = (
            p.to_pixels(
                torch.stack([b.images.permute(0, 2, 3, 1).flatten(0, 2)[:, 0]] * 2, 1), b, scene, view
            )
            for p, b in ((one, batch), (pipeline(size=(64, 64)), whole))
        )
        assert torch.allclose(seen, expected, atol=1e-5)


def test_a_mirrored_view_comes_back_to_its_pixels() -> None:
    one, scene = pipeline(size=(32, 32)), halves(32, 32)
    for view in range(8):
        batch = one.eval_batch([scene], view)
        rows = torch.nn.functional.one_hot(batch.labels, 2).float()
        winner = one.to_pixels(rows, batch, scene, view).argmax(0).flatten()
        assert (winner.numpy() == one.label_space.encode(scene.raw_label)).mean() > 0.96


def test_scans_do_not_import_the_libraries_of_images() -> None:
    code = "import pointseg.experiment, sys; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
