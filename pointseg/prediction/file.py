"""`pointseg predict`: label any file of what a run was trained on, and write it as other programs open it."""

from __future__ import annotations

from collections.abc import Iterable
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
from pointseg.models.precision import Amp
from pointseg.prediction.predict import check_views, predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.runs.folder import RunFolder

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
    amp: Amp | None = None,
    unit: str | None = None,
    console: Console | None = None,
) -> ScenePrediction:
    """Label the points or pixels of a file with a trained network.

    How the output looks is said by ``write_labelled`` of the kind's file: :mod:`pointseg.scans.file`,
    :mod:`pointseg.images.file`.

    Args:
        run: RUN folder.
        source: a file of the kind that the run was trained on; points with or without colours and normals.
        output: the file to write: .ply for points, .png for an image.
        views: test-time views.
        max_points: larger clouds are predicted in tiles of at most this many points.
        keep_colors: write the colours of the file, where it has them, and not those of the classes.
        checkpoint: ``best`` or ``last``.
        device: see :func:`pointseg.runs.checkpoint.load_run`.
        engine: what convolves; as configured if None.
        amp: type of the forward pass, ``none``, ``bf16`` or ``fp16``; as configured if None.
        unit: unit of the positions of points, see :func:`pointseg.scans.file.read_cloud_file`; they are
            written as they stand in the file.
        console: for what is doubtful about the file, and the table of the classes that were found.

    Raises:
        FileNotFoundError: if there is no such run or file.
        ValueError: if the file cannot be read as that kind, the name of ``output`` does not fit it, or it is
            ``source``.
    """
    check_views(views)
    check_destination(output, sources=[source])
    kind = RunFolder(run).read_experiment().data
    kind.check_file_name(source)
    if output.suffix.lower() != kind.labelled_suffix:
        raise ValueError(
            f"{output}: what is labelled is written as {kind.labelled_suffix[1:].upper()}; name "
            f"it <something>{kind.labelled_suffix}."
        )
    file = kind.read_file(source, unit=unit)
    if console is not None:
        warn(console, source, file.remarks)
    trained = load_run(run, checkpoint=checkpoint, device=device, engine=engine, amp=amp)
    prediction = predict_scene(trained, file.scene, views=views, max_tile_points=max_points)
    labels = trained.label_space
    with naming(output):
        file.write_labelled(output, prediction, labels, keep_colors=keep_colors)
    if console is not None:
        console.print(_table(labels, prediction, file.unit))
        rows = f"{len(prediction.train_index):,} {file.unit}"
        console.print(f"{rows} -> {escape(str(output))}", highlight=False)
    return prediction


def warn(console: Console, source: Path, remarks: Iterable[str]) -> None:
    """Say what is doubtful about a file."""
    for remark in remarks:
        sentence = remark if remark.endswith("?") else f"{remark}."
        console.print(
            f"WARNING: {source}: {sentence}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )


def _table(labels: LabelSpace, prediction: ScenePrediction, unit: str) -> Table:
    """The classes that were found, the largest first."""
    table = Table("class", "raw id", unit, "share", "mean confidence", title="Classes found")
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
