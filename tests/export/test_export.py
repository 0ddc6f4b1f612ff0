"""pointseg export: a small model of a run, opened through the same door, with a card of facts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import shipped
from pointseg.formats.ply import read_ply, write_ply
from pointseg.formats.sealed import read_sealed_json, write_sealed_json
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.runs.exported import rounded
from pointseg.scans.store import Store
from pointseg.training.train import train


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def model(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    numbers = folder / "evaluation.json"
    assert call("evaluate", trained_run, "--device", "cpu", "--json", numbers).exit_code == 0
    facts = ["--about", "Tiny rooms", "--licence", "CC0", "--attribution", "Nobody", "--not-for", "Halls"]
    words = ["export", trained_run, "-o", folder / "model", "--evaluation", numbers, "--device", "cpu"]
    result = call(*words, *facts)
    assert result.exit_code == 0, result.output
    return folder / "model"


@pytest.fixture
def room(tiny_store: Path, tmp_path: Path) -> Path:
    scene = Store.open(tiny_store).load("val0")
    write_ply(tmp_path / "room.ply", scene.xyz_m, rgb=scene.rgb)
    return tmp_path / "room.ply"


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def by_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model as one that comes with pointseg."""
    root = model.parent / "shipped"
    (root / "tiny").mkdir(parents=True, exist_ok=True)
    if not (root / "tiny" / "rooms").exists():
        (root / "tiny" / "rooms").symlink_to(model, target_is_directory=True)
    names = {"tiny/rooms": root / "tiny" / "rooms"}
    for place in ("pointseg.config.shipped", "pointseg.runs.door"):
        monkeypatch.setattr(f"{place}.shipped_models", lambda: names)
    return "tiny/rooms"


def test_a_model_by_name_labels_as_its_run_but_for_rounding(
    by_name: str, trained_run: Path, room: Path, tmp_path: Path
) -> None:
    for run, out in ((by_name, "a.ply"), (trained_run, "b.ply")):
        result = call("predict", run, room, "-o", tmp_path / out, "--device", "cpu")
        assert result.exit_code == 0, result.output
    one, other = read_ply(tmp_path / "a.ply").label, read_ply(tmp_path / "b.ply").label
    assert one is not None and other is not None
    assert (one != other).mean() < 0.01 and set(one) == {3, 7, 10}


def test_the_folder_and_its_weights_open_the_same_network(
    model: Path, by_name: str, trained_run: Path
) -> None:
    exact = load_run(trained_run, device="cpu").segmenter.state_dict()
    for word in (model, model / "weights.safetensors", by_name):
        run = load_run(word, device="cpu")
        assert run.step == 30
        for name, tensor in run.segmenter.state_dict().items():
            expected = exact[name].half().float() if exact[name].ndim > 1 else exact[name]
            assert torch.equal(tensor, expected), name


def test_other_verbs_take_the_name_too(by_name: str, tiny_store: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    data = ("--data", tiny_store, "--device", "cpu")
    assert call("evaluate", by_name, "--json", numbers, *data).exit_code == 0
    assert json.loads(numbers.read_text())["step"] == 30
    result = call("view", by_name, "--export", tmp_path / "pages", *data)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "pages" / "index.html").is_file()
    shown = ("--no-window", "--no-html", "--no-open3d")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert call("visualise", by_name, "--scene", "val0", *shown, *data).exit_code == 0
    assert (tmp_path / "pictures" / "val0.png").is_file()


def test_a_training_may_start_from_a_model(
    by_name: str, tiny_experiment: Callable[..., Any], tmp_path: Path
) -> None:
    experiment = tiny_experiment(f"train.init_from={by_name}", "train.steps=1", "train.val_every=0")
    train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True))
    assert load_run(tmp_path / "run", device="cpu").step == 1


def test_a_folder_that_exists_hides_a_model_of_its_name(
    by_name: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(by_name).mkdir(parents=True)
    result = call("predict", by_name, room, "-o", tmp_path / "out.ply")
    assert result.exit_code == 2 and "hides the shipped model tiny/rooms" in result.output.replace("\n", " ")


def test_a_name_that_is_none_is_answered_with_those_there_are(
    by_name: str, room: Path, tmp_path: Path
) -> None:
    result = call("predict", "tiny/room", room, "-o", tmp_path / "out.ply")
    assert result.exit_code == 2
    said = result.output.replace("\n", " ")
    assert "did you mean 'tiny/rooms'?" in said and "Shipped models: tiny/rooms" in said
    recipe = call("predict", "scannet200/spunet", room, "-o", tmp_path / "out.ply").output.replace("\n", " ")
    assert "pointseg train scannet200/spunet --out RUN" in recipe


def test_models_are_listed(by_name: str) -> None:
    assert "tiny/rooms" in call("recipes").output and "Tiny rooms" in call("recipes").output
    listed = json.loads(call("recipes", "--json").output)["models"]
    assert [(row["name"], row["description"]) for row in listed] == [("tiny/rooms", "Tiny rooms")]


def test_files_of_weights_that_are_no_model_are_refused_with_the_way_out(
    trained_run: Path, tmp_path: Path, copy: Path
) -> None:
    (copy / "model.json").unlink()
    with pytest.raises(ValueError, match=r"manifest model\.json beside it"):
        load_run(copy / "weights.safetensors")
    with pytest.raises(ValueError, match="--checkpoint best or last"):
        load_run(next((trained_run / "checkpoints").glob("*.pt")))
    torch.save({"state_dict": {}}, tmp_path / "public.pth")
    with pytest.raises(ValueError, match="pointseg convert FILE"):
        load_run(tmp_path / "public.pth")


def reseal(folder: Path) -> None:
    """Make the manifest fit what is there now, as somebody who means harm would."""
    import hashlib

    manifest = read_sealed_json(folder / "model.json")
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_sealed_json(folder / "model.json", manifest)


def test_a_pickle_is_never_loaded(copy: Path) -> None:
    torch.save({"format": 1, "step": 1, "weights": {}}, copy / "weights.safetensors")
    with pytest.raises(ValueError, match="does not fit its manifest"):
        load_run(copy, device="cpu")
    reseal(copy)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_run(copy, device="cpu")


def test_cut_weights_are_refused(copy: Path) -> None:
    file = copy / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match="does not fit its manifest"):
        load_run(copy, device="cpu")
    reseal(copy)
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_run(copy, device="cpu")


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(3)}, copy / "weights.safetensors")
    reseal(copy)
    with pytest.raises(ValueError, match="not those of the network"):
        load_run(copy, device="cpu")


@pytest.mark.parametrize("name", ["config.yaml", "label_space.json", "model.json"])
def test_an_edited_file_is_named(copy: Path, name: str) -> None:
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace("tiny", "tony") + "\n")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_run(copy, device="cpu")


def test_the_card_and_the_manifest_say_what_was_measured(model: Path) -> None:
    card, manifest = (model / "README.md").read_text(), read_sealed_json(model / "model.json")
    for words in ("Tiny rooms", "CC0", "Nobody", "- Halls.", "| floor |"):
        assert words in card, words
    assert manifest["rounding"]["rows"] == 720 and manifest["rounding"]["other_label"] < 8
    assert f"{manifest['rounding']['other_label']:,} of 720 " in card
    assert len(manifest["evaluation"]["classes"]) == 3


def test_nothing_of_the_machine_is_in_a_model(model: Path, tiny_store: Path) -> None:
    for file in model.iterdir():
        assert str(tiny_store.parents[1]).encode() not in file.read_bytes(), file.name


def test_the_command_of_the_training_is_told_without_its_folders(
    trained_run: Path, tmp_path: Path, tiny_store: Path
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "label_space.json", "checkpoints/last.pt"):
        (run / name).write_bytes((trained_run / name).read_bytes())
    command = f"/opt/bin/pointseg train tiny --out /home/ann/runs/x data.path={tiny_store} train.steps=30"
    write_sealed_json(run / "environment.json", {"starts": [{"command": command}]})
    assert call("export", run, "-o", tmp_path / "m", "--about", "Rooms", "--device", "cpu").exit_code == 0
    expected = f"pointseg train tiny --out x data.path={tiny_store.name} train.steps=30"
    assert expected in (tmp_path / "m" / "README.md").read_text()


def test_an_evaluation_of_other_weights_is_refused(trained_run: Path, model: Path, tmp_path: Path) -> None:
    numbers = json.loads((model.parent / "evaluation.json").read_text())
    (tmp_path / "e.json").write_text(json.dumps({**numbers, "step": 7}))
    words = ("export", trained_run, "-o", tmp_path / "m", "--about", "Rooms", "--device", "cpu")
    result = call(*words, "--evaluation", tmp_path / "e.json")
    assert result.exit_code == 2 and "after step 7" in result.output
    assert not (tmp_path / "m").exists()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("mine")
    assert "holds files already" in call(*words).output


def test_weights_too_large_for_float16_are_refused(trained_run: Path) -> None:
    weights = load_checkpoint(trained_run / "checkpoints" / "last.pt")["weights"]
    name = next(key for key, tensor in weights.items() if tensor.ndim > 1)
    assert rounded(weights)[name].dtype == torch.float16
    with pytest.raises(ValueError, match="not finite"):
        rounded({**weights, name: weights[name] + 1e6})


def test_every_shipped_model_opens_and_says_what_it_is(tmp_path: Path) -> None:
    for name, folder in shipped.shipped_models().items():
        run = load_run(name, device="cpu")
        assert np.prod([len(run.label_space.names), run.step]) > 0
        assert shipped.describe_model(folder)
        card = (folder / "README.md").read_text()
        assert "not stated" not in card and "| class | IoU" in card and "get another label" in card
        assert (folder / "weights.safetensors").stat().st_size < 5e6


def test_tiles_are_classified_straight_after_the_installation(tmp_path: Path) -> None:
    # A slope with trees on it, 100 points per 100 square metres as a decimated tile, far from the origin.
    rng = np.random.default_rng(0)
    ground = np.c_[rng.uniform(0, 200, (20_000, 2)), rng.normal(0, 0.03, 20_000)]
    ball = rng.normal(size=(25, 400, 3))
    ball *= rng.uniform(0, 1, (25, 400, 1)) ** (1 / 3) / np.linalg.norm(ball, axis=2, keepdims=True)
    middle = np.c_[rng.uniform(20, 180, (25, 2)), np.full(25, 9.0)]
    trees = (middle[:, None] + ball * (5, 5, 3.5)).reshape(-1, 3)
    xyz = np.concatenate([ground, trees])
    xyz[:, 2] += 0.02 * xyz[:, 0] + 100
    xyz += np.array([770_000, 6_277_000, 0])
    np.savez(tmp_path / "slope.npz", xyz=xyz)
    result = call(
        "predict", "lidarhd/minkunet", tmp_path / "slope.npz", "-o", tmp_path / "out.npz", "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    label = np.load(tmp_path / "out.npz")["label"]
    assert (label[:20_000] == 2).mean() > 0.95 and (label[20_000:] == 5).mean() > 0.95


def test_a_model_knows_what_its_training_data_were(model: Path, trained_run: Path) -> None:
    origin = load_run(model, device="cpu").origin
    assert origin is not None and origin == load_run(trained_run, device="cpu").origin


def test_what_was_guessed_for_all_training_scenes_is_no_doubt_about_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "flat.npz", xyz=rng.uniform(0, (60, 60, 12), (500, 3)))
    run = load_run("lidarhd/minkunet", device="cpu")
    file = run.experiment.data.read_file(tmp_path / "flat.npz")
    assert file.guesses and run.doubts_about_file(file) == []
    assert replace(run, origin=None).doubts_about_file(file) == list(file.guesses.values())
