"""Reliability diagrams: how often a prediction is right, against how sure it is."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pointseg.core.labels import GROUPS
from pointseg.evaluation.calibration import Calibration
from pointseg.study.figures.style import WIDTH, Picture, legend_below, picture, readable
from pointseg.study.view import StudyView

#: Bins with a smaller share of the group's predictions than this are noise and are not drawn.
_MIN_SHARE = 0.001


def reliability_figure(view: StudyView, budget: str) -> Picture:
    """One panel for each group of the true class, one line for each method with a colour."""
    record = view.records[0]
    panels: list[tuple[str, int | None]] = [("all classes", None)]
    if record.label_space.has_groups:
        panels += [(group, place) for place, group in enumerate(GROUPS)]
    figure = Figure(figsize=(WIDTH, 3.1))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, group) in zip(axes, panels, strict=True):
        axis.plot([0, 1], [0, 1], color="#888888", linewidth=0.9, label="_calibrated")
        for method in view.methods_of(budget):
            if method in view.look.loud:
                counts = [record.calibration.counts for record in view.of_method(budget, method)]
                pooled = Calibration(len(GROUPS) + 1, np.sum(counts, axis=0))
                confidence, right, number = pooled.curve(group)
                drawn = number > _MIN_SHARE * max(number.sum(), 1)
                style = view.look.of(method)
                name = readable([method])[0]
                axis.plot(confidence[drawn], right[drawn], label=name, **style)  # type: ignore[arg-type]
        axis.set_title(title)
        axis.set_xlabel("confidence")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axis.set_aspect("equal")
    axes[0].set_ylabel("share that is right")
    legend_below(figure, axes[0])
    return picture(
        figure,
        f"reliability_{budget}",
        f"Reliability, budget {budget}",
        "Predictions in 15 bins of confidence, by the group of the true class, seeds pooled; bins with less "
        "than 0.1 % of them are left out. Below the diagonal a network is surer than it is right. A group's "
        "errors cannot all be undone by calibration: it does not know the group.",
    )
