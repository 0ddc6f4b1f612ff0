"""The prediction of one scan: in tiles where it is large, and for vertices, whatever the voxels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pointseg.core.prediction import ScenePrediction, entropy_of, most_probable
from pointseg.core.scene import Scene
from pointseg.scans.tiles import select_vertices, split_into_tiles

if TYPE_CHECKING:
    from pointseg.scans.pipeline import ScenePipeline

#: Vertices whose class probabilities are gathered at once: 65,536 rows of 200 classes are 52 MB.
GATHER_ROWS = 65_536
#: Context around a tile, in voxels: more than a MinkUNet's decoder sees of its surroundings in practice.
CONTEXT_VOXELS = 100


@torch.inference_mode()
def predict(
    network: nn.Module,
    pipeline: ScenePipeline,
    scene: Scene,
    *,
    views: int,
    max_tile_points: int | None,
    top: int = 1,
    entropy: bool = False,
) -> ScenePrediction:
    """Class and confidence of every vertex, in file order.

    Args:
        network: maps a SceneBatch to a Prediction; in evaluation mode.
        pipeline: makes the batches.
        scene: the scene.
        views: test-time views whose probabilities are summed vertex by vertex.
        max_tile_points: a scene with more vertices is cut into tiles of at most this many, context included.
        top: from 2 on, this many most probable classes of every vertex are given too.
        entropy: give that of every vertex too.

    Raises:
        ValueError: for a scene that the pipeline refuses.
    """
    index: npt.NDArray[np.int16] | None = None
    probability: npt.NDArray[np.float32] | None = None
    spread = np.empty(scene.num_vertices if entropy else 0, np.float32)
    margin_m = CONTEXT_VOXELS * pipeline.voxel_size_m
    for tile in split_into_tiles(scene.xyz_m, max_tile_points, margin_m):
        part = scene if tile.is_whole else select_vertices(scene, tile.vertices)
        values, classes, entropies = _predict_vertices(network, pipeline, part, views, top, entropy)
        if index is None or probability is None:
            # Of tens of millions of vertices, and perhaps of all classes: in as few bytes as will do.
            index = np.empty((scene.num_vertices, classes.shape[1]), dtype=np.int16)
            probability = np.empty(index.shape, dtype=np.float32)
        index[tile.core] = classes[: tile.num_core].cpu().numpy()
        probability[tile.core] = values[: tile.num_core].cpu().numpy()
        if entropies is not None:
            spread[tile.core] = entropies[: tile.num_core].cpu().numpy()
    if index is None or probability is None:
        index, probability = np.empty((0, 1), np.int16), np.empty((0, 1), np.float32)
    return ScenePrediction.ranked(scene.name, index, probability, spread if entropy else None)


def _predict_vertices(
    network: nn.Module, pipeline: ScenePipeline, scene: Scene, views: int, top: int, entropy: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(P, top) mean probabilities over the views and train indices of the most probable classes; and (P,)
    entropies where they are asked for."""
    total: Tensor | None = None
    cloud = pipeline.upload(scene)
    for view in range(views):
        batch = pipeline.view_batch([cloud], view)
        assert batch.inverse is not None
        # In float32 whatever the network computes in: in bfloat16, of three digits, classes would tie.
        probabilities = network(batch).logits.float().softmax(dim=1)
        if views == 1:
            best, winner = most_probable(probabilities, top)
            spread = entropy_of(probabilities)[batch.inverse] if entropy else None
            return best[batch.inverse], winner[batch.inverse], spread
        if total is None:
            total = probabilities.new_zeros(scene.num_vertices, probabilities.shape[1])
        # Voxels of different views do not coincide; vertices do.
        for start in range(0, scene.num_vertices, GATHER_ROWS):
            rows = slice(start, start + GATHER_ROWS)
            total[rows] += probabilities[batch.inverse[rows]]
    assert total is not None
    best, winner = most_probable(total, top)
    return best / views, winner, entropy_of(total / views) if entropy else None
