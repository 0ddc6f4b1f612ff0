"""Neural-collapse diagnostics where they are made: validation during training, and evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pointseg.evaluation.collapse_watch import CollapseWatch
from pointseg.evaluation.evaluate import evaluate
from pointseg.experiment import Experiment
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.scans.store import Store
from pointseg.training.train import train

NUMBERS = {"nc1", "nc2_centers", "nc2_classifier", "nc3", "gradient_norm", "num_classes"}


@pytest.fixture(scope="module")
def run(tiny_experiment: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("collapse") / "run"
    train(tiny_experiment("train.steps=4"), out, device="cpu", console=Console(quiet=True))
    return out


def test_a_validation_row_holds_every_group_and_the_gradient_norm_of_every_class(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (first, second) = [row["collapse"] for row in rows if row["kind"] == "val"]
    assert set(second) == {"all", "head", "common", "tail", "gradient_norm"}
    assert set(second["all"]) == NUMBERS and second["all"]["num_classes"] == 3
    assert (
        all(isinstance(norm, float) for norm in second["gradient_norm"]) and len(second["gradient_norm"]) == 3
    )
    assert first["all"]["nc1"] != second["all"]["nc1"]


def test_evaluation_reports_what_the_last_validation_saw(run: Path, tmp_path: Path) -> None:
    result = evaluate(run, checkpoint="last", device="cpu", json_path=tmp_path / "out.json")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [row["collapse"] for row in rows if row["kind"] == "val"][-1]
    assert json.loads((tmp_path / "out.json").read_text())["collapse"] == result.collapse.to_dict()
    assert result.collapse.groups["all"].nc3 == pytest.approx(logged["all"]["nc3"])


def test_tensorboard_gets_every_diagnostic(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    tags = set(board.Tags()["scalars"])
    assert {*(f"details/collapse/{name}" for name in ("nc1_all", "nc2_centers_all", "nc3_tail"))} <= tags
    assert "details/val_gradient_norm/floor" in tags


def test_the_watch_counts_the_labelled_voxels_it_saw_and_lets_go(run: Path, tiny_store: Path) -> None:
    trained, store = load_run(run, device="cpu"), Store.open(tiny_store)
    watch = CollapseWatch(trained.segmenter, trained.label_space, torch.device("cpu"))
    scene = store.load("val0")
    with watch.watching():
        predict_scene(trained, scene)
    batch = trained.pipeline.eval_batch([scene])
    expected = [int((batch.labels == c).sum()) for c in range(3)]
    predict_scene(trained, scene)
    assert watch.sums.counts.tolist() == expected
