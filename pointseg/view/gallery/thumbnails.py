"""Small pictures of a scene for the cards of a gallery, one for each colouring."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from pointseg.view.picture import aim_camera, panels_of, with_normals
from pointseg.view.scene_view import SceneSummary, SceneView
from pointseg.view.splat import disc_radius_m, draw
from pointseg.view.surface import front_of

SIZE_PX = (320, 240)
#: Points that are drawn: more than can be told apart in so small a picture.
MAX_POINTS = 60_000
PAPER = (244, 246, 249)


def thumbnails(view: SceneView, summary: SceneSummary) -> dict[str, bytes]:
    """JPEG files by the name of their colouring, in small letters: input, truth, prediction, error.

    Args:
        view: the scene, of any size.
        summary: its numbers.
    """
    size = view.scene.picture_size
    if size is not None:
        panels = panels_of(view, summary)
        pictures = [
            ImageOps.pad(
                Image.fromarray(np.ascontiguousarray(panel.colors.reshape(*size, 3))),
                SIZE_PX,
                Image.Resampling.BILINEAR if panel.title == "Input" else Image.Resampling.NEAREST,
                color=PAPER,
            )
            for panel in panels
        ]
        return {panel.title.lower(): _jpeg(picture) for panel, picture in zip(panels, pictures, strict=True)}
    view = with_normals(view.thinned(MAX_POINTS))
    panels, camera = panels_of(view, summary), aim_camera(view)
    shown = front_of(view.scan.xyz_m, view.scan.normal, camera.eye)
    xyz, normal = np.asarray(view.scan.xyz_m)[shown], np.asarray(view.scan.normal)[shown]
    drawing = draw(xyz, normal, disc_radius_m(xyz), camera, SIZE_PX)
    return {
        panel.title.lower(): _jpeg(
            Image.fromarray(drawing.paint(panel.colors[shown], PAPER, shading=panel.shading))
        )
        for panel in panels
    }


def _jpeg(picture: Image.Image) -> bytes:
    stream = BytesIO()
    # Colours of classes are not blurred into one another.
    picture.save(stream, "JPEG", quality=86, subsampling=0)
    return stream.getvalue()
