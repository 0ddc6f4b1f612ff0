"""The Python interface: what `from pointseg import ...` gives. Everything else is internal and may move.

experiment = load_experiment("synthetic/demo", methods=["ceco"], overrides=["data.path=store"])
train(experiment, "runs/ceco")
print(evaluate("runs/ceco").report)

run = load_run("runs/ceco")
prediction = predict_scene(run, "room.ply")
raw_ids = run.label_space.decode(prediction.train_index)
"""

from __future__ import annotations

from pathlib import Path

from pointseg.config import ConfigError
from pointseg.core.labels import LabelSpace, load_label_space
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.evaluate import Evaluation, evaluate
from pointseg.evaluation.report import Report
from pointseg.experiment import Experiment, load_experiment
from pointseg.formats.ply import read_ply, write_ply
from pointseg.prediction.predict import predict_scene, predict_scenes
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.scans.file import read_cloud_file
from pointseg.scans.store import Store
from pointseg.training.callback import Callback
from pointseg.training.step import StepReport
from pointseg.training.train import TrainingResult, train
from pointseg.training.validate import Validation
from pointseg.view.page import write_page
from pointseg.view.picture import write_picture
from pointseg.view.scene_view import SceneSummary, SceneView

__all__ = [
    "Callback",
    "ConfigError",
    "Confusion",
    "Evaluation",
    "Experiment",
    "LabelSpace",
    "Report",
    "Scene",
    "ScenePrediction",
    "StepReport",
    "Store",
    "TrainedRun",
    "TrainingResult",
    "Validation",
    "evaluate",
    "load_experiment",
    "load_label_space",
    "load_run",
    "load_scene",
    "predict_scene",
    "predict_scenes",
    "read_ply",
    "show_scene",
    "train",
    "write_ply",
]


def load_scene(path: Path | str, *, normals: bool = False) -> Scene:
    """A scene from a PLY, NPZ, LAS or LAZ file.

    Args:
        path: the file.
        normals: compute normals where the file has none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as points.
    """
    return read_cloud_file(Path(path), want_normals=normals).scene


def show_scene(
    scene: Scene,
    label_space: LabelSpace,
    prediction: ScenePrediction | None = None,
    *,
    path: Path | str,
) -> Path:
    """Write a picture (``.png``) or an interactive page (``.html``) of a scene.

    Args:
        scene: the scene; its labels, if it has any, are shown as the truth.
        label_space: the classes.
        prediction: what a network says, or None.
        path: the file to write; its suffix decides the form.

    Returns:
        The path.

    Raises:
        ValueError: for another suffix, or a prediction of another number of vertices.
    """
    path = Path(path)
    writers = {".png": write_picture, ".html": write_page}
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path}: expected a name that ends in {' or '.join(writers)}.")
    if prediction is not None and len(prediction.train_index) != scene.num_vertices:
        raise ValueError(
            f"{scene.name} has {scene.num_vertices} vertices, the prediction {len(prediction.train_index)}: "
            "it belongs to another scene."
        )
    view = SceneView.of(scene, label_space, prediction)
    writers[path.suffix.lower()](view, SceneSummary.of(view), path)
    return path
