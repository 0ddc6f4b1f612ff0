"""pointseg evaluate: every vertex of a labelled split, and the same numbers from its text files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config
from pointseg.core.batch import SceneBatch
from pointseg.core.labels import LabelSpace, load_label_space
from pointseg.core.prediction import Prediction
from pointseg.core.rows import IGNORE
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment
from pointseg.models.segmenter import Segmenter
from pointseg.prediction.predict import predict_scenes
from pointseg.runs.checkpoint import load_run, save_checkpoint
from pointseg.scans.store import Store, StoreWriter
from pointseg.training.train import train


@pytest.fixture
def untrained_run(tiny_experiment: Callable[..., Experiment], tiny_store: Path, tmp_path: Path) -> Path:
    """A RUN folder with fresh weights, another set of them as best."""
    experiment, space, run = tiny_experiment(), Store.open(tiny_store).label_space, tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(dump_config(experiment))
    (run / "label_space.json").write_text(json.dumps(space.to_dict()))
    torch.manual_seed(0)
    pipeline = experiment.build_pipeline(space, "cpu")
    for step, name in enumerate(("best.pt", "last.pt")):
        segmenter = experiment.build_segmenter(pipeline.num_features, space.num_classes)
        save_checkpoint(run / "checkpoints" / name, {"weights": segmenter.state_dict(), "step": step})
    return run


def evaluate(run: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["evaluate", str(run), "--device", "cpu", *options])


def numbers(run: Path, tmp_path: Path, *options: str) -> dict[str, Any]:
    result = evaluate(run, "--json", str(tmp_path / "out.json"), *options)
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    return data


def count_in_a_loop(run: Path, store: Path, names: list[str]) -> list[list[int]]:
    """tp, fp and fn of each class, vertex by vertex over all vertices of the scenes."""
    trained, opened = load_run(run, device="cpu"), Store.open(store)
    tp, fp, fn = [0, 0, 0], [0, 0, 0], [0, 0, 0]
    for name in names:
        scene = opened.load(name)
        (prediction,) = predict_scenes(trained.segmenter, trained.pipeline, [scene])
        truth = trained.label_space.encode(scene.raw_label)
        for t, p in zip(truth.tolist(), prediction.train_index.tolist(), strict=True):
            if t == p:
                tp[t] += 1
            elif t != IGNORE:
                fp[p] += 1
                fn[t] += 1
    return [tp, fp, fn]


def test_the_counts_are_those_of_a_loop_over_all_vertices(
    untrained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    data = numbers(untrained_run, tmp_path)
    counted = [[c[key] for c in data["classes"]] for key in ("tp", "fp", "fn")]
    assert counted == count_in_a_loop(untrained_run, tiny_store, ["val0", "val1"])
    assert (data["num_scenes"], data["num_vertices"]) == (2, 2 * 342)


def test_scoring_the_saved_text_files_gives_the_same_numbers(untrained_run: Path, tmp_path: Path) -> None:
    evaluated = numbers(untrained_run, tmp_path, "--save-text", str(tmp_path / "text"))
    score = ["score", "--pred", str(tmp_path / "text/pred"), "--gt", str(tmp_path / "text/gt")]
    score += ["--labels", str(untrained_run / "label_space.json"), "--json", str(tmp_path / "score.json")]
    assert CliRunner().invoke(app, score).exit_code == 0
    scored = json.loads((tmp_path / "score.json").read_text())
    for key in ("classes", "miou", "head", "common", "tail"):
        assert scored[key] == evaluated[key]


def test_best_and_last_are_different_checkpoints(untrained_run: Path, tmp_path: Path) -> None:
    best = numbers(untrained_run, tmp_path)
    last = numbers(untrained_run, tmp_path, "--checkpoint", "last")
    assert (best["step"], last["step"]) == (0, 1)
    assert best["classes"] != last["classes"]


def test_the_number_of_views_is_used_and_recorded(untrained_run: Path, tmp_path: Path) -> None:
    assert numbers(untrained_run, tmp_path)["views"] == 1
    assert numbers(untrained_run, tmp_path, "--views", "2")["views"] == 2


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(scene, points) of every batch that a network is given in evaluation mode."""
    batches, forward = [], Segmenter.forward

    def spying(self: Segmenter, batch: SceneBatch, *others: Any) -> Prediction:
        if not self.training:
            batches.append((batch.names[0], sum(batch.num_points)))
        return forward(self, batch, *others)

    monkeypatch.setattr(Segmenter, "forward", spying)
    return batches


def configured(run: Path, line: str) -> None:
    config = run / "config.yaml"
    text = re.sub(rf"^  {line.partition(':')[0]}:.*$", f"  {line}", config.read_text(), flags=re.MULTILINE)
    assert text != config.read_text()
    config.write_text(text)


def test_the_configured_views_are_what_evaluate_predicts(
    untrained_run: Path, seen: list[tuple[str, int]]
) -> None:
    configured(untrained_run, "views: 3")
    assert "2 scenes, 3 views" in evaluate(untrained_run).stdout
    assert seen == [("val0", 360)] * 3 + [("val1", 360)] * 3
    seen.clear()
    evaluate(untrained_run, "--views", "2")
    assert len(seen) == 4


def test_the_configured_tile_bound_is_what_evaluate_predicts_with(
    untrained_run: Path, seen: list[tuple[str, int]]
) -> None:
    configured(untrained_run, "max_tile_points: 200")
    assert evaluate(untrained_run).exit_code == 0
    # 360 points in cores of at most 100: quarters of 90, each with the nearest 110 around it.
    assert seen == [("val0", 200)] * 4 + [("val1", 200)] * 4


def test_validation_predicts_with_the_configured_views_and_tiles(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path, seen: list[tuple[str, int]]
) -> None:
    options = ("train.steps=1", "train.val_every=0", "evaluate.views=2", "evaluate.max_tile_points=200")
    train(tiny_experiment(*options), tmp_path / "run", device="cpu", console=Console(quiet=True))
    assert seen == [("val0", 200)] * 8 + [("val1", 200)] * 8


def test_the_table_names_split_scenes_and_groups(untrained_run: Path) -> None:
    out = evaluate(untrained_run, "--split", "train").stdout
    for word in ("train, 5 scenes, 1 view", "classes with", "overall", "head", "common", "tail"):
        assert word in out


def test_a_split_without_labels_is_refused_with_advice(untrained_run: Path) -> None:
    result = evaluate(untrained_run, "--split", "test")
    assert result.exit_code == 2
    assert "pointseg submit" in result.stderr


def test_the_numbers_say_where_they_come_from(untrained_run: Path, tmp_path: Path) -> None:
    data = numbers(untrained_run, tmp_path, "--split", "train", "--checkpoint", "last")
    assert (data["run"], data["split"], data["checkpoint"]) == (str(untrained_run), "train", "last")
    assert data["unlabelled_scenes"] == [] and "heads" not in data
    usual = numbers(untrained_run, tmp_path)
    assert (usual["split"], usual["checkpoint"]) == ("val", "best")


def test_the_classes_are_printed_when_asked_for(untrained_run: Path) -> None:
    assert "IoU of each class" in evaluate(untrained_run, "--classes").stdout
    plain = evaluate(untrained_run, "--views", "2")
    assert "IoU of each class" not in plain.stdout and "2 views: mean IoU" in plain.stdout
    assert "labelled vertices" in plain.stdout and "Neural collapse" in plain.stdout


def one_room_store(path: Path, space: LabelSpace, *, unlabelled: bool = False) -> Path:
    writer = StoreWriter(path, space, options={})
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        raw_label = None if unlabelled and name == "b" else np.full(50, space.raw_ids[0], np.int32)
        xyz = rng.uniform(0, 1, (50, 3)).astype(np.float32)
        writer.add(Scene(name, xyz, rgb=np.full((50, 3), 9, np.uint8), raw_label=raw_label), "val")
    writer.finish()
    return path


def test_another_store_can_be_evaluated(untrained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    other = one_room_store(tmp_path / "other", Store.open(tiny_store).label_space)
    assert numbers(untrained_run, tmp_path, "--data", str(other))["num_vertices"] == 100


def test_scenes_without_labels_are_left_out_and_named(
    untrained_run: Path, tiny_store: Path, tmp_path: Path
) -> None:
    other = one_room_store(tmp_path / "other", Store.open(tiny_store).label_space, unlabelled=True)
    assert numbers(untrained_run, tmp_path, "--data", str(other))["unlabelled_scenes"] == ["b"]
    assert "1 scenes of val have no labels" in evaluate(untrained_run, "--data", str(other)).stderr


def test_a_store_of_other_classes_is_refused(untrained_run: Path, tmp_path: Path) -> None:
    other = one_room_store(tmp_path / "other", load_label_space("scannet20"))
    result = evaluate(untrained_run, "--data", str(other))
    assert result.exit_code == 2
    assert "scannet20" in result.stderr
