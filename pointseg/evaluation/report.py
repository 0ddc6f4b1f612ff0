"""Report: class IoU and the three means that the field calls mIoU, side by side and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pointseg.core.labels import GROUPS, LabelSpace
from pointseg.core.notebook import html_table, share
from pointseg.evaluation.confusion import Confusion

#: The three conventions and what each averages over.
CONVENTIONS: dict[str, str] = {
    "present": "classes with ground truth",
    "defined": "classes with a defined IoU",
    "all": "all classes, absent = 0",
}


@dataclass(frozen=True)
class MeanIou:
    """Mean IoU of a set of classes under each convention; None where the convention leaves no class.

    Args:
        present: mean over the classes that have ground truth (the remark in the official ScanNet200 lists;
            189 of 200 classes on val).
        defined: mean over the classes with a defined IoU (the values of the official script); a class without
            ground truth but with a false alarm joins it with 0.
        all: mean over every class of the set, those absent as 0 (the convention of several public codebases).
        num_present: number of classes in ``present``.
        num_defined: number of classes in ``defined``.
        num_all: number of classes in ``all``.
    """

    present: float | None
    defined: float | None
    all: float | None
    num_present: int
    num_defined: int
    num_all: int

    @classmethod
    def of(cls, iou: npt.NDArray[np.float64], has_truth: npt.NDArray[np.bool_]) -> MeanIou:
        """From (C,) class IoU, NaN where undefined, and (C,) whether the class has ground truth."""
        defined = ~np.isnan(iou)
        return cls(
            present=_mean(iou[has_truth]),
            defined=_mean(iou[defined]),
            all=_mean(np.where(defined, iou, 0.0)),
            num_present=int(has_truth.sum()),
            num_defined=int(defined.sum()),
            num_all=len(iou),
        )

    def __getitem__(self, convention: str) -> float | None:
        if convention not in CONVENTIONS:
            raise KeyError(f"Unknown convention {convention!r}; expected one of {', '.join(CONVENTIONS)}.")
        value: float | None = getattr(self, convention)
        return value

    def count(self, convention: str) -> int:
        """Number of classes that a convention averages over."""
        return int(getattr(self, f"num_{convention}"))


@dataclass(frozen=True, eq=False)
class Report:
    """What a confusion matrix says about the classes of a label set.

    Args:
        label_space: the K classes.
        confusion: counts over all scored vertices.
        iou: (K,) TP / (TP + FP + FN), NaN where a class has neither ground truth nor a false alarm.
        miou: over all classes.
        head, common, tail: over the classes of each group; no class at all where the label set has no groups.
    """

    label_space: LabelSpace
    confusion: Confusion
    iou: npt.NDArray[np.float64]
    miou: MeanIou
    head: MeanIou
    common: MeanIou
    tail: MeanIou

    def __repr__(self) -> str:
        means = ("-" if self.miou[c] is None else f"{100 * (self.miou[c] or 0):.2f}" for c in CONVENTIONS)
        return f"Report(mIoU {' / '.join(means)} %, {' / '.join(CONVENTIONS)})"

    def _repr_html_(self) -> str:
        means = {"mIoU": self.miou, **self.groups()}
        shares = [(name, *(share(mean[c]) for c in CONVENTIONS)) for name, mean in means.items()]
        space, truth = self.label_space, self.confusion.truth
        order = sorted(range(space.num_classes), key=lambda c: (-int(truth[c]), c))
        rows = []
        for c in order:
            iou = None if np.isnan(self.iou[c]) else float(self.iou[c])
            rows.append((space.names[c], space.groups[c], f"{int(truth[c]):,}", share(iou)))
        headings, swatches = ("class", "group", "vertices", "IoU, %"), [space.colors[c] for c in order]
        of_classes = html_table("Classes", headings, rows, swatches=swatches)
        return html_table("Mean IoU, %", ("", *CONVENTIONS), shares) + of_classes

    @classmethod
    def from_confusion(cls, confusion: Confusion, label_space: LabelSpace) -> Report:
        """Raises ValueError if the confusion is not of this label set's size."""
        if confusion.num_classes != label_space.num_classes:
            raise ValueError(
                f"Label set {label_space.name!r} has {label_space.num_classes} classes; the confusion matrix "
                f"has {confusion.num_classes}."
            )
        tp, has_truth = confusion.tp, confusion.truth > 0
        union = tp + confusion.fp + confusion.fn
        iou = np.where(union > 0, tp / np.maximum(union, 1), np.nan)
        groups = {g: label_space.group_indices(g) for g in GROUPS}
        means = {g: MeanIou.of(iou[members], has_truth[members]) for g, members in groups.items()}
        return cls(label_space, confusion, iou, miou=MeanIou.of(iou, has_truth), **means)

    @property
    def overall_accuracy(self) -> float | None:
        """Share of the labelled vertices that are right; None without any."""
        total = int(self.confusion.counts.sum())
        return int(self.confusion.tp.sum()) / total if total else None

    @property
    def mean_accuracy(self) -> float | None:
        """Mean over the classes with ground truth of the share of their vertices that are found."""
        truth = self.confusion.truth
        return _mean(self.confusion.tp[truth > 0] / truth[truth > 0])

    def to_dict(self) -> dict[str, Any]:
        """A form for JSON: no NaN, null where a number is undefined."""
        space, confusion = self.label_space, self.confusion
        classes = zip(space.raw_ids, space.names, space.groups, strict=True)
        counts = zip(self.iou, confusion.tp, confusion.fp, confusion.fn, strict=True)
        return {
            "label_set": space.name,
            "miou": {c: self.miou[c] for c in CONVENTIONS},
            "num_classes": {c: self.miou.count(c) for c in CONVENTIONS},
            **{group: _group_dict(mean) for group, mean in self.groups().items()},
            "overall_accuracy": self.overall_accuracy,
            "mean_accuracy": self.mean_accuracy,
            "num_vertices": int(confusion.counts.sum()),
            "num_unknown_predictions": int(confusion.counts[:, confusion.unknown].sum()),
            "classes": [
                {
                    "raw_id": raw_id,
                    "name": name,
                    "group": group or None,
                    "iou": None if np.isnan(iou) else float(iou),
                    "tp": int(tp),
                    "fp": int(fp),
                    "fn": int(fn),
                }
                for (raw_id, name, group), (iou, tp, fp, fn) in zip(classes, counts, strict=True)
            ],
        }

    def groups(self) -> dict[str, MeanIou]:
        return {"head": self.head, "common": self.common, "tail": self.tail}


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _group_dict(mean: MeanIou) -> dict[str, float | int | None]:
    return {
        **{c: mean[c] for c in CONVENTIONS},
        "num_classes": mean.num_present,
        "num_classes_defined": mean.num_defined,
        "num_classes_all": mean.num_all,
    }


def print_report(
    report: Report,
    console: Console,
    *,
    classes: bool = False,
    title: str = "Mean IoU",
    unit: str = "vertices",
) -> None:
    """Print the means under each convention, in percent, with the number of classes counted.

    Args:
        report: what to print.
        console: where to.
        classes: also print every class.
        title: heading of the table.
        unit: what was counted.
    """
    table = Table(title=f"{title} (%), mean over ...", title_justify="left")
    table.add_column("")
    for convention, meaning in CONVENTIONS.items():
        table.add_column(f"{convention}:\n{meaning}", justify="right")
    rows = {"overall": report.miou, **(report.groups() if report.label_space.has_groups else {})}
    for name, mean in rows.items():
        table.add_row(name, *(f"{_percent(mean[c])} ({mean.count(c)})" for c in CONVENTIONS))
    if classes:
        console.print(_class_table(report))
    console.print(table)
    console.print(
        f"overall accuracy {_percent(report.overall_accuracy)} %, mean class accuracy "
        f"{_percent(report.mean_accuracy)} %, {int(report.confusion.counts.sum()):,} labelled {unit}"
    )


def _class_table(report: Report) -> Table:
    table = Table(title="IoU of each class (%)", title_justify="left")
    for name in ("raw id", "class", "group"):
        table.add_column(name)
    for name in ("IoU", "TP", "FP", "FN"):
        table.add_column(name, justify="right")
    for c in report.to_dict()["classes"]:
        counts = (f"{c[k]:,}" for k in ("tp", "fp", "fn"))
        table.add_row(str(c["raw_id"]), c["name"], c["group"] or "", _percent(c["iou"]), *counts)
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
