"""IoU of single classes against how often they occur: who gains, the frequent or the rare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from pointseg.core.labels import GROUPS
from pointseg.study.figures.style import (
    GROUP_COLOURS,
    GROUP_MARKERS,
    Picture,
    grid_of,
    legend_below,
    picture,
    readable,
)
from pointseg.study.view import StudyView

#: Bins of equal width in the logarithm of the frequency, for the line of means.
_BINS = 7
_COLUMNS = 4

Floats = npt.NDArray[np.float64]


def gains_figure(view: StudyView, budget: str) -> Picture | None:
    """The baseline's class IoU, and each method's difference to it; None without the baseline."""
    methods = view.methods_of(budget)
    if view.baseline not in methods:
        return None
    base = view.mean_iou(budget, view.baseline)
    record = view.of_method(budget, view.baseline)[0]
    groups = np.array(record.label_space.groups)
    points = np.maximum(record.train_points, 1).astype(np.float64)
    others = [method for method in methods if method != view.baseline]
    figure, axes = grid_of(1 + len(others), _COLUMNS, height=2.1, sharey=False)
    _scatter(axes[0], points, 100 * base, groups)
    axes[0].set_title(readable([view.baseline])[0])
    axes[0].set_ylabel("IoU, %")
    gains = {method: 100 * (view.mean_iou(budget, method) - base) for method in others}
    reach = max((float(np.nanmax(np.abs(gain))) for gain in gains.values()), default=1.0)
    for place, (axis, method) in enumerate(zip(axes[1:], others, strict=True), start=1):
        axis.axhline(0, color="#555555", linewidth=0.8)
        _scatter(axis, points, gains[method], groups)
        axis.set_title(readable([method])[0])
        axis.set_ylim(-1.05 * reach, 1.05 * reach)
        if place % _COLUMNS == 0 or place == 1:
            axis.set_ylabel("gain in IoU, points")
        elif place > 1:
            axis.tick_params(labelleft=False)
    for axis in axes:
        axis.set_xscale("log")
    for axis in axes[-_COLUMNS:]:
        axis.set_xlabel("training points")
    legend_below(figure, axes[0])
    return picture(
        figure,
        f"gains_{budget}",
        f"Which classes gain, budget {budget}",
        "One mark for each class with ground truth, mean over seeds; training points on a logarithmic axis. "
        "First panel: IoU of the baseline; others: difference to it, all on one scale. Line: mean of the "
        "classes in bins of equal width.",
    )


def _scatter(axis: Axes, points: Floats, values: Floats, groups: npt.NDArray[np.str_]) -> None:
    known = np.isfinite(values)
    for group in (*GROUPS, ""):
        chosen = known & (groups == group)
        if chosen.any():
            axis.scatter(
                points[chosen],
                values[chosen],
                s=13,
                marker=GROUP_MARKERS[group],
                color=GROUP_COLOURS[group],
                alpha=0.65,
                linewidths=0,
                label=group or "class",
                rasterized=int(known.sum()) > 60,
            )
    logs = np.log10(points[known])
    edges = np.linspace(logs.min(), logs.max() + 1e-9, _BINS + 1)
    place = np.clip(np.digitize(logs, edges) - 1, 0, _BINS - 1)
    filled = [b for b in range(_BINS) if (place == b).any()]
    centres = [10 ** logs[place == b].mean() for b in filled]
    axis.plot(centres, [values[known][place == b].mean() for b in filled], color="black", linewidth=1.3)
