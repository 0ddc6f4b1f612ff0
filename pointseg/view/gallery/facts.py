"""What a gallery knows of its scenes: sizes and classes from the manifest, scores from the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from pointseg.view.gallery.collection import Collection
from pointseg.view.scene_view import ClassInView, SceneSummary


def panels_there(collection: Collection) -> list[str]:
    """Colourings of the small pictures, as :func:`pointseg.view.gallery.thumbnails.thumbnails` names them."""
    panels = ["input"]
    if collection.has_truth:
        panels.append("truth")
    if collection.runs:
        panels.append("prediction")
    return [*panels, "error"] if len(panels) == 3 else panels


def classes_of(collection: Collection, name: str) -> list[list[int]]:
    """Train index and labelled vertices of every class in a scene, the largest first; from the manifest.

    Empty where the classes of a scene were never counted, as those of images to validate on are not.
    """
    counts = collection.source.entry(name)["class_points"]
    raw_ids = np.array([int(raw_id) for raw_id in counts], dtype=np.int64)
    index = collection.label_space.encode(raw_ids)
    found = [
        [int(c), int(count)] for c, count in zip(index, counts.values(), strict=True) if c >= 0 and count
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def result_of(summary: SceneSummary) -> dict[str, Any]:
    """Scores of one prediction of one scene; null where they are undefined.

    ``miou`` and ``tail`` are means over classes that the truth of the scene has, ``worst`` is the one of
    these with the lowest IoU (of several the largest), ``found`` the classes that occur with their vertices:
    predicted ones where there is no truth.
    """
    found = [[entry.train_index, entry.count] for entry in summary.classes if entry.count]
    if summary.miou is None:
        return {"miou": None, "tail": None, "accuracy": None, "worst": None, "found": found}
    scored = [(entry, entry.iou) for entry in summary.classes if entry.count and entry.iou is not None]
    tail = [iou for entry, iou in scored if entry.group == "tail"]
    worst, iou = min(scored, key=_badness)
    return {
        "miou": summary.miou,
        "tail": sum(tail) / len(tail) if tail else None,
        "accuracy": summary.accuracy,
        "worst": [worst.train_index, iou],
        "found": found,
    }


def _badness(scored: tuple[ClassInView, float]) -> tuple[float, int, int]:
    entry, iou = scored
    return iou, -entry.count, entry.train_index
