"""Measure a finished run: every vertex of its validation split, its log, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pointseg
from pointseg.core.labels import GROUPS, IGNORE, LabelSpace
from pointseg.data.source import Source
from pointseg.evaluation.calibration import Calibration
from pointseg.evaluation.collapse import CollapseReport
from pointseg.evaluation.collapse_watch import CollapseWatch
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.evaluate import predict_store
from pointseg.evaluation.report import CONVENTIONS, Report
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.runs.folder import RunFolder
from pointseg.runs.metrics import read_rows
from pointseg.study.record import Record

#: Significant digits of what is logged; more would only make records larger.
_DIGITS = 5


def measure(
    folder: Path,
    *,
    split: str | None = None,
    data: Path | None = None,
    device: str = "auto",
    facts: Mapping[str, Any] | None = None,
) -> Record:
    """Evaluate the last weights of a run. The best ones by validation would be chosen on the very scenes.

    Args:
        folder: RUN folder of a finished training.
        split: labelled split; the one that the run validates on if None.
        data: the data; those of the run's configuration if None.
        device: where to predict.
        facts: what is known of the run beside; see :class:`Record`.

    Raises:
        ValueError: if the run has no labelled scene to be measured on.
    """
    run = load_run(folder, checkpoint="last", device=device)
    source = run.open_data(data)
    split = split or run.experiment.data.val_split or "val"
    names = [name for name in source.scene_names(split) if source.has_labels(name)]
    if not names:
        raise ValueError(f"{source.path}: no scene of split {split!r} is labelled; nothing can be measured.")
    space = run.label_space
    confusion, calibration, parts = Confusion(space.num_classes), Calibration(len(GROUPS) + 1), []
    watch = CollapseWatch(run.segmenter, space, run.device)
    groups = _group_of_class(space)
    with watch.watching():
        for scene, prediction in predict_store(run, source, names):
            assert scene.raw_label is not None
            truth = space.encode(scene.raw_label)
            one = Confusion(space.num_classes).update(truth, prediction.train_index)
            confusion.merge(one)
            parts.append([one.tp, one.truth, one.tp + one.fp])
            counted = truth != IGNORE
            is_right = prediction.train_index[counted] == truth[counted]
            calibration.update(prediction.confidence[counted], is_right, groups[truth[counted]])
    statistics = RunFolder(folder).read_class_statistics()
    points = source.class_statistics(run.experiment.data.train_split) if statistics is None else statistics
    report = Report.from_confusion(confusion, space)
    return Record(
        facts={
            **(facts or _own_facts(run, folder, source)),
            "split": split,
            **_means(report),
            **_calibration_errors(calibration),
            **_costs(RunFolder(folder)),
            "collapse": _rounded(_groups(watch.report())),
            "curve": curve(RunFolder(folder).metrics),
            "pointseg": pointseg.__version__,
        },
        label_space=space,
        train_points=points.points.numpy(),
        confusion=confusion,
        scenes=tuple(names),
        parts=np.array(parts, dtype=np.int64),
        calibration=calibration,
    )


def _own_facts(run: TrainedRun, folder: Path, source: Source) -> dict[str, Any]:
    """What a run that belongs to no study knows of itself."""
    environment = RunFolder(folder).starts()[-1]
    return {
        "method": folder.resolve().name,
        "seed": run.experiment.seed,
        "budget": str(run.step),
        "recipe": run.experiment.name,
        "data": source.path.name,
        "steps": run.step,
        "total_steps": run.step,
        "command": environment["command"],
    }


def _group_of_class(space: LabelSpace) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(K,) place of each class's group in GROUPS; the last place for none."""
    places = {group: place for place, group in enumerate(GROUPS)}
    return np.array([places.get(group, len(GROUPS)) for group in space.groups], dtype=np.int64)  # type: ignore[call-overload]


def _means(report: Report) -> dict[str, Any]:
    """Mean IoUs and accuracies as shares; ``miou`` alone is over the classes with ground truth."""
    found: dict[str, Any] = {}
    for name, mean in {"miou": report.miou, **report.groups()}.items():
        found[name] = mean["present"]
        found |= {f"{name}_{c}": mean[c] for c in CONVENTIONS if c != "present"}
    return {**found, "accuracy": report.overall_accuracy, "mean_accuracy": report.mean_accuracy}


def _calibration_errors(calibration: Calibration) -> dict[str, float | None]:
    groups = {f"ece_{group}": calibration.expected_error(place) for place, group in enumerate(GROUPS)}
    return {"ece": calibration.expected_error(), **groups}


def _costs(folder: RunFolder) -> dict[str, float | None]:
    """Seconds of the training steps, from the log: what a killed part did in vain does not count."""
    seconds, before = 0.0, 0
    for row in _log(folder.metrics, "train"):
        seconds += (row["step"] - before) * row["seconds_per_step"]
        before = row["step"]
    return {"seconds": round(seconds, 1) if before else None}


def curve(metrics: Path) -> list[dict[str, Any]]:
    """Step, mean IoUs over the classes present and neural collapse of each validation during training.

    Raises:
        ValueError: if the log is damaged; the message names it.
    """
    try:
        return _curve(metrics)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{metrics}: a row of a validation lacks numbers ({error!r}); restore it from a copy."
        ) from None


def _curve(metrics: Path) -> list[dict[str, Any]]:
    return [
        {
            "step": row["step"],
            "miou": _short(row["miou"]["present"]),
            **{group: _short(row[group]["present"]) for group in GROUPS},
            "collapse": _rounded(
                {name: row["collapse"][name] for name in row["collapse"] if name != "gradient_norm"}
            ),
        }
        for row in _log(metrics, "val")
    ]


def _log(metrics: Path, kind: str) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(metrics) if row["kind"] == kind]


def _groups(report: CollapseReport) -> dict[str, Any]:
    content = report.to_dict()
    return {name: content[name] for name in report.groups}


def _rounded(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: _short(value) for key, value in group.items()} for name, group in groups.items()}


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
