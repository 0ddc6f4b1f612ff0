"""`pointseg predict`: label a file of what a run was trained on, and write it as other programs open it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointseg.core.destination import check_destination, naming
from pointseg.core.extras import classes_needed, needs_entropy, parse_extras
from pointseg.core.labels import IGNORE, LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.data.kind import DataFile
from pointseg.models.precision import Amp
from pointseg.prediction.options import MAX_TILE_POINTS, LabelOptions
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.runs.door import open_run


def predict_file(
    run: Path,
    source: Path,
    output: Path,
    *,
    views: int = 1,
    max_points: int = MAX_TILE_POINTS,
    keep_colors: bool = False,
    save: str | Iterable[str] | None = None,
    min_confidence: float | None = None,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    engine: str | None = None,
    amp: Amp | None = None,
    unit: str | None = None,
    console: Console | None = None,
) -> ScenePrediction:
    """Label the points or pixels of a file with a trained network.

    How the output looks is said by :mod:`pointseg.scans.labelled` and :mod:`pointseg.images.file`.

    Args:
        run: RUN folder or name of a model, see :mod:`pointseg.runs.door`.
        source: a file of the kind that the run was trained on; points with or without colours and normals.
        output: the file to write: .ply, .npz or the format of ``source`` for points, .png for an image.
        views, max_points, keep_colors, save, min_confidence, unit: see
            :class:`pointseg.prediction.options.LabelOptions`.
        checkpoint: ``best`` or ``last``.
        device: see :func:`pointseg.runs.checkpoint.load_run`.
        engine: what convolves; as configured if None.
        amp: type of the forward pass, ``none``, ``bf16`` or ``fp16``; as configured if None.
        console: for what is doubtful about the file, and the table of the classes that were found.

    Raises:
        FileNotFoundError: if there is no such run or file.
        ValueError: if the file cannot be read as that kind, the name of ``output`` does not fit it, or it is
            ``source``.
    """
    options = LabelOptions(views, max_points, keep_colors, parse_extras(save), min_confidence, unit)
    check_destination(output, sources=[source])
    kind = open_run(run).read_experiment().data
    kind.check_file_name(source)
    suffixes = kind.labelled_suffixes(source)
    if output.suffix.lower() not in suffixes:
        raise ValueError(
            f"{output}: what is labelled of {source.name} is written as "
            f"{_either(suffix[1:].upper() for suffix in suffixes)}; name it "
            f"{_either(f'<something>{suffix}' for suffix in suffixes)}."
        )
    options.check(kind)
    file = kind.read_file(source, unit=unit)
    if console is not None:
        warn(console, source, file.remarks)
    trained = load_run(run, checkpoint=checkpoint, device=device, engine=engine, amp=amp)
    if console is not None:
        warn(console, source, trained.doubts_about_file(file))
    prediction = label(trained, file, output, options, keep_colors=keep_colors)
    if console is not None:
        console.print(class_table(trained.label_space, Found.of(trained.label_space, prediction), file.unit))
        rows = f"{len(prediction.train_index):,} {file.unit}"
        console.print(f"{rows} -> {escape(str(output))}", highlight=False)
    return prediction


def label(
    trained: TrainedRun, file: DataFile, output: Path, options: LabelOptions, *, keep_colors: bool
) -> ScenePrediction:
    """Predict what was read from a file and write it with its classes.

    Raises:
        ValueError: if the network cannot predict it, or it cannot be written in that format.
        OSError: if it cannot be written.
    """
    labels = trained.label_space
    prediction = predict_scene(
        trained,
        file.scene,
        views=options.views,
        max_tile_points=options.max_points,
        top=classes_needed(options.save, labels.num_classes),
        entropy=needs_entropy(options.save),
    )
    if options.min_confidence is not None:
        prediction = prediction.above(options.min_confidence)
    with naming(output):
        file.write_labelled(output, prediction, labels, keep_colors=keep_colors, save=options.save)
    return prediction


def warn(console: Console, source: Path, remarks: Iterable[str]) -> None:
    """Say what is doubtful about a file."""
    for remark in remarks:
        sentence = remark if remark.endswith("?") else f"{remark}."
        console.print(
            f"WARNING: {source}: {sentence}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )


def _either(choices: Iterable[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


@dataclass(frozen=True)
class Found:
    """What was found, of one file or of many.

    Args:
        count: (K,) rows of each class.
        total: (K,) sum of their confidence.
        unclassified: rows without a class.
    """

    count: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    unclassified: int = 0

    @classmethod
    def of(cls, labels: LabelSpace, prediction: ScenePrediction | None = None) -> Found:
        """That of a prediction, or nothing."""
        if prediction is None:
            return cls(np.zeros(labels.num_classes, np.int64), np.zeros(labels.num_classes))
        has = prediction.train_index != IGNORE
        index, confidence = prediction.train_index[has], prediction.confidence[has].astype(np.float64)
        count = np.bincount(index, minlength=labels.num_classes).astype(np.int64)
        weighted = np.bincount(index, weights=confidence, minlength=labels.num_classes)
        return cls(count, weighted.astype(np.float64), int((~has).sum()))

    def __add__(self, other: Found) -> Found:
        return Found(
            self.count + other.count, self.total + other.total, self.unclassified + other.unclassified
        )


def class_table(labels: LabelSpace, found: Found, unit: str) -> Table:
    """The classes that were found, the largest first, and what was left without one."""
    table = Table("class", "raw id", unit, "share", "mean confidence", title="Classes found")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = found.count.sum() + found.unclassified
    for c in np.argsort(-found.count, kind="stable")[: int((found.count > 0).sum())].tolist():
        table.add_row(
            escape(labels.names[c]),
            str(labels.raw_ids[c]),
            f"{found.count[c]:,}",
            f"{100 * found.count[c] / rows:.2f} %",
            f"{found.total[c] / found.count[c]:.2f}",
        )
    if found.unclassified:
        share = f"{100 * found.unclassified / rows:.2f} %"
        table.add_row("unclassified", str(labels.unlabelled_raw_id), f"{found.unclassified:,}", share, "")
    return table
