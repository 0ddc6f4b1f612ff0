"""Mean IoU of every method, overall and by group, with seeds and intervals."""

from __future__ import annotations

from matplotlib.figure import Figure

from pointseg.study.comparison import METRICS
from pointseg.study.figures.style import WIDTH, Picture, picture, readable
from pointseg.study.view import StudyView

_TITLES = {"miou": "overall", "head": "head", "common": "common", "tail": "tail"}


def means_figure(view: StudyView, budget: str) -> Picture:
    """One row for each method, one panel for each mean."""
    comparison, methods = view.comparisons[budget], view.methods_of(budget)
    figure = Figure(figsize=(WIDTH, 1.0 + 0.27 * len(methods)))
    shown = [metric for metric in METRICS if comparison.mean(view.baseline, metric)] or ["miou"]
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, shown, strict=True):
        reference = comparison.mean(view.baseline, metric) if view.baseline in methods else None
        if reference is not None:
            axis.axvline(100 * reference.value, color="#888888", linewidth=0.9, zorder=0)
        rival = view.rival[budget]
        rivals = comparison.mean(rival, metric) if rival else None
        if rivals is not None:
            axis.axvline(100 * rivals.value, color="#888888", linewidth=0.9, linestyle=":", zorder=0)
        for row, method in enumerate(methods):
            mean = comparison.mean(method, metric)
            if mean is None:
                continue
            colour = view.look.colour(method) if method in view.look.loud else "#808080"
            if mean.low is not None and mean.high is not None:
                axis.plot([100 * mean.low, 100 * mean.high], [row, row], color=colour, linewidth=2.2)
            values = [100 * value for value in comparison.values(method, metric)]
            axis.plot(values, [row] * len(values), "o", color="white", markeredgecolor=colour, markersize=4)
            axis.plot([100 * mean.value], [row], "D", color=colour, markersize=5.5)
        axis.set_title(_TITLES[metric])
        axis.set_xlabel("mean IoU, %")
        # An interval of two seeds would make everything else a dot.
        points = [100 * value for method in methods for value in comparison.values(method, metric)]
        margin = 0.15 * (max(points) - min(points)) + 0.5
        axis.set_xlim(max(0.0, min(points) - margin), max(points) + margin)
    axes[0].set_yticks(range(len(methods)), readable(methods))
    axes[0].invert_yaxis()
    return picture(
        figure,
        f"means_{budget}",
        f"Mean IoU, budget {budget}",
        "Diamonds: mean over seeds; bars: its 95 % interval (Student's t), cut off at the edge of the "
        "panel; circles: single seeds. Grey line: the baseline; dotted: the strongest plain re-weighting. "
        "Means over the classes with ground truth.",
    )
