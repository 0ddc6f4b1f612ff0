"""The prediction of one photograph: all views made as large as it is, and summed there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pointseg.core.image import ImageScene
from pointseg.core.prediction import ScenePrediction, entropy_of, most_probable
from pointseg.core.rows import MAIN

if TYPE_CHECKING:
    from pointseg.images.pipeline import ImagePipeline


@torch.inference_mode()
def predict(
    network: nn.Module,
    pipeline: ImagePipeline,
    image: ImageScene,
    *,
    views: int,
    top: int = 1,
    heads: Sequence[str] = (),
    entropy: bool = False,
) -> ScenePrediction:
    """Class and confidence of every pixel, in reading order.

    Args:
        network: maps an ImageBatch to a Prediction; in evaluation mode.
        pipeline: makes the batches, in windows where it slides.
        image: the image.
        views: test-time views whose probabilities are summed pixel by pixel.
        top: from 2 on, this many most probable classes of every pixel are given too.
        heads: further heads of the network whose predictions are wanted in ``others``.
        entropy: give that of every pixel too.
    """
    totals: dict[str, Tensor] = {}
    uploaded = pipeline.upload(image)
    for view in range(views):
        batch = pipeline.view_batch(uploaded, view)
        prediction = network(batch)
        for head in (MAIN, *heads):
            probabilities = prediction.of_head(head).logits.float().softmax(dim=1)
            pixels = pipeline.to_pixels(probabilities, batch, image, view)
            totals[head] = totals[head].add_(pixels) if head in totals else pixels
    found = {}
    for head, total in totals.items():
        rows = total.flatten(1).T
        best, winner = most_probable(rows, top if head == MAIN else 1)
        spread = entropy_of(rows / views).cpu().numpy() if entropy and head == MAIN else None
        found[head] = ScenePrediction.ranked(
            image.name, winner.cpu().numpy(), (best / views).cpu().numpy(), spread
        )
    return ScenePrediction.of_heads(found)
