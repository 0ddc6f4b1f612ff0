"""One HTML file with an interactive view of a scene; it needs no network and runs nobody else's code."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import write_text
from pointseg.core.labels import resource_path
from pointseg.view.picture import aim_camera, with_normals
from pointseg.view.scene_view import (
    CORRECT_COLOR,
    UNLABELLED_COLOR,
    WRONG_COLOR,
    SceneSummary,
    SceneView,
)
from pointseg.view.splat import disc_radius_m
from pointseg.view.surface import are_oriented, ceiling_height_m, faces_camera

#: 21 bytes of text each: a page of at most 21 MB.
MAX_POINTS = 1_000_000
#: Class of a point that has none, in the page.
NO_CLASS = 65_535
#: Joined in this order into one script.
SCRIPTS = ("data.js", "orbit.js", "renderer.js", "legend.js", "picking.js", "main.js")
#: Above every scene: no ceiling is taken off.
NO_LID_M = 1e9


def write_page(view: SceneView, summary: SceneSummary, path: Path) -> None:
    """Write the page of a scene.

    Args:
        view: the scene; of more than a million vertices an even choice is shown.
        summary: its numbers, which count all vertices.
        path: the file to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page(with_normals(view.thinned(MAX_POINTS)), summary))


def page(view: SceneView, summary: SceneSummary) -> str:
    """The page as text; ``view`` has normals."""
    arrays = _arrays(view, summary)
    blocks, points = _pack(arrays)
    facts = {**_facts(view, summary), "count": view.num_vertices, "blocks": blocks}
    script = "(() => {\n'use strict';\n" + "\n".join(_template(name) for name in SCRIPTS) + "})();"
    style = _template("page.css")
    # Only this very style and script may run, and nothing at all may be loaded.
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}"
    policy += "; base-uri 'none'; form-action 'none'"
    filled = {
        "policy": html.escape(policy),
        "title": html.escape(f"{view.scene.name} · pointseg"),
        "style": style,
        "facts": _json_in_html(facts),
        "points": points,
        "script": script,
    }
    return _fill(_template("page.html"), filled)


def _arrays(view: SceneView, summary: SceneSummary) -> dict[str, npt.NDArray[Any]]:
    """Per point, in the compact types that the page reads; only what there is."""
    xyz = np.asarray(view.scan.xyz_m, dtype=np.float64)
    origin, extent = _box(xyz)
    place = np.full(view.label_space.num_classes + 1, NO_CLASS, dtype=np.uint16)
    for position, entry in enumerate(summary.classes):
        place[entry.train_index] = position
    arrays: dict[str, npt.NDArray[Any]] = {
        "position": np.rint((xyz - origin) / extent * 65_535).astype(np.uint16)
    }
    if view.truth is not None:
        arrays["truth"] = place[np.where(view.truth >= 0, view.truth, -1)]
    if view.predicted is not None:
        arrays["predicted"] = place[np.where(view.predicted >= 0, view.predicted, -1)]
    assert view.scan.normal is not None
    arrays["normal"] = np.rint(np.clip(view.scan.normal, -1, 1) * 127).astype(np.int8)
    arrays["color"] = np.ascontiguousarray(view.input_colors())
    if view.confidence is not None:
        arrays["confidence"] = np.rint(np.clip(view.confidence, 0, 1) * 255).astype(np.uint8)
    return arrays


def _box(xyz: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Lowest corner, and the longest side, by which all three axes are scaled alike."""
    return xyz.min(axis=0), max(float(np.ptp(xyz, axis=0).max()), 1e-3)


def _pack(arrays: dict[str, npt.NDArray[Any]]) -> tuple[list[dict[str, Any]], str]:
    """Where each array lies in the block, and the block in base64; two-byte arrays first, so all align."""
    kinds = {np.dtype(np.uint8): "u8", np.dtype(np.int8): "i8", np.dtype(np.uint16): "u16"}
    blocks, parts, offset = [], [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        width = array.shape[1] if array.ndim > 1 else 1
        blocks.append({"name": name, "kind": kinds[array.dtype], "width": width, "offset": offset})
        parts.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
        offset += len(parts[-1])
    return blocks, base64.b64encode(b"".join(parts)).decode("ascii")


def _facts(view: SceneView, summary: SceneSummary) -> dict[str, Any]:
    xyz = np.asarray(view.scan.xyz_m)
    origin, extent = _box(xyz.astype(np.float64))
    camera = aim_camera(view)
    assert view.scan.normal is not None
    can_cull = are_oriented(xyz, view.scan.normal)
    open_m = xyz[faces_camera(xyz, view.scan.normal, camera.eye)] if can_cull else xyz
    lid_m = ceiling_height_m(open_m)
    labels = view.label_space
    return {
        "name": view.scene.name,
        "labelSpace": labels.name,
        "numVertices": summary.num_vertices,
        "accuracy": summary.accuracy,
        "miou": summary.miou,
        "classes": [
            {
                "name": entry.name,
                "group": entry.group,
                "color": list(entry.color),
                "rawId": labels.raw_ids[entry.train_index],
                "share": entry.share,
                "iou": entry.iou,
            }
            for entry in summary.classes
        ],
        "hasTruth": view.truth is not None,
        "hasPrediction": view.predicted is not None,
        "hasConfidence": view.confidence is not None,
        "hasUnlabelled": view.truth is not None and bool((view.truth < 0).any()),
        "origin": origin.tolist(),
        "extent": extent,
        # One size for all points: that at which sparse places close too.
        "radius": float(np.percentile(disc_radius_m(xyz), 85)),
        "canCull": can_cull,
        "lid": NO_LID_M if lid_m is None else lid_m,
        "camera": {"eye": camera.eye.tolist(), "target": camera.target.tolist(), "fov": camera.fov_deg},
        "colors": {
            name: [channel / 255 for channel in color]
            for name, color in (
                ("unlabelled", UNLABELLED_COLOR),
                ("correct", CORRECT_COLOR),
                ("wrong", WRONG_COLOR),
            )
        },
    }


def _json_in_html(facts: dict[str, Any]) -> str:
    """JSON that cannot end its script element, whatever the names of the classes are."""
    text = json.dumps(facts, ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _template(name: str) -> str:
    return resource_path("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _fill(template: str, values: dict[str, str]) -> str:
    """Replace each ``{{name}}`` once, from left to right: what is filled in is never searched again."""
    pieces = []
    rest = template
    while "{{" in rest:
        before, _, after = rest.partition("{{")
        name, _, rest = after.partition("}}")
        pieces += [before, values[name]]
    return "".join([*pieces, rest])
