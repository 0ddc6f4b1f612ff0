"""Training from a configuration to a RUN folder, on rooms of a few hundred points."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pointseg.config import load_config
from pointseg.experiment import Experiment
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.scans.store import Store
from pointseg.training.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


def rows(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


@pytest.fixture(scope="module")
def trained(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult]:
    """A run that has learned its rooms."""
    out = tmp_path_factory.mktemp("trained") / "run"
    data = {
        "data": {"path": str(tiny_store), "voxel_size_m": 0.1, "features": ["color", "height"]},
        "augment": [{"type": "flip"}, {"type": "jitter"}],
        "model": {"widths": [8] * 8, "variant": "14A", "stem_channels": 8, "stem_kernel": 3},
        "optimizer": {"type": "sgd", "lr": 0.1},
        "train": {"steps": 24, "batch_size": 2, "val_every": 12, "log_every": 2},
    }
    return out, quiet_train(load_config(Experiment, None, data=data), out)


def test_the_loss_falls_and_the_rooms_are_learned(trained: tuple[Path, TrainingResult]) -> None:
    out, result = trained
    loss = [row["loss"] for row in rows(out, "train")]
    assert len(loss) == 12
    assert sum(loss[-3:]) < 0.5 * sum(loss[:3])
    assert result.is_finished and result.report is not None
    assert result.report.miou["present"] > 0.7


def test_the_folder_holds_what_the_run_was(trained: tuple[Path, TrainingResult], tiny_store: Path) -> None:
    out, _ = trained
    assert load_config(Experiment, out / "config.yaml").data.path == tiny_store
    assert json.loads((out / "label_space.json").read_text())["name"] == "tiny"
    (start,) = json.loads((out / "environment.json").read_text())["starts"]
    assert start["torch"] == torch.__version__ and start["seed"] == 0 and start["step"] == 0
    assert list((out / "tensorboard").glob("events.*"))


def test_a_row_of_training_names_every_loss(trained: tuple[Path, TrainingResult]) -> None:
    row = rows(trained[0], "train")[-1]
    assert row["step"] == 24
    assert row["loss"] == row["loss/main"]
    assert (
        row["lr"] > 0
        and row["grad_norm"] > 0
        and row["rows"] == row["voxels"] > 0
        and row["seconds_per_step"] > 0
    )


def test_validation_counts_every_labelled_vertex_and_every_class(
    trained: tuple[Path, TrainingResult], tiny_store: Path
) -> None:
    first, second = rows(trained[0], "val")
    assert (first["step"], second["step"]) == (12, 24)
    assert second["num_vertices"] == int(Store.open(tiny_store).class_statistics("val").points.sum())
    assert [c["name"] for c in second["classes"]] == ["floor", "wall", "box"]


def test_the_best_checkpoint_is_the_best_validation(trained: tuple[Path, TrainingResult]) -> None:
    out, result = trained
    best = max(rows(out, "val"), key=lambda row: row["miou"]["present"])
    saved = load_checkpoint(out / "checkpoints" / "best.pt")
    assert saved["step"] == best["step"]
    assert saved["miou"] == best["miou"]["present"] == result.best_miou


def test_a_loaded_run_predicts_what_its_validation_saw(
    trained: tuple[Path, TrainingResult], tiny_store: Path
) -> None:
    out, result = trained
    run, store = load_run(out, checkpoint="last", device="cpu"), Store.open(tiny_store)
    assert result.report is not None and run.step == 24
    right = 0
    for name in store.scene_names("val"):
        scene = store.load(name)
        assert scene.raw_label is not None
        truth = run.label_space.encode(scene.raw_label)
        right += int((predict_scene(run, scene).train_index == truth).sum())
    assert right == int(result.report.confusion.tp.sum())


def test_a_loaded_network_neither_trains_nor_learns(trained: tuple[Path, TrainingResult]) -> None:
    segmenter = load_run(trained[0], device="cpu").segmenter
    assert not segmenter.training and not any(p.requires_grad for p in segmenter.parameters())


def test_a_finished_run_is_left_as_it_is(trained: tuple[Path, TrainingResult]) -> None:
    out, _ = trained
    before = (out / "metrics.jsonl").read_text()
    experiment = load_config(Experiment, out / "config.yaml")
    assert quiet_train(experiment, out).step == 24
    assert (out / "metrics.jsonl").read_text() == before


def test_epochs_count_passes_over_the_scenes(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    # 1.2 passes over 5 scenes in batches of 2: 6 scenes, 3 batches; 2 for each step.
    data = ["train.steps=null", "train.epochs=1.2", "train.accumulate=2", "data.val_split=null"]
    assert quiet_train(tiny_experiment(*data), tmp_path).total_steps == 2


def test_without_validation_the_last_checkpoint_is_the_best(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    result = quiet_train(tiny_experiment("data.val_split=null", "train.steps=2"), tmp_path)
    assert result.best_miou is None and result.report is None
    assert not (tmp_path / "checkpoints" / "best.pt").exists()
    assert load_run(tmp_path, device="cpu").step == 2


def test_accumulated_batches_give_the_mean_of_their_gradients(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    """One batch twice over must move the weights as that batch does once."""
    same = ["train.steps=1", "data.val_split=null", "augment=[]", "data.train_split=val"]
    quiet_train(tiny_experiment(*same), tmp_path / "once")
    quiet_train(tiny_experiment(*same, "train.accumulate=2"), tmp_path / "twice")
    once, twice = (load_run(tmp_path / name, device="cpu").segmenter for name in ("once", "twice"))
    fresh = torch.nn.utils.parameters_to_vector(start_weights(tiny_experiment(*same), tmp_path / "zero"))
    moved_once = torch.nn.utils.parameters_to_vector(once.parameters()) - fresh
    moved_twice = torch.nn.utils.parameters_to_vector(twice.parameters()) - fresh
    # Another random point of each voxel is drawn for the second batch, so the gradients differ a little.
    assert torch.cosine_similarity(moved_once, moved_twice, dim=0) > 0.8
    assert 0.7 < float(moved_twice.norm() / moved_once.norm()) < 1.3


def start_weights(experiment: Experiment, out: Path) -> list[torch.Tensor]:
    quiet_train(experiment, out, stop_after=0)
    return list(load_run(out, device="cpu").segmenter.parameters())


def test_bf16_trains_on_a_cpu(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    result = quiet_train(tiny_experiment("train.amp=bf16", "train.steps=2"), tmp_path)
    assert result.is_finished
    weights = load_checkpoint(tmp_path / "checkpoints" / "last.pt")["weights"]
    assert {w.dtype for name, w in weights.items() if "tracked" not in name} == {torch.float32}


def test_lines_instead_of_a_bar_where_there_is_no_terminal(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    with (tmp_path / "out.txt").open("w") as file:
        train(
            tiny_experiment("train.steps=3"),
            tmp_path / "run",
            device="cpu",
            console=Console(file=file, width=100),
        )
    text = (tmp_path / "out.txt").read_text()
    assert "step 3/3  loss" in text and "left 0:00:00" in text
    assert "step 3: validation mIoU" in text and "best so far" in text
