"""A run belongs to no engine: it trains, resumes, evaluates and predicts with any of them."""

import io
import json
from collections import Counter
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
from pointseg.experiment import Experiment
from pointseg.prediction.predict import predict_scenes
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.scans.store import Store
from pointseg.sparse.engines import backend, current_engine
from pointseg.training.train import train

ENGINES = ["torch", pytest.param("minkowski", marks=needs_minkowski)]
MakeExperiment = Callable[..., Experiment]


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How often an engine has convolved since it was last asked: a setting that is ignored shows."""
    calls: Counter[str] = Counter()

    def watch(name: str) -> None:
        kind = type(backend(name))
        real = kind.forward

        def counted(*arguments: Any, **options: Any) -> torch.Tensor:
            calls[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(kind, "forward", counted)

    for name in ("torch", "minkowski", "reference"):
        watch(name)
    return lambda name: calls.pop(name, 0)


def test_a_run_says_which_engine_it_takes(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    said = io.StringIO()
    options = ("train.steps=1", "data.val_split=null", "train.log_every=1")
    train(tiny_experiment(*options), tmp_path, device="cpu", console=Console(file=said, width=500))
    assert f"CPU threads, engine {current_engine('cpu')} (auto)" in said.getvalue()


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> Path:
    train(experiment, out, device="cpu", console=Console(quiet=True), **options)
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = load_checkpoint(run / "checkpoints" / "last.pt")["weights"]
    return saved


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], rtol=1e-3, atol=1e-3, msg=lambda text, key=key: key + text)


def confidences(run: Path, store: Path, engine: str) -> list[np.ndarray]:
    opened, trained = Store.open(store), load_run(run, device="cpu", engine=engine)
    scenes = [opened.load(name) for name in opened.scene_names("val")]
    return [p.confidence for p in predict_scenes(trained.segmenter, trained.pipeline, scenes)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_predicts_the_same_with_another_engine(
    tiny_experiment: MakeExperiment,
    tiny_store: Path,
    tmp_path: Path,
    convolutions: Callable[[str], int],
    engine: str,
) -> None:
    run = quiet_train(tiny_experiment(f"engine={engine}"), tmp_path)
    assert convolutions(engine) and not convolutions("reference")
    got = confidences(run, tiny_store, engine)
    assert convolutions(engine) and not convolutions("reference")
    expected = confidences(run, tiny_store, "reference")
    assert convolutions("reference") and not convolutions(engine)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_evaluates_with_another_engine_to_the_same_table(
    trained_run: Path, tmp_path: Path, convolutions: Callable[[str], int], engine: str
) -> None:
    def table(name: str) -> dict[str, Any]:
        path = tmp_path / f"{name}.json"
        options = ["--device", "cpu", "--json", str(path), "--engine", name]
        result = CliRunner().invoke(app, ["evaluate", str(trained_run), *options])
        assert result.exit_code == 0, result.output
        assert convolutions(name)
        read: dict[str, Any] = json.loads(path.read_text())
        return {key: value for key, value in read.items() if isinstance(value, float)}

    got, expected = table(engine), table("reference")
    # A vertex on the border of two classes may fall to the other side.
    assert expected and got == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_resumes_with_another_engine(
    tiny_experiment: MakeExperiment, tmp_path: Path, convolutions: Callable[[str], int], engine: str
) -> None:
    def experiment(name: str) -> Experiment:
        # A small rate: training doubles differences of rounding with every step.
        return tiny_experiment(f"engine={name}", "optimizer.lr=0.001", "data.val_split=null")

    whole = quiet_train(experiment("reference"), tmp_path / "whole")
    parts = quiet_train(experiment("reference"), tmp_path / "parts", stop_after=3)
    assert not convolutions(engine)
    quiet_train(experiment(engine), parts)
    assert convolutions(engine)
    assert_close(weights(whole), weights(parts))


@pytest.mark.parametrize("engine", ENGINES)
def test_mixed_precision_trains(
    tiny_experiment: MakeExperiment, tmp_path: Path, convolutions: Callable[[str], int], engine: str
) -> None:
    run = quiet_train(tiny_experiment("train.amp=bf16", f"engine={engine}"), tmp_path)
    assert convolutions(engine)
    assert all(bool(value.isfinite().all()) for value in weights(run).values())
