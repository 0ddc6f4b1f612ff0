"""The Python interface: quick to import, and enough to predict, score and show a scene."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import pointseg
from pointseg import (
    Confusion,
    LabelSpace,
    Report,
    Scene,
    Store,
    evaluate,
    load_experiment,
    load_run,
    load_scene,
    predict_scene,
    show_scene,
    train,
    write_ply,
)
from pointseg.config import load_config
from pointseg.experiment import Experiment
from pointseg.scans.store import StoreWriter
from pointseg.view.scene_view import SceneSummary, SceneView

LABELS = LabelSpace("two", (3, 8), ("floor", "box"), ("", ""), ((90, 160, 90), (200, 60, 60)))


def room(name: str, seed: int) -> Scene:
    random = np.random.default_rng(seed)
    xyz = random.uniform(0, 1, (200, 3)).astype(np.float32)
    xyz[:100, 2] = 0
    rgb = np.repeat(np.array([[90, 160, 90], [200, 60, 60]], np.uint8), 100, axis=0)
    return Scene(name, xyz, rgb=rgb, raw_label=np.repeat(np.array([3, 8], np.int32), 100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`store`, a `run` trained on it for two steps, and `room.ply`."""
    path = tmp_path_factory.mktemp("api")
    writer = StoreWriter(path / "store", LABELS, options={})
    writer.add(room("a", 0), "train")
    writer.add(room("b", 1), "val")
    writer.finish()
    model = {"type": "minkunet", "variant": "14A", "widths": [8] * 8, "stem_channels": 8, "stem_kernel": 3}
    data = {
        "data": {"path": str(path / "store"), "voxel_size_m": 0.1},
        "model": model,
        "train": {"steps": 2, "batch_size": 1, "val_every": 0},
    }
    train(load_config(Experiment, None, data=data), path / "run", device="cpu", console=Console(quiet=True))
    write_ply(path / "room.ply", room("b", 1).xyz_m, rgb=room("b", 1).rgb)
    return path


def test_importing_the_package_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, pointseg; print(sorted({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed() -> None:
    from pointseg import api

    assert sorted(pointseg.__all__) == sorted(api.__all__)
    assert all(getattr(pointseg, name) is getattr(api, name) for name in pointseg.__all__)
    assert set(pointseg.__all__) <= set(dir(pointseg))


def test_an_experiment_is_trained_and_evaluated_from_python(folder: Path, tmp_path: Path) -> None:
    small = ["model.widths=[8, 8, 8, 8, 8, 8, 8, 8]", "data.features=[color]", "train.steps=2"]
    experiment = load_experiment(
        "synthetic/demo", methods=["ceco"], overrides=[f"data.path={folder / 'store'}", *small]
    )
    result = train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True))
    assert result.step == 2 and repr(result).startswith("TrainingResult(step 2 of 2, best mIoU ")
    evaluation = evaluate(str(tmp_path / "run"), device="cpu", json_path=str(tmp_path / "e.json"))
    assert evaluation.scenes == ("b",)
    assert (
        evaluation.report.miou["present"] == json.loads((tmp_path / "e.json").read_text())["miou"]["present"]
    )


def test_what_a_notebook_shows_of_a_thing_is_short(folder: Path) -> None:
    run, store = load_run(folder / "run", device="cpu"), Store.open(folder / "store")
    scene = store.load("b")
    shown = (store, scene, run.label_space, run.experiment, predict_scene(run, scene))
    assert all(len(repr(thing)) < 300 and "\n" not in repr(thing) for thing in (run, *shown))
    assert repr(scene) == "Scene('b', 200 vertices: xyz_m, rgb, raw_label)"
    assert repr(run.label_space) == "LabelSpace('two', 2 classes)"
    assert repr(store).endswith("LabelSpace('two', 2 classes), scenes: train 1, val 1)")


def test_a_notebook_shows_tables_and_pictures_whose_names_are_text(folder: Path) -> None:
    from html.parser import HTMLParser

    store = Store.open(folder / "store")
    scene, hostile = store.load("b"), "<script>alert(1)</script>"
    space = LabelSpace("two", store.label_space.raw_ids, (hostile, "b"), ("head", "tail"), ((1, 2, 3),) * 2)
    view = SceneView.of(scene, space, predict_scene(load_run(folder / "run", device="cpu"), scene))
    confusion = Confusion(2, [[3, 1, 0], [0, 2, 0]])
    things = (space, scene, store, Report.from_confusion(confusion, space), view, SceneSummary.of(view))
    pages = [thing._repr_html_() for thing in things]
    for page in pages:
        tags: list[str] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs, tags=tags: tags.append(tag)  # type: ignore[method-assign]
        parser.feed(page)
        assert tags and "script" not in tags
    assert "75.0" in pages[3]
    assert pages[4].count('<img src="data:image/jpeg;base64,') == 4
    assert all("\n" not in repr(thing) and len(repr(thing)) < 300 for thing in things)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_rnu'"):
        pointseg.load_rnu  # noqa: B018


def test_a_file_and_a_scene_of_the_store_get_the_same_prediction(folder: Path) -> None:
    run = load_run(folder / "run", device="cpu")
    scene = Store.open(folder / "store").load("b")
    from_store, from_file = predict_scene(run, scene), predict_scene(run, folder / "room.ply")
    assert np.array_equal(from_store.train_index, from_file.train_index)
    assert np.array_equal(from_store.confidence, from_file.confidence)
    assert set(run.label_space.decode(from_file.train_index)) <= {3, 8}


def test_a_prediction_can_be_scored(folder: Path) -> None:
    run, scene = load_run(folder / "run", device="cpu"), Store.open(folder / "store").load("b")
    assert scene.raw_label is not None
    truth = run.label_space.encode(scene.raw_label)
    confusion = Confusion(2).update(truth, predict_scene(run, scene, views=2).train_index)
    report = Report.from_confusion(confusion, run.label_space)
    assert report.miou["present"] is not None and 0 <= report.miou["present"] <= 1


def test_a_scene_is_shown_as_picture_or_page(folder: Path, tmp_path: Path) -> None:
    run, scene = load_run(folder / "run", device="cpu"), load_scene(folder / "room.ply")
    prediction = predict_scene(run, scene)
    page = show_scene(scene, run.label_space, prediction, path=tmp_path / "room.html")
    picture = show_scene(scene, run.label_space, prediction, path=tmp_path / "room.png")
    assert "<canvas" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_another_form_and_a_prediction_of_another_scene_are_refused(folder: Path, tmp_path: Path) -> None:
    scene, other = room("b", 1), predict_scene(load_run(folder / "run", device="cpu"), room("a", 0))
    with pytest.raises(ValueError, match=r"\.png or \.html"):
        show_scene(scene, LABELS, path=tmp_path / "room.gif")
    few = Scene("few", scene.xyz_m[:7])
    with pytest.raises(ValueError, match="few has 7 vertices, the prediction 200"):
        show_scene(few, LABELS, other, path=tmp_path / "room.png")


def test_a_run_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "label_space.json").write_text(json.dumps(LABELS.to_dict()))
    with pytest.raises(FileNotFoundError, match="not a training run"):
        load_run(tmp_path)
