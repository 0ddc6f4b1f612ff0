"""RunLog: the numbers of a run, as rows of metrics.jsonl and for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import write_text
from pointseg.evaluation.collapse import CollapseReport
from pointseg.evaluation.report import Report
from pointseg.runs.folder import RunFolder
from pointseg.runs.metrics import read_rows
from pointseg.training.board import Board
from pointseg.training.step import StepReport


class RunLog:
    """Writes what happened. Rows of metrics.jsonl have ``step``, ``kind`` (train, skipped, val; callback for
    numbers of callbacks at steps that have no other row) and numbers.

    Args:
        folder: the run.
        step: step the run starts or continues at; rows of an abandoned future are dropped.
        validated: step of the latest validation that counts.
    """

    def __init__(self, folder: RunFolder, *, step: int, validated: int) -> None:
        keep_rows(folder.metrics, step=step, validated=validated)
        self._file = folder.metrics.open("a", encoding="utf-8")
        self._board = Board(folder.tensorboard, step + 1 if step else None)

    def train(
        self, step: int, report: StepReport, *, seconds: float, extra: Mapping[str, float] | None = None
    ) -> None:
        """A step that was taken. ``seconds`` is the mean duration of the steps since the previous row,
        ``extra`` what callbacks say.

        Raises:
            ValueError: if a callback uses a name of ours.
        """
        values = {
            "loss": report.loss,
            **{f"loss/{name}": value for name, value in report.parts.items()},
            "lr": report.lr,
            "grad_norm": report.grad_norm,
            "rows": report.num_rows,
            # The name from before there were images, which scripts read.
            "voxels": report.num_rows,
            "seconds_per_step": round(seconds, 4),
        }
        self._row(step, "train", _joined(values, extra))
        self._board.train(step, values, extra or {})

    def of_callbacks(self, step: int, values: Mapping[str, float]) -> None:
        """What callbacks say at a step that has no row."""
        self._row(step, "callback", values)
        self._board.of_callbacks(step, values, "train")

    def skipped(self, step: int, report: StepReport) -> None:
        """A step that was skipped because of its scenes."""
        self._row(step, "skipped", {"loss": str(report.loss), "scenes": list(report.skipped)})

    def validation(
        self,
        step: int,
        report: Report,
        collapse: CollapseReport,
        extra: Mapping[str, float] | None = None,
        others: Mapping[str, Report] | None = None,
    ) -> None:
        """Mean IoUs, class IoUs and neural collapse; TensorBoard gets the confusion matrix as well.

        ``extra`` is what callbacks say; ``others`` are the reports of the other heads, which lie in the row
        under ``heads``.

        Raises:
            ValueError: if a callback uses a name of ours.
        """
        summary = {**report.to_dict(), "collapse": collapse.to_dict()}
        if others:
            summary["heads"] = {head: other.to_dict() for head, other in others.items()}
        self._row(step, "val", _joined(summary, extra))
        self._board.of_callbacks(step, extra or {}, "val")
        self._board.validation(step, report, others or {})
        self._board.collapse(step, collapse, report.label_space.names)

    def pictures(self, step: int, pictures: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """(H, W, 3) pictures of callbacks, for TensorBoard alone."""
        self._board.pictures(step, pictures)

    def close(self) -> None:
        self._file.close()
        self._board.close()

    def _row(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        # JSON has no NaN; a gradient norm that overflowed under fp16 becomes null.
        finite = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
        self._file.write(json.dumps({"step": step, "kind": kind, **finite}, ensure_ascii=False) + "\n")
        self._file.flush()


def _joined(values: Mapping[str, Any], extra: Mapping[str, float] | None) -> dict[str, Any]:
    doubled = sorted({"step", "kind", *values} & set(extra or ()))
    if doubled:
        raise ValueError(f"A callback returned {doubled[0]!r}, a name of the log itself; choose another.")
    return {**values, **(extra or {})}


def keep_rows(path: Path, *, step: int, validated: int) -> None:
    """Drop the rows that a resumed run will write again, and a last row that was cut off.

    Raises:
        ValueError: naming the line, if another one is damaged.
    """
    if not path.is_file():
        return
    kept = [
        line for line, row in read_rows(path) if row["step"] <= (validated if row["kind"] == "val" else step)
    ]
    write_text(path, "".join(line + "\n" for line in kept))
