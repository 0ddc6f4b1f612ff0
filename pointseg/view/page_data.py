"""What the page of a scene knows: facts for JSON, and the points as one packed block of typed arrays."""

from __future__ import annotations

import base64
import gzip
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.view.picture import aim_camera
from pointseg.view.scene_view import (
    CORRECT_COLOR,
    UNLABELLED_COLOR,
    WRONG_COLOR,
    SceneSummary,
    SceneView,
)
from pointseg.view.splat import disc_radius_m
from pointseg.view.surface import are_oriented, ceiling_height_m, faces_camera

#: 40 bytes each before they are packed.
MAX_POINTS = 1_000_000
#: Class of a point that has none, in the page.
NO_CLASS = 65_535
#: Above every scene: no ceiling is taken off.
NO_LID_M = 1e9
#: Types as the page calls them.
KINDS = {"uint8": "u8", "int8": "i8", "uint16": "u16", "uint32": "u32"}


@dataclass(frozen=True)
class Box:
    """Where positions lie, which are rounded to 65,535th parts of it.

    Args:
        origin: (3,) float64 lowest corner, metres.
        extent: longest side, metres, by which all three axes are scaled alike.
    """

    origin: npt.NDArray[np.float64]
    extent: float

    @classmethod
    def of(cls, xyz_m: npt.NDArray[np.floating[Any]]) -> Box:
        """That of (P, 3) points."""
        low, high = (np.asarray(side, dtype=np.float64) for side in (xyz_m.min(axis=0), xyz_m.max(axis=0)))
        return cls(low, max(float((high - low).max()), 1e-3))


def page_data(view: SceneView, summary: SceneSummary, box: Box | None = None) -> tuple[dict[str, Any], str]:
    """Facts of the page, and its points in base64.

    Args:
        view: the scene, with normals where it is one of points in space.
        summary: numbers of the whole scene, of which the view may be a choice.
        box: of the whole scene; that of the view if None.
    """
    facts = _facts(view, summary)
    if view.scene.picture_size is None:
        box = box or Box.of(np.asarray(view.scan.xyz_m))
        arrays = _in_space(view, box)
        facts |= _space_facts(view, box)
    else:
        view, flat = _shrunk(view)
        arrays = {}
        facts |= flat
    further = _class_arrays(view, summary, arrays)
    blocks, points = _pack(arrays)
    labels = view.label_space
    facts["further"] = [
        {"name": labels.names[c], "group": labels.groups[c], "color": list(labels.colors[c])} for c in further
    ]
    return {**facts, "count": view.num_vertices, "blocks": blocks}, points


def _in_space(view: SceneView, box: Box) -> dict[str, npt.NDArray[Any]]:
    """Places and normals, in the compact types that the page reads."""
    xyz = np.asarray(view.scan.xyz_m, dtype=np.float64)
    assert view.scan.normal is not None
    arrays: dict[str, npt.NDArray[Any]] = {
        "position": np.rint((xyz - box.origin) / box.extent * 65_535).astype(np.uint16),
        "normal": np.rint(np.clip(view.scan.normal, -1, 1) * 127).astype(np.int8),
    }
    if view.vertex is not None:
        arrays["vertex"] = view.vertex.astype(np.uint32)
    return arrays


def _class_arrays(view: SceneView, summary: SceneSummary, arrays: dict[str, npt.NDArray[Any]]) -> list[int]:
    """Add colours and classes; returns the classes that only further guesses name, which follow the list."""
    place = np.full(view.label_space.num_classes + 1, NO_CLASS, dtype=np.uint16)
    for position, entry in enumerate(summary.classes):
        place[entry.train_index] = position
    further: list[int] = []
    if view.top_index is not None and view.top_probability is not None:
        named = np.unique(view.top_index)
        further = [int(c) for c in named if place[c] == NO_CLASS]
        place[further] = np.arange(len(summary.classes), len(summary.classes) + len(further))
        arrays["topClass"] = place[view.top_index]
        arrays["topProbability"] = _bytes(view.top_probability)
    if view.truth is not None:
        arrays["truth"] = place[np.where(view.truth >= 0, view.truth, -1)]
    if view.predicted is not None:
        arrays["predicted"] = place[np.where(view.predicted >= 0, view.predicted, -1)]
    arrays["color"] = np.ascontiguousarray(view.input_colors())
    if view.confidence is not None:
        arrays["confidence"] = _bytes(view.confidence)
    return further


def _bytes(share: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _shrunk(view: SceneView) -> tuple[SceneView, dict[str, Any]]:
    """Every n-th row and column of a large picture, and what the page must know of it."""
    assert view.scene.picture_size is not None
    height, width = view.scene.picture_size
    step = max(1, math.ceil(math.sqrt(height * width / MAX_POINTS)))
    rows = np.arange(height * width).reshape(height, width)[::step, ::step]
    facts = {"picture": list(rows.shape), "step": step, "fullWidth": width}
    return (view if step == 1 else view.sampled_pixels(rows)), facts


def _pack(arrays: dict[str, npt.NDArray[Any]]) -> tuple[list[dict[str, Any]], str]:
    """Where each array lies in the block, and the gzipped block in base64; wide types first, so all align."""
    blocks, parts, offset = [], [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        width = array.shape[1] if array.ndim > 1 else 1
        blocks.append({"name": name, "kind": KINDS[array.dtype.name], "width": width, "offset": offset})
        parts.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
        offset += len(parts[-1])
    # No time in it: the same scene gives the same page.
    packed = gzip.compress(b"".join(parts), compresslevel=5, mtime=0)
    return blocks, base64.b64encode(packed).decode("ascii")


def _facts(view: SceneView, summary: SceneSummary) -> dict[str, Any]:
    labels = view.label_space
    return {
        "name": view.scene.name,
        "labelSpace": labels.name,
        "unit": view.scene.unit,
        "numVertices": summary.num_vertices,
        "accuracy": summary.accuracy,
        "miou": summary.miou,
        "classes": [
            {
                "name": entry.name,
                "group": entry.group,
                "color": list(entry.color),
                "rawId": labels.raw_ids[entry.train_index],
                "count": entry.count,
                "share": entry.share,
                "iou": entry.iou,
                "frequency": None if view.frequency is None else float(view.frequency[entry.train_index]),
            }
            for entry in summary.classes
        ],
        "hasTruth": view.truth is not None,
        "hasPrediction": view.predicted is not None,
        "hasConfidence": view.confidence is not None,
        "hasFrequency": view.frequency is not None and bool(summary.classes),
        "hasUnlabelled": view.truth is not None and bool((view.truth < 0).any()),
        "picture": None,
        "colors": {
            name: [channel / 255 for channel in color]
            for name, color in (
                ("unlabelled", UNLABELLED_COLOR),
                ("correct", CORRECT_COLOR),
                ("wrong", WRONG_COLOR),
            )
        },
    }


def _space_facts(view: SceneView, box: Box) -> dict[str, Any]:
    """Where the points are, and from where they are looked at first."""
    xyz = np.asarray(view.scan.xyz_m)
    camera = aim_camera(view)
    assert view.scan.normal is not None
    can_cull = are_oriented(xyz, view.scan.normal)
    open_m = xyz[faces_camera(xyz, view.scan.normal, camera.eye)] if can_cull else xyz
    lid_m = ceiling_height_m(open_m)
    return {
        "origin": box.origin.tolist(),
        "extent": box.extent,
        # One size for all points: that at which sparse places close too.
        "radius": float(np.percentile(disc_radius_m(xyz), 85)),
        "canCull": can_cull,
        "lid": NO_LID_M if lid_m is None else lid_m,
        "camera": {"eye": camera.eye.tolist(), "target": camera.target.tolist(), "fov": camera.fov_deg},
    }
