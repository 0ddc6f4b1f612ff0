"""One PNG of a scene: input, truth, prediction and error beside each other, with a legend and a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pointseg.core.durable import writing
from pointseg.core.words import counted
from pointseg.formats.clouds import estimate_normals
from pointseg.view.camera import Camera, choose_camera
from pointseg.view.scene_view import (
    CORRECT_COLOR,
    UNLABELLED_COLOR,
    WRONG_COLOR,
    ClassInView,
    SceneSummary,
    SceneView,
)
from pointseg.view.splat import disc_radius_m, draw
from pointseg.view.surface import front_of

Color = tuple[int, int, int]
Pictures = list[npt.NDArray[np.uint8]]

MAX_POINTS = 500_000
PANEL_PX = (920, 690)
MARGIN, GAP, CAPTION = 48, 28, 46
LEGEND_COLUMNS, LEGEND_LINE, MAX_LEGEND_CLASSES = 5, 30, 80
LEGEND_GAP, MAX_LEGEND_WIDTH = 72, 330
PAPER: Color = (255, 255, 255)
INK: Color = (28, 32, 38)
PALE_INK: Color = (112, 120, 130)
LINE: Color = (226, 230, 235)


@dataclass(frozen=True)
class Panel:
    """One way to colour the scene.

    Args:
        title: what it shows.
        note: a few words or a number after the title.
        colors: (P, 3) uint8.
        shading: how much of the light is drawn; a scan's colours hold that of the room already.
        key: names of colours that are no classes.
    """

    title: str
    note: str
    colors: npt.NDArray[np.uint8]
    shading: float = 1.0
    key: tuple[tuple[str, Color], ...] = ()


def panels_of(view: SceneView, summary: SceneSummary) -> list[Panel]:
    """Input, and truth, prediction and error where they exist."""
    has_colors = view.scene.rgb is not None
    note, shading = ("", 0.5) if has_colors else ("no colours; shaded by height", 1.0)
    panels = [Panel("Input", note, view.input_colors(), shading)]
    has_unlabelled = summary.num_labelled < summary.num_vertices
    unlabelled = (("unlabelled", UNLABELLED_COLOR),) if has_unlabelled else ()
    if view.truth is not None:
        panels.append(Panel("Truth", "", view.class_colors(view.truth), key=unlabelled))
    if view.predicted is not None:
        note = "" if summary.miou is None else f"mIoU {100 * summary.miou:.1f} in this scene"
        panels.append(Panel("Prediction", note, view.class_colors(view.predicted)))
    if view.is_wrong is not None and summary.accuracy is not None:
        note = f"{100 * (1 - summary.accuracy):.1f} % of the labelled {view.scene.unit}"
        rates = (("wrong", WRONG_COLOR), ("right", CORRECT_COLOR), *unlabelled)
        panels.append(Panel("Error", note, view.error_colors(), key=rates))
    return panels


def write_picture(view: SceneView, summary: SceneSummary, path: Path) -> None:
    """Write the picture of a scene as a PNG file.

    Args:
        view: the scene; may have any number of vertices.
        summary: its numbers.
        path: the file to write.
    """
    size = view.scene.picture_size
    panels, images = _in_space(view, summary) if size is None else _flat(view, summary, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as stream:
        _compose(view, summary, panels, images).save(stream, "PNG")


def _in_space(view: SceneView, summary: SceneSummary) -> tuple[list[Panel], Pictures]:
    """Panels and pictures of a scan."""
    view = with_normals(view.thinned(MAX_POINTS))
    panels = panels_of(view, summary)
    camera = aim_camera(view)
    shown = front_of(view.scan.xyz_m, view.scan.normal, camera.eye)
    xyz, normal = np.asarray(view.scan.xyz_m)[shown], np.asarray(view.scan.normal)[shown]
    drawing = draw(xyz, normal, disc_radius_m(xyz), camera, PANEL_PX)
    images = [drawing.paint(panel.colors[shown], PAPER, shading=panel.shading) for panel in panels]
    return panels, images


def _flat(view: SceneView, summary: SceneSummary, size: tuple[int, int]) -> tuple[list[Panel], Pictures]:
    """Panels and pictures of what is a picture of ``size`` itself: fitted into the panel, on paper."""
    panels = panels_of(view, summary)
    images = []
    for panel in panels:
        picture = Image.fromarray(panel.colors.reshape(*size, 3))
        is_photo = panel.title == "Input"
        way = Image.Resampling.BICUBIC if is_photo else Image.Resampling.NEAREST
        images.append(np.asarray(ImageOps.pad(picture, PANEL_PX, way, color=PAPER)))
    return panels, images


def aim_camera(view: SceneView) -> Camera:
    """The camera for the panels and every other picture of 4:3; a few vertices are enough to choose it."""
    few = view.thinned(40_000)
    labels = few.truth if few.truth is not None else few.predicted
    return choose_camera(few.scan.xyz_m, few.scan.normal, labels, PANEL_PX[0] / PANEL_PX[1])


def with_normals(view: SceneView) -> SceneView:
    """The view with normals: its own, or estimated ones."""
    if view.scan.normal is not None:
        return view
    return replace(view, scene=replace(view.scan, normal=estimate_normals(view.scan.xyz_m)))


def _compose(view: SceneView, summary: SceneSummary, panels: list[Panel], images: Pictures) -> Image.Image:
    columns = 2 if len(panels) in (2, 4) else len(panels)
    lines = -(-len(panels) // columns)
    width = 2 * MARGIN + columns * PANEL_PX[0] + (columns - 1) * GAP
    top = MARGIN + 88
    legend_top = top + lines * (PANEL_PX[1] + CAPTION + GAP)
    legend_columns = max(2, LEGEND_COLUMNS * columns // 2)
    listed = summary.classes[:MAX_LEGEND_CLASSES]
    legend_lines = -(-(len(listed) + 1) // legend_columns)
    paper = Image.new("RGB", (width, legend_top + legend_lines * LEGEND_LINE + MARGIN + 12), PAPER)
    pen = ImageDraw.Draw(paper)
    pen.text((MARGIN, MARGIN - 14), view.scene.name, font=font(40, bold=True), fill=INK)
    pen.text((MARGIN, MARGIN + 40), _subtitle(view, summary), font=font(21), fill=PALE_INK)
    for position, (panel, image) in enumerate(zip(panels, images, strict=True)):
        left = MARGIN + (position % columns) * (PANEL_PX[0] + GAP)
        upper = top + (position // columns) * (PANEL_PX[1] + CAPTION + GAP)
        _caption(pen, panel, left, upper)
        paper.paste(Image.fromarray(image), (left, upper + CAPTION))
        box = (left, upper + CAPTION, left + PANEL_PX[0] - 1, upper + CAPTION + PANEL_PX[1] - 1)
        pen.rounded_rectangle(box, radius=10, outline=LINE, width=2)
    _legend(pen, summary, listed, legend_top + 8, width, legend_columns)
    return paper


def _caption(pen: ImageDraw.ImageDraw, panel: Panel, left: int, upper: int) -> None:
    pen.text((left + 2, upper + 6), panel.title, font=font(25, bold=True), fill=INK)
    x = left + 2 + pen.textlength(panel.title, font=font(25, bold=True)) + 16
    pen.text((x, upper + 10), panel.note, font=font(20), fill=PALE_INK)
    right = left + PANEL_PX[0]
    for name, color in reversed(panel.key):
        right -= int(pen.textlength(name, font=font(18)))
        pen.text((right, upper + 12), name, font=font(18), fill=PALE_INK)
        pen.rounded_rectangle((right - 24, upper + 13, right - 7, upper + 30), radius=4, fill=color)
        right -= 44


def _subtitle(view: SceneView, summary: SceneSummary) -> str:
    words = [
        view.label_space.name,
        counted(summary.num_vertices, view.scene.unit),
        counted(len(summary.classes), "classes"),
    ]
    if summary.accuracy is not None and summary.miou is not None:
        words.append(f"accuracy {100 * summary.accuracy:.1f} %")
    return "   ·   ".join(words)


def _legend(
    pen: ImageDraw.ImageDraw,
    summary: SceneSummary,
    listed: Sequence[ClassInView],
    top: int,
    width: int,
    columns: int,
) -> None:
    """Classes in reading order down the columns: colour, name, share of the scene, IoU in the scene."""
    pen.line((MARGIN, top - 10, width - MARGIN, top - 10), fill=LINE, width=2)
    lines = -(-(len(listed) + 1) // columns)
    step = (width - 2 * MARGIN + LEGEND_GAP) // columns
    for position, entry in enumerate(listed):
        x, y = MARGIN + (position // lines) * step, top + 8 + (position % lines) * LEGEND_LINE
        # Numbers stand nearer to the name that they belong to than to the next swatch, few classes or many.
        right = x + min(step - LEGEND_GAP, MAX_LEGEND_WIDTH)
        pen.rounded_rectangle((x, y + 2, x + 19, y + 21), radius=5, fill=entry.color)
        numbers = f"{100 * entry.share:.1f} %" if entry.share >= 0.0005 else "< 0.1 %" if entry.share else "–"
        if summary.accuracy is not None:
            numbers += "   IoU –" if entry.iou is None else f"   IoU {100 * entry.iou:.0f}"
        size = pen.textlength(numbers, font=font(16))
        pen.text((right - size, y + 3), numbers, font=font(16), fill=PALE_INK)
        name = _fitted(pen, entry.name, right - size - 12 - (x + 30))
        pen.text((x + 30, y), name, font=font(19), fill=INK)
    hidden = len(summary.classes) - len(listed)
    if hidden:
        x, y = MARGIN + (len(listed) // lines) * step, top + 8 + (len(listed) % lines) * LEGEND_LINE
        pen.text(
            (x + 30, y),
            f"and {hidden} smaller {'class' if hidden == 1 else 'classes'}",
            font=font(19),
            fill=PALE_INK,
        )


def _fitted(pen: ImageDraw.ImageDraw, text: str, width: float) -> str:
    """The text, cut with an ellipsis where it is too wide."""
    text = " ".join(text.split())
    if pen.textlength(text, font=font(19)) <= width:
        return text
    while text and pen.textlength(text + "…", font=font(19)) > width:
        text = text[:-1]
    return text.rstrip() + "…"


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, so that pictures look alike on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
