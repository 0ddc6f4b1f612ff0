"""What happens during training: tail mIoU, neural collapse and gradients over the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from pointseg.core.labels import GROUPS
from pointseg.study.figures.style import WIDTH, Picture, legend_below, picture, readable
from pointseg.study.view import StudyView

_MEASURES = {
    "nc1": "NC1: within / between",
    "nc2_classifier": "NC2: classifier",
    "nc3": "NC3: alignment",
    "gradient_norm": "gradient norm",
}


def tail_figure(view: StudyView) -> Picture:
    """Tail mIoU over steps, one panel for each budget; overall mIoU where the classes have no groups."""
    has_groups = view.records[0].label_space.has_groups
    key = "tail" if has_groups else "miou"
    figure = Figure(figsize=(WIDTH, 3.5))
    axes = figure.subplots(1, len(view.budgets), sharey=True, squeeze=False)[0]
    for axis, budget in zip(axes, view.budgets, strict=True):
        _lines(view, budget, axis, lambda point: None if point[key] is None else 100 * point[key])
        axis.set_title(f"budget {budget}")
        axis.set_xlabel("optimiser steps")
    # When all panels are drawn: a limit ends the search for the highest point.
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel(f"{'tail ' if has_groups else ''}mIoU, %")
    legend_below(figure, axes[0])
    return picture(
        figure,
        "tail_over_steps",
        f"{'Tail mIoU' if has_groups else 'mIoU'} over steps",
        "Validations during training, mean over seeds; bands: smallest to largest seed. Grey: the other "
        "methods. Each budget has a learning-rate schedule of its own, so the long one is not the short one "
        "at the same step.",
    )


def collapse_figure(view: StudyView, budget: str) -> Picture:
    """NC1 to NC3 and gradient norms by group."""
    groups = list(GROUPS) if view.records[0].label_space.has_groups else ["all"]
    figure = Figure(figsize=(WIDTH, 2.1 * len(_MEASURES) + 0.5))
    axes = figure.subplots(len(_MEASURES), len(groups), sharex=True, sharey="row", squeeze=False)
    for row, (measure, title) in enumerate(_MEASURES.items()):
        for axis, group in zip(axes[row], groups, strict=True):
            _lines(view, budget, axis, _of_group(measure, group), loud_only=True)
            if row == 0:
                axis.set_title(group)
                # Tenfold between methods: on a linear axis all but one would lie on the floor.
                axis.set_yscale("log")
                for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
                    which(LogFormatter(minor_thresholds=(2, 0.5)))
        axes[row][0].set_ylabel(title)
    for axis in axes[-1]:
        axis.set_xlabel("optimiser steps")
    legend_below(figure, axes[0][0])
    return picture(
        figure,
        f"collapse_{budget}",
        f"Neural collapse and gradients, budget {budget}",
        "On the validation scenes, mean over seeds, classes weigh the same. NC1: variance within classes "
        "over variance between their centres. NC2: spread of the cosines between rows of the classifier. "
        "NC3: cosine of centre and classifier row. At full collapse they are 0, 0 and 1. Gradient norm: of "
        "the mean cross-entropy gradient of a class at the logits; where it is large the class is not "
        "learned.",
    )


def _of_group(measure: str, group: str) -> Callable[[Mapping[str, Any]], float | None]:
    def value(point: Mapping[str, Any]) -> float | None:
        return point["collapse"].get(group, {}).get(measure)  # type: ignore[no-any-return]

    return value


def _lines(
    view: StudyView,
    budget: str,
    axis: Axes,
    value: Callable[[Mapping[str, Any]], float | None],
    *,
    loud_only: bool = False,
) -> None:
    for method in view.methods_of(budget):
        is_loud = method in view.look.loud
        if loud_only and not is_loud:
            continue
        by_step: dict[int, list[float]] = {}
        for record in view.of_method(budget, method):
            # Steps of a run that began with another's weights follow on that one's.
            before = record.facts["total_steps"] - record.facts["steps"]
            for point in record.facts["curve"]:
                found = value(point)
                if found is not None:
                    by_step.setdefault(before + point["step"], []).append(found)
        steps = sorted(by_step)
        if not steps:
            continue
        style = view.look.of(method)
        label = readable([method])[0] if is_loud else f"_{method}"
        axis.plot(steps, [float(np.mean(by_step[step])) for step in steps], **style, label=label)  # type: ignore[arg-type]
        if is_loud and max(map(len, by_step.values())) > 1:
            low, high = ([end(by_step[step]) for step in steps] for end in (min, max))
            axis.fill_between(steps, low, high, color=view.look.colour(method), alpha=0.12, linewidth=0)
