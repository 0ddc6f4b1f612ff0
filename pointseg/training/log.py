"""RunLog: the numbers of a run, as rows of metrics.jsonl and for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import write_text
from pointseg.evaluation.collapse import CollapseReport
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.runs.folder import RunFolder
from pointseg.training.step import StepReport

#: Edge in pixels that the confusion image has at least.
IMAGE_EDGE = 600


class RunLog:
    """Writes what happened. Rows of metrics.jsonl have ``step``, ``kind`` (train, skipped, val) and numbers.

    Args:
        folder: the run.
        step: step the run starts or continues at; rows of an abandoned future are dropped.
        validated: step of the latest validation that counts.
    """

    def __init__(self, folder: RunFolder, *, step: int, validated: int) -> None:
        # Takes a second to import, and only the main process of a training run needs it.
        from torch.utils.tensorboard import SummaryWriter

        keep_rows(folder.metrics, step=step, validated=validated)
        self._file = folder.metrics.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=step + 1 if step else None)

    def train(self, step: int, report: StepReport, *, seconds: float) -> None:
        """A step that was taken. ``seconds`` is the mean duration of the steps since the previous row."""
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
        self._row(step, "train", values)
        for name, value in values.items():
            self._board.add_scalar(f"train/{name}", value, step)

    def skipped(self, step: int, report: StepReport) -> None:
        """A step that was skipped because of its scenes."""
        self._row(step, "skipped", {"loss": str(report.loss), "scenes": list(report.skipped)})

    def validation(self, step: int, report: Report, collapse: CollapseReport) -> None:
        """Mean IoUs, class IoUs and neural collapse; TensorBoard gets the confusion matrix as well."""
        summary = {**report.to_dict(), "collapse": collapse.to_dict()}
        self._row(step, "val", summary)
        means = {"miou": summary["miou"], **{group: summary[group] for group in report.groups()}}
        for name, mean in means.items():
            for convention in ("present", "defined", "all"):
                if mean[convention] is not None:
                    self._board.add_scalar(f"val/{name}_{convention}", mean[convention], step)
        for of_class in summary["classes"]:
            if of_class["iou"] is not None:
                self._board.add_scalar(f"val_iou/{of_class['name']}", of_class["iou"], step)
        self._collapse(step, collapse, names=[of_class["name"] for of_class in summary["classes"]])
        self._board.add_image("val/confusion", confusion_image(report.confusion), step, dataformats="HWC")
        self._board.flush()

    def _collapse(self, step: int, collapse: CollapseReport, names: Sequence[str]) -> None:
        for group, diagnostics in collapse.groups.items():
            for name in ("nc1", "nc2_centers", "nc2_classifier", "nc3", "gradient_norm"):
                value = getattr(diagnostics, name)
                if value is not None:
                    self._board.add_scalar(f"collapse/{name}_{group}", value, step)
        for class_name, norm in zip(names, collapse.gradient_norm, strict=True):
            if norm is not None:
                self._board.add_scalar(f"val_gradient_norm/{class_name}", norm, step)

    def close(self) -> None:
        self._file.close()
        self._board.close()

    def _row(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        # JSON has no NaN; a gradient norm that overflowed under fp16 becomes null.
        finite = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
        self._file.write(json.dumps({"step": step, "kind": kind, **finite}, ensure_ascii=False) + "\n")
        self._file.flush()


def keep_rows(path: Path, *, step: int, validated: int) -> None:
    """Drop the rows that a resumed run will write again, and a last row that was cut off."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if row["step"] <= (validated if row["kind"] == "val" else step):
            kept.append(line)
    write_text(path, "".join(line + "\n" for line in kept))


def confusion_image(confusion: Confusion) -> npt.NDArray[np.uint8]:
    """(H, W, 3) picture: true classes in rows, predicted ones in columns, their share from white to blue.

    The last column holds predictions outside the label set. Shares are drawn as square roots, so that
    confusions of a few percent can be seen.
    """
    total = confusion.counts.sum(axis=1, keepdims=True)
    strength = np.sqrt(confusion.counts / np.maximum(total, 1))[..., None]
    white, blue = np.array([255.0, 255.0, 255.0]), np.array([8.0, 48.0, 107.0])
    pixels = (white + (blue - white) * strength).round().astype(np.uint8)
    # Classes without ground truth are grey: their row says nothing.
    pixels[total[:, 0] == 0] = 230
    block = max(1, -(-IMAGE_EDGE // confusion.num_classes))
    return pixels.repeat(block, axis=0).repeat(block, axis=1)
