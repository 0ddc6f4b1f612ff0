"""pointseg submit on images: Cityscapes wants labelIds at full resolution, whatever was trained on."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config, load_config
from pointseg.experiment import Experiment
from pointseg.images.dataset import ImageData
from pointseg.prediction.predict import predict_scenes
from pointseg.runs.checkpoint import load_run, save_checkpoint

TEST = ("berlin_000000_000019", "munich_000003_000019")
HEIGHT, WIDTH = 48, 96


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def untrained(root: Path, layout: str) -> Path:
    """A RUN folder with fresh weights: what is submitted does not depend on their worth."""
    experiment = load_config(
        Experiment,
        None,
        [f"data.path={root / 'set'}", f"data.layout={layout}"],
        data={
            "data": {"type": "images", "size": [32, 64], "val_split": None},
            "model": {"type": "image_unet", "widths": [8, 16]},
            "optimizer": {"type": "adamw", "lr": 0.01},
            "train": {"steps": 1, "batch_size": 1, "val_every": 0},
        },
    )
    space, run = experiment.data.open().label_space, root / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(dump_config(experiment))
    (run / "label_space.json").write_text(json.dumps(space.to_dict()))
    torch.manual_seed(0)
    segmenter = experiment.build_segmenter(3, space.num_classes)
    save_checkpoint(run / "checkpoints" / "last.pt", {"weights": segmenter.state_dict(), "step": 0})
    return run


def cityscapes(root: Path) -> None:
    random = np.random.default_rng(0)
    for split, name in (("train", "ulm_000000_000019"), *(("test", name) for name in TEST)):
        city = name.partition("_")[0]
        photo = random.integers(0, 255, (HEIGHT, WIDTH, 3))
        put(root / f"set/leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", photo)
        for kind, value in (("labelIds", 7), ("labelTrainIds", 0)):
            put(root / f"set/gtFine/{split}/{city}/{name}_gtFine_{kind}.png", np.full((HEIGHT, WIDTH), value))


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def members(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return {name: np.array(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()}


#: labelIds of the 19 classes in train order, as the benchmark's own table has them.
LABEL_IDS = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])


@pytest.mark.parametrize("layout", ["cityscapes", "cityscapes_train_ids"])
def test_cityscapes_gets_label_ids_at_full_resolution(tmp_path: Path, layout: str) -> None:
    cityscapes(tmp_path)
    run, out = untrained(tmp_path, layout), tmp_path / "submission.zip"
    result = call("submit", run, "-o", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert f"2 images, {2 * HEIGHT * WIDTH:,} pixels, checked" in result.stdout
    written = members(out)
    assert list(written) == [f"{name}.png" for name in TEST]
    loaded = load_run(run, device="cpu")
    assert isinstance(loaded.experiment.data, ImageData)
    store = loaded.open_data()
    for name in TEST:
        (expected,) = predict_scenes(loaded.segmenter, loaded.pipeline, [store.load(name)])
        picture = LABEL_IDS[expected.train_index].reshape(HEIGHT, WIDTH)
        assert np.array_equal(written[f"{name}.png"], picture)
    checked = call("check-submission", out, "--layout", layout, "--data", tmp_path / "set")
    assert checked.exit_code == 0, checked.output
    assert "2 of 2 images read" in checked.stdout and "ready for the server" in checked.stdout


def test_without_the_data_the_size_and_number_of_cityscapes_are_known(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    out = tmp_path / "s.zip"
    call("submit", untrained(tmp_path, "cityscapes"), "-o", out, "--device", "cpu")
    result = call("check-submission", out, "--layout", "cityscapes")
    assert result.exit_code == 1
    assert "96 x 48, not 2048 x 1024" in result.stdout and "2 of 1,525 are there" in result.stdout


def test_ade20k_gets_its_own_ids_and_names(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, name in (("training", "ADE_train_00000001"), ("testing", "ADE_test_00000001")):
        put(tmp_path / f"set/images/{split}/{name}.jpg", random.integers(0, 255, (30, 41, 3)))
    put(tmp_path / "set/annotations/training/ADE_train_00000001.png", np.full((30, 41), 150))
    out = tmp_path / "s.zip"
    assert call("submit", untrained(tmp_path, "ade20k"), "-o", out, "--device", "cpu").exit_code == 0
    ((name, picture),) = members(out).items()
    assert name == "ADE_test_00000001.png" and picture.shape == (30, 41)
    assert picture.min() >= 1 and picture.max() <= 150


def test_train_indices_in_a_zip_of_images_are_recognised(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name in TEST:
            put(tmp_path / f"{name}.png", np.resize(np.arange(19), (HEIGHT, WIDTH)))
            archive.write(tmp_path / f"{name}.png", f"{name}.png")
    options = ("--layout", "cityscapes", "--data", tmp_path / "set")
    result = call("check-submission", tmp_path / "s.zip", *options)
    assert result.exit_code == 1 and "train_indices" in result.stdout


def test_a_zip_of_images_without_a_layout_is_answered_with_the_option(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("ulm_000000_000019.png", b"")
    result = call("check-submission", tmp_path / "s.zip")
    assert result.exit_code == 2 and "--layout cityscapes" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layout", "kitti"), "Unknown layout 'kitti'"),
        (("--layout", "folder"), "give --data DIR"),
        (("--layout", "cityscapes", "--data", "SET", "--split", "exam"), "no image of split 'exam'"),
    ],
)
def test_options_that_cannot_be_are_explained(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    cityscapes(tmp_path)
    with zipfile.ZipFile(tmp_path / "s.zip", "w"):
        pass
    set_folder = str(tmp_path / "set")
    result = call("check-submission", tmp_path / "s.zip", *(o.replace("SET", set_folder) for o in options))
    assert result.exit_code == 2 and words in result.stderr


def test_data_of_other_classes_are_refused(tmp_path: Path) -> None:
    cityscapes(tmp_path)
    run = untrained(tmp_path, "cityscapes")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("layout: cityscapes", "layout: cityscapes_train_ids"))
    result = call("submit", run, "-o", tmp_path / "s.zip", "--device", "cpu")
    assert result.exit_code == 2 and "other classes" in result.stderr
    assert not (tmp_path / "s.zip").exists()
