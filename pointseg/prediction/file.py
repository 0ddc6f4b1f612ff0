"""`pointseg predict`: label any file of points and write it as a PLY that viewers open."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointseg.core.destination import check_destination, naming
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.formats.ply import write_ply
from pointseg.images.file import read_image_file, write_class_image
from pointseg.images.layouts import IMAGE_SUFFIXES
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.scans.file import read_for_network
from pointseg.scans.pipeline import ScenePipeline

#: The largest scene of ScanNet has 552,614 vertices, so all of them are predicted whole.
MAX_TILE_POINTS = 600_000


def predict_file(
    run: Path,
    source: Path,
    output: Path,
    *,
    views: int = 1,
    max_points: int = MAX_TILE_POINTS,
    keep_colors: bool = False,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    engine: str | None = None,
    unit: str | None = None,
    console: Console | None = None,
) -> ScenePrediction:
    """Label the points of a file with a trained network.

    The output has the points of the file in their order and, where it is a mesh, its faces; properties are
    x y z, red green blue, label (raw id) and confidence (0..1).

    Args:
        run: RUN folder.
        source: .ply, .npz, .las or .laz file, with or without colours and normals.
        output: the .ply file to write.
        views: test-time views.
        max_points: larger clouds are predicted in tiles of at most this many points.
        keep_colors: write the colours of the file, where it has them, and not those of the classes.
        checkpoint: ``best`` or ``last``.
        device: see :func:`pointseg.runs.checkpoint.load_run`.
        engine: what convolves; as configured if None.
        unit: unit of the positions, see :func:`pointseg.scans.file.read_cloud_file`; they are written as
            they stand in the file.
        console: for what is doubtful about the file, and the table of the classes that were found.

    Raises:
        FileNotFoundError: if there is no such run or file.
        ValueError: if the file cannot be read as points, ``output`` is no .ply file, or it is ``source``.
    """
    check_destination(output, sources=[source])
    trained = load_run(run, checkpoint=checkpoint, device=device, engine=engine)
    if trained.experiment.data.kind == "images":
        return _predict_image_file(trained, source, output, views, console)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        raise ValueError(f"{source}: an image, and this run was trained on scans; give a file of points.")
    if output.suffix.lower() != ".ply":
        raise ValueError(f"{output}: the labelled cloud is written as PLY; name it <something>.ply.")
    assert isinstance(trained.pipeline, ScenePipeline)
    file = read_for_network(source, trained.pipeline.features, trained.pipeline.voxel_size_m, unit=unit)
    for remark in file.remarks:
        (console or Console(quiet=True)).print(
            f"WARNING: {source}: {remark}.", style="yellow", markup=False, soft_wrap=True
        )
    prediction = predict_scene(trained, file.scene, views=views, max_tile_points=max_points)
    labels, train_index = trained.label_space, prediction.train_index
    own_colors = keep_colors and file.scene.rgb is not None
    with naming(output):
        write_ply(
            output,
            file.written_xyz,
            rgb=file.scene.rgb if own_colors else labels.color_table[train_index],
            label=labels.decode(train_index),
            confidence=prediction.confidence,
            faces=file.faces,
            comment=f"labels: raw ids of {labels.name}".encode("ascii", "replace").decode("ascii"),
        )
    if console is not None:
        console.print(_table(labels, prediction))
        console.print(f"{len(train_index):,} points -> {escape(str(output))}", highlight=False)
    return prediction


def _predict_image_file(
    run: TrainedRun, source: Path, output: Path, views: int, console: Console | None
) -> ScenePrediction:
    """The same for a photograph, as a palette PNG."""
    if source.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(
            f"{source}: this run was trained on images; give one of {', '.join(IMAGE_SUFFIXES)}."
        )
    if output.suffix.lower() != ".png":
        raise ValueError(f"{output}: the labelled image is written as PNG; name it <something>.png.")
    image = read_image_file(source)
    prediction = predict_scene(run, image, views=views)
    with naming(output):
        write_class_image(output, image, prediction, run.label_space)
    if console is not None:
        console.print(_table(run.label_space, prediction))
        console.print(f"{image.width} x {image.height} pixels -> {escape(str(output))}", highlight=False)
    return prediction


def _table(labels: LabelSpace, prediction: ScenePrediction) -> Table:
    """The classes that were found, the largest first."""
    table = Table("class", "raw id", "points", "share", "mean confidence", title="Classes found")
    for column in table.columns[1:]:
        column.justify = "right"
    count, confidence = _per_class(labels.num_classes, prediction)
    for c in np.argsort(-count, kind="stable")[: int((count > 0).sum())].tolist():
        table.add_row(
            escape(labels.names[c]),
            str(labels.raw_ids[c]),
            f"{count[c]:,}",
            f"{100 * count[c] / count.sum():.2f} %",
            f"{confidence[c]:.2f}",
        )
    return table


def _per_class(
    num_classes: int, prediction: ScenePrediction
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(K,) points and (K,) mean confidence."""
    index = prediction.train_index
    count = np.bincount(index, minlength=num_classes)
    total = np.bincount(index, weights=prediction.confidence.astype(np.float64), minlength=num_classes)
    return count.astype(np.int64), total / np.maximum(count, 1)
