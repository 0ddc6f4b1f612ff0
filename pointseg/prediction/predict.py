"""predict_scenes: the one generator that validation, evaluation, submission and pictures consume."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.data.kind import NUM_VIEWS, Pipeline

if TYPE_CHECKING:
    from pointseg.runs.checkpoint import TrainedRun


def predict_scenes(
    segmenter: nn.Module,
    pipeline: Pipeline,
    scenes: Iterable[Member],
    *,
    views: int = 1,
    max_tile_points: int | None = None,
    top: int = 1,
    heads: Sequence[str] = (),
    entropy: bool = False,
) -> Iterator[ScenePrediction]:
    """Predict every vertex of every scene in file order, or every pixel of every image in reading order.

    The class probabilities of all test-time views are summed vertex by vertex, then the most probable class
    is taken. Memory is bounded by one scene (or one tile) at a time; nothing of it depends on the other
    scenes, so the result of a scene is the same alone and among others.

    Args:
        segmenter: maps a batch to a Prediction. It is put into evaluation mode for each scene and every
            module gets its own mode back before the scene is yielded.
        pipeline: makes the batches and predicts with them; decides voxel size, features and device.
        scenes: any number of scenes or images; read lazily.
        views: test-time views, 1 (the scene as it stands) to 8.
        max_tile_points: scans with more vertices are cut into tiles of at most this many vertices, context
            included; None never cuts.
        top: from 2 on, each prediction also has this many most probable classes.
        heads: further heads of the network whose predictions are wanted in ``others``; the network runs once
            for all.
        entropy: each prediction also has the entropy of its probabilities.

    Raises:
        ValueError: if ``views`` or ``max_tile_points`` is out of range, or for a scene that the pipeline
            refuses (a position that is not finite, no normals where the network wants them).
    """
    check_views(views)
    if max_tile_points is not None and max_tile_points < 1:
        raise ValueError(f"max_tile_points must be at least 1; got {max_tile_points}.")
    for scene in scenes:
        with evaluation_mode(segmenter):
            prediction = pipeline.predict(
                segmenter,
                scene,
                views=views,
                max_tile_points=max_tile_points,
                top=top,
                heads=heads,
                entropy=entropy,
            )
        yield prediction


def predict_scene(
    run: TrainedRun,
    scene: Member | Path | str,
    *,
    views: int = 1,
    max_tile_points: int | None = None,
    top: int = 1,
    entropy: bool = False,
) -> ScenePrediction:
    """Predict one scene or image, or one file of it; what is doubtful about a file becomes a warning.

    Raises:
        ValueError: if the file cannot be read as what the run was trained on, or see :func:`predict_scenes`.
    """
    if isinstance(scene, Path | str):
        file = run.experiment.data.read_file(Path(scene))
        for remark in (*file.remarks, *run.doubts_about_file(file)):
            warnings.warn(f"{scene}: {remark}.", stacklevel=2)
        member: Member = file.scene
    else:
        member = scene
    found = predict_scenes(
        run.segmenter,
        run.pipeline,
        [member],
        views=views,
        max_tile_points=max_tile_points,
        top=top,
        entropy=entropy,
    )
    return next(found)


def check_views(views: int | None) -> None:
    """Raises ValueError for a number of test-time views that there is not; None is for that of the run."""
    if views is not None and not 1 <= views <= NUM_VIEWS:
        raise ValueError(f"views must be 1..{NUM_VIEWS}; got {views}.")


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """``module.eval()`` for a while; afterwards every part has its own mode back, frozen parts included."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
