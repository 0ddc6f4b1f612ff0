"""What each method costs: seconds of training and memory."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pointseg.study.figures.style import COLOURS, MARKERS, WIDTH, Picture, legend_below, picture, readable
from pointseg.study.view import StudyView

#: Column -> title. Times are divided by the steps.
_PANELS = {
    "seconds": "seconds a step",
    "cpu_seconds": "processor seconds a step",
    "memory_mb": "peak memory, MB",
}


def cost_figure(view: StudyView) -> Picture:
    """One row for each method, one mark for each budget."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.25 * len(view.methods)))
    axes = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False)[0]
    for axis, (column, title) in zip(axes, _PANELS.items(), strict=True):
        for place, budget in enumerate(view.budgets):
            rows, values = [], []
            for row, method in enumerate(view.methods):
                for record in view.of_method(budget, method) if method in view.methods_of(budget) else []:
                    cost = record.facts.get(column)
                    if cost is not None:
                        rows.append(row + 0.18 * (place - (len(view.budgets) - 1) / 2))
                        values.append(cost / (1 if column == "memory_mb" else record.facts["steps"]))
            axis.plot(
                values,
                rows,
                linestyle="none",
                marker=MARKERS[place % len(MARKERS)],
                color=COLOURS[(4, 5, 3, 6)[place % 4]],
                markersize=4.5,
                alpha=0.8,
                label=f"budget {budget}",
            )
        axis.set_title(title)
        axis.set_xlim(0, 1.05 * axis.get_xlim()[1])
    axes[0].set_yticks(np.arange(len(view.methods)), readable(view.methods))
    axes[0].invert_yaxis()
    legend_below(figure, axes[0])
    return picture(
        figure,
        "cost",
        "Time and memory",
        "One mark for each run. Seconds count the training steps alone; on a machine with other work they "
        "vary, and processor seconds, which include validation, vary less.",
    )
