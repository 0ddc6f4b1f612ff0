"""A run belongs to no engine: it trains, resumes, evaluates and predicts with any of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from minkowski_network import needs_minkowski
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.data.store import Store
from pointseg.experiment import Experiment
from pointseg.run.checkpoint import load_checkpoint, load_run
from pointseg.run.predict import predict_scenes
from pointseg.run.train import train
from pointseg.sparse import using_engine

ENGINES = ["torch", pytest.param("minkowski", marks=needs_minkowski)]
MakeExperiment = Callable[..., Experiment]


def quiet_train(experiment: Experiment, out: Path, engine: str, **options: Any) -> Path:
    with using_engine(engine):
        train(experiment, out, device="cpu", console=Console(quiet=True), **options)
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = load_checkpoint(run / "checkpoints" / "last.pt")["weights"]
    return saved


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], rtol=1e-3, atol=1e-3, msg=lambda text, key=key: key + text)


def vertices(run: Path, store: Path, engine: str) -> list[np.ndarray]:
    opened, trained = Store.open(store), load_run(run, device="cpu")
    scenes = [opened.load(name) for name in opened.scene_names("val")]
    with using_engine(engine):
        return [p.confidence for p in predict_scenes(trained.segmenter, trained.pipeline, scenes)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_predicts_the_same_with_another_engine(
    tiny_experiment: MakeExperiment, tiny_store: Path, tmp_path: Path, engine: str
) -> None:
    run = quiet_train(tiny_experiment(), tmp_path, engine)
    for got, expected in zip(
        vertices(run, tiny_store, engine), vertices(run, tiny_store, "reference"), strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_evaluates_with_another_engine_to_the_same_table(
    trained_run: Path, tmp_path: Path, engine: str
) -> None:
    def table(name: str) -> dict[str, Any]:
        path = tmp_path / f"{name}.json"
        with using_engine(name):
            options = ["--device", "cpu", "--json", str(path)]
            result = CliRunner().invoke(app, ["evaluate", str(trained_run), *options])
        assert result.exit_code == 0, result.output
        read: dict[str, Any] = json.loads(path.read_text())
        return {key: value for key, value in read.items() if isinstance(value, float)}

    got, expected = table(engine), table("reference")
    # A vertex on the border of two classes may fall to the other side.
    assert expected and got == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_resumes_with_another_engine(
    tiny_experiment: MakeExperiment, tmp_path: Path, engine: str
) -> None:
    # A small rate: training doubles differences of rounding with every step.
    experiment = tiny_experiment("optimizer.lr=0.001", "data.val_split=null")
    whole = quiet_train(experiment, tmp_path / "whole", "reference")
    parts = quiet_train(experiment, tmp_path / "parts", "reference", stop_after=3)
    assert_close(weights(whole), weights(quiet_train(experiment, parts, engine)))


@pytest.mark.parametrize("engine", ENGINES)
def test_mixed_precision_trains(tiny_experiment: MakeExperiment, tmp_path: Path, engine: str) -> None:
    run = quiet_train(tiny_experiment("train.amp=bf16"), tmp_path, engine)
    assert all(bool(value.isfinite().all()) for value in weights(run).values())
