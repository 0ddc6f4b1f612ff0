"""The prediction of one scan: in tiles where it is large, and for vertices, whatever the voxels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pointseg.core.prediction import ScenePrediction, entropy_of, most_probable
from pointseg.core.rows import MAIN
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
    heads: Sequence[str] = (),
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
        heads: further heads of the network whose predictions are wanted in ``others``.
        entropy: give that of every vertex too.

    Raises:
        ValueError: for a scene that the pipeline refuses.
    """
    ranks = {MAIN: top} | dict.fromkeys(heads, 1)
    index: dict[str, npt.NDArray[np.int16]] = {}
    probability: dict[str, npt.NDArray[np.float32]] = {}
    spread = np.empty(scene.num_vertices if entropy else 0, np.float32)
    margin_m = CONTEXT_VOXELS * pipeline.voxel_size_m
    for tile in split_into_tiles(scene.xyz_m, max_tile_points, margin_m):
        part = scene if tile.is_whole else select_vertices(scene, tile.vertices)
        predicted, entropies = _predict_vertices(network, pipeline, part, views, ranks, entropy)
        for head, (values, classes) in predicted.items():
            if head not in index:
                # Of tens of millions of vertices, and perhaps of all classes: in as few bytes as will do.
                index[head] = np.empty((scene.num_vertices, classes.shape[1]), dtype=np.int16)
                probability[head] = np.empty(index[head].shape, dtype=np.float32)
            index[head][tile.core] = classes[: tile.num_core].cpu().numpy()
            probability[head][tile.core] = values[: tile.num_core].cpu().numpy()
        if entropies is not None:
            spread[tile.core] = entropies[: tile.num_core].cpu().numpy()
    nothing = np.empty((0, 1), np.int16), np.empty((0, 1), np.float32)
    found = {head: (index[head], probability[head]) if index else nothing for head in ranks}
    return ScenePrediction.of_heads(
        {
            head: ScenePrediction.ranked(scene.name, *ranked, spread if entropy and head == MAIN else None)
            for head, ranked in found.items()
        }
    )


def _predict_vertices(
    network: nn.Module,
    pipeline: ScenePipeline,
    scene: Scene,
    views: int,
    ranks: Mapping[str, int],
    entropy: bool,
) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor | None]:
    """Of each head, (P, rank) mean probabilities over the views and indices of the most probable classes; and
    the main head's (P,) entropies where they are asked for."""
    totals: dict[str, Tensor] = {}
    found: dict[str, tuple[Tensor, Tensor]] = {}
    spread: Tensor | None = None
    cloud = pipeline.upload(scene)
    for view in range(views):
        batch = pipeline.view_batch([cloud], view)
        assert batch.inverse is not None
        prediction = network(batch)
        for head, rank in ranks.items():
            # In float32 whatever the network computes in: in bfloat16, of three digits, classes would tie.
            probabilities = prediction.of_head(head).logits.float().softmax(dim=1)
            if views == 1:
                best, winner = most_probable(probabilities, rank)
                found[head] = best[batch.inverse], winner[batch.inverse]
                if entropy and head == MAIN:
                    spread = entropy_of(probabilities)[batch.inverse]
                continue
            if head not in totals:
                totals[head] = probabilities.new_zeros(scene.num_vertices, probabilities.shape[1])
            # Voxels of different views do not coincide; vertices do.
            for start in range(0, scene.num_vertices, GATHER_ROWS):
                rows = slice(start, start + GATHER_ROWS)
                totals[head][rows] += probabilities[batch.inverse[rows]]
    for head, total in totals.items():
        best, winner = most_probable(total, ranks[head])
        found[head] = best / views, winner
        if entropy and head == MAIN:
            spread = entropy_of(total / views)
    return found, spread
