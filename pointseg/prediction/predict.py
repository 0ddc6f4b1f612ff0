"""predict_scenes: the one generator that validation, evaluation, submission and pictures consume."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pointseg.core.image import ImageScene
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.experiment import AnyPipeline
from pointseg.images.pipeline import ImagePipeline
from pointseg.scans.pipeline import NUM_VIEWS, ScenePipeline
from pointseg.scans.tiles import select_vertices, split_into_tiles

if TYPE_CHECKING:
    from pointseg.runs.checkpoint import TrainedRun

#: Vertices whose class probabilities are gathered at once: 65,536 rows of 200 classes are 52 MB.
GATHER_ROWS = 65_536
#: Context around a tile, in voxels: more than a MinkUNet's decoder sees of its surroundings in practice.
CONTEXT_VOXELS = 100


def predict_scenes(
    segmenter: nn.Module,
    pipeline: AnyPipeline,
    scenes: Iterable[Scene | ImageScene],
    *,
    views: int = 1,
    max_tile_points: int | None = None,
) -> Iterator[ScenePrediction]:
    """Predict every vertex of every scene in file order, or every pixel of every image in reading order.

    The class probabilities of all test-time views are summed vertex by vertex, then the most probable class
    is taken. Memory is bounded by one scene (or one tile) at a time; nothing of it depends on the other
    scenes, so the result of a scene is the same alone and among others.

    Args:
        segmenter: maps a SceneBatch to a Prediction. It is put into evaluation mode for each scene and every
            module gets its own mode back before the scene is yielded.
        pipeline: makes the batches; decides voxel size, features and device.
        scenes: any number of scenes; read lazily.
        views: test-time views, 1 (the scene as it stands) to 8.
        max_tile_points: scenes with more vertices are cut into tiles of at most this many vertices, context
            included; None never cuts.

    Raises:
        ValueError: if ``views`` or ``max_tile_points`` is out of range, or for a scene that the pipeline
            refuses (a position that is not finite, no normals where the network wants them).
    """
    check_views(views)
    if max_tile_points is not None and max_tile_points < 1:
        raise ValueError(f"max_tile_points must be at least 1; got {max_tile_points}.")
    for scene in scenes:
        with evaluation_mode(segmenter):
            if isinstance(scene, ImageScene):
                assert isinstance(pipeline, ImagePipeline)
                prediction = _predict_image(segmenter, pipeline, scene, views)
            else:
                assert isinstance(pipeline, ScenePipeline)
                prediction = _predict_one(segmenter, pipeline, scene, views, max_tile_points)
        yield prediction


def predict_scene(
    run: TrainedRun,
    scene: Scene | ImageScene | Path | str,
    *,
    views: int = 1,
    max_tile_points: int | None = None,
) -> ScenePrediction:
    """Predict one scene, or one file of points (see :func:`pointseg.scans.file.read_cloud_file`).

    Raises:
        ValueError: if the file cannot be read as points, or see :func:`predict_scenes`.
    """
    if isinstance(scene, Path | str):
        scene = read_any_file(run, Path(scene))
    return next(
        predict_scenes(run.segmenter, run.pipeline, [scene], views=views, max_tile_points=max_tile_points)
    )


def read_any_file(
    run: TrainedRun,
    path: Path,
    *,
    want_labels: bool = False,
    unit: str | None = None,
    remark: Callable[[str], None] = lambda _: None,
) -> Scene | ImageScene:
    """A cloud of points or an image, whichever the run predicts.

    Args:
        run: what is to predict it.
        path: the file.
        want_labels: whether the labels of a cloud are wanted too, to compare with.
        unit: unit of its positions, see :func:`pointseg.scans.file.read_cloud_file`.
        remark: told each thing that is doubtful about the file.
    """
    if isinstance(run.pipeline, ImagePipeline):
        from pointseg.images.file import read_image_file

        return read_image_file(path)
    from pointseg.scans.file import read_for_network

    pipeline = run.pipeline
    read = functools.partial(read_for_network, path, pipeline.features, pipeline.voxel_size_m, unit=unit)
    try:
        file = read(want_labels=want_labels)
    except ValueError as error:
        # Whatever is wrong with labels, points can be predicted without them.
        if not want_labels:
            raise
        file = read(want_labels=False)
        remark(f"its labels are left out ({error})")
    for line in file.remarks:
        remark(line)
    return file.scene


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


@torch.inference_mode()
def _predict_one(
    segmenter: nn.Module, pipeline: ScenePipeline, scene: Scene, views: int, max_tile_points: int | None
) -> ScenePrediction:
    train_index = np.empty(scene.num_vertices, dtype=np.int64)
    confidence = np.empty(scene.num_vertices, dtype=np.float32)
    margin_m = CONTEXT_VOXELS * pipeline.voxel_size_m
    for tile in split_into_tiles(scene.xyz_m, max_tile_points, margin_m):
        part = scene if tile.is_whole else select_vertices(scene, tile.vertices)
        probability, winner = _predict_vertices(segmenter, pipeline, part, views)
        train_index[tile.core] = winner[: tile.num_core].cpu().numpy()
        confidence[tile.core] = probability[: tile.num_core].cpu().numpy()
    return ScenePrediction(scene.name, train_index, confidence)


def _predict_vertices(
    segmenter: nn.Module, pipeline: ScenePipeline, scene: Scene, views: int
) -> tuple[Tensor, Tensor]:
    """Mean probability over the views (P,) and train index (P,) of the most probable class of each vertex."""
    total: Tensor | None = None
    for view in range(views):
        batch = pipeline.eval_batch([scene], view=view)
        assert batch.inverse is not None
        # In float32 whatever the network computes in: in bfloat16, of three digits, classes would tie.
        probabilities = segmenter(batch).logits.float().softmax(dim=1)
        if views == 1:
            best, winner = probabilities.max(dim=1)
            return best[batch.inverse], winner[batch.inverse]
        if total is None:
            total = probabilities.new_zeros(scene.num_vertices, probabilities.shape[1])
        # Voxels of different views do not coincide; vertices do.
        for start in range(0, scene.num_vertices, GATHER_ROWS):
            rows = slice(start, start + GATHER_ROWS)
            total[rows] += probabilities[batch.inverse[rows]]
    assert total is not None
    best, winner = total.max(dim=1)
    return best / views, winner


@torch.inference_mode()
def _predict_image(
    segmenter: nn.Module, pipeline: ImagePipeline, image: ImageScene, views: int
) -> ScenePrediction:
    """The probabilities of all views, made as large as the image and summed there."""
    total: Tensor | None = None
    for view in range(views):
        batch = pipeline.eval_batch([image], view=view)
        probabilities = segmenter(batch).logits.float().softmax(dim=1)
        pixels = pipeline.to_pixels(probabilities, batch, image, view)
        total = pixels if total is None else total.add_(pixels)
    assert total is not None
    best, winner = total.flatten(1).max(dim=0)
    return ScenePrediction(image.name, winner.cpu().numpy(), (best / views).cpu().numpy())
