"""Board: the numbers of a run for TensorBoard; a few ordered cards that all need, the rest under details."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import GROUPS
from pointseg.evaluation.collapse import CollapseReport
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report

#: TensorBoard sorts cards by their names: the numbers are the order. Losses follow as ``3_loss/<name>``.
MEAN_IOU = {
    "miou": "1_mIoU/1_overall",
    "head": "1_mIoU/2_head",
    "common": "1_mIoU/3_common",
    "tail": "1_mIoU/4_tail",
}
ACCURACY, CLASS_ACCURACY = "2_accuracy/1_overall", "2_accuracy/2_mean_of_classes"
LOSS, LEARNING_RATE, MEMORY = "3_loss/1_sum", "4_learning_rate/lr", "5_memory/peak_MiB"
CONFUSION = "1_confusion/rows_true_columns_predicted"
DETAILS = "details"
#: Classes whose names fit beside the confusion picture.
MAX_NAMES = 60


class Board:
    """Writes the event files of a run.

    Args:
        folder: where to.
        purge_step: events from this step on are those of an abandoned future; None keeps all.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        # Takes a second to import, and only the main process of a training run needs it.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=purge_step)
        self._writer.add_custom_scalars(
            {
                "Overview": {
                    "mean IoU over the classes present": ["Multiline", list(MEAN_IOU.values())],
                    "accuracy": ["Multiline", [ACCURACY, CLASS_ACCURACY]],
                    "losses": ["Multiline", [r"3_loss/.*"]],
                    "learning rate": ["Multiline", [LEARNING_RATE]],
                    "peak memory in MiB": ["Multiline", [MEMORY]],
                }
            }
        )

    def train(self, step: int, values: Mapping[str, float], own: Mapping[str, float]) -> None:
        """A step: ``values`` by their names in metrics.jsonl, ``own`` those of callbacks."""
        names = {"loss": LOSS, "lr": LEARNING_RATE}
        for name, value in values.items():
            if name.startswith("loss/"):
                tag = f"3_{name}"
            else:
                tag = names.get(name, f"{DETAILS}/train/{name}")
            self._writer.add_scalar(tag, value, step)
        self._writer.add_scalar(MEMORY, peak_memory_mib(), step)
        self.of_callbacks(step, own, "train")

    def of_callbacks(self, step: int, values: Mapping[str, float], kind: str) -> None:
        """What callbacks say, under the names that they give: ``train/NAME`` or ``val/NAME``."""
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def pictures(self, step: int, pictures: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """(H, W, 3) pictures of callbacks, as ``val/NAME``."""
        for name, picture in pictures.items():
            self._writer.add_image(f"val/{name}", picture, step, dataformats="HWC")

    def validation(self, step: int, report: Report, others: Mapping[str, Report]) -> None:
        """Mean IoUs, accuracies, class IoUs and the confusion; ``others`` are those of further heads."""
        means = {"miou": report.miou, **report.groups()}
        for name in ("miou", *GROUPS):
            for convention in ("present", "defined", "all"):
                value = means[name][convention] if name in means else None
                if value is not None:
                    tag = MEAN_IOU[name]
                    if convention != "present":
                        tag = f"{DETAILS}/val/{name}_{convention}"
                    self._writer.add_scalar(tag, value, step)
        for tag, value in ((ACCURACY, report.overall_accuracy), (CLASS_ACCURACY, report.mean_accuracy)):
            if value is not None:
                self._writer.add_scalar(tag, value, step)
        for name, iou in zip(report.label_space.names, report.iou, strict=True):
            if not np.isnan(iou):
                self._writer.add_scalar(f"{DETAILS}/val_iou/{name}", float(iou), step)
        for head, other in others.items():
            if other.miou.present is not None:
                self._writer.add_scalar(f"{DETAILS}/val_{head}/miou_present", other.miou.present, step)
        picture = confusion_figure(report.confusion, report.label_space.names)
        self._writer.add_image(CONFUSION, picture, step, dataformats="HWC")

    def collapse(self, step: int, collapse: CollapseReport, names: tuple[str, ...]) -> None:
        """Neural collapse of the groups, and the gradient norms of the classes ``names``."""
        for group, diagnostics in collapse.groups.items():
            for name in ("nc1", "nc2_centers", "nc2_classifier", "nc3", "gradient_norm"):
                value = getattr(diagnostics, name)
                if value is not None:
                    self._writer.add_scalar(f"{DETAILS}/collapse/{name}_{group}", value, step)
        for class_name, norm in zip(names, collapse.gradient_norm, strict=True):
            if norm is not None:
                self._writer.add_scalar(f"{DETAILS}/val_gradient_norm/{class_name}", norm, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def peak_memory_mib() -> float:
    """The most memory that this process has held: of the GPU where one computes, else of the machine."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but on macOS bytes.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def confusion_figure(confusion: Confusion, names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) picture of :func:`confusion_cells` with axes, class names and a scale of the shares.

    Args:
        confusion: counts of K classes.
        names: their K names; of many classes every n-th is written.
    """
    # Takes half a second to import, and only a validation draws.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    count = confusion.num_classes
    figure = Figure(figsize=(9.6, 8.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(confusion_cells(confusion), interpolation="nearest", aspect="auto")
    step = max(1, -(-count // MAX_NAMES))
    rows = list(range(0, count, step))
    size = 9 if count <= 30 else 6.5
    axes.set_yticks(rows, [_short(names[row]) for row in rows], fontsize=size)
    columns = [*rows, count]
    labels = [*(_short(names[row]) for row in rows), "outside the set"]
    axes.set_xticks(columns, labels, fontsize=size, rotation=90)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("Where the points of each true class go (rows without ground truth are grey)", fontsize=11)
    scale = ScalarMappable(Normalize(0, 1), _blues())
    bar = figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.01)
    ticks = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    bar.set_ticks([tick**0.5 for tick in ticks])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value**2:.0f} %"))
    bar.set_label("share of the true class")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def confusion_cells(confusion: Confusion) -> npt.NDArray[np.uint8]:
    """(K, K + 1, 3) colours: true classes in rows, predicted ones in columns, their share from white to blue.

    The last column holds predictions outside the label set. Shares are drawn as square roots, so that
    confusions of a few percent can be seen. Classes without ground truth are grey: their row says nothing.
    """
    total = confusion.counts.sum(axis=1, keepdims=True)
    strength = np.sqrt(confusion.counts / np.maximum(total, 1))[..., None]
    pixels = (WHITE + (BLUE - WHITE) * strength).round().astype(np.uint8)
    pixels[total[:, 0] == 0] = 230
    return pixels


WHITE, BLUE = np.array([255.0, 255.0, 255.0]), np.array([8.0, 48.0, 107.0])


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("share", [tuple(WHITE / 255), tuple(BLUE / 255)])


def _short(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"
