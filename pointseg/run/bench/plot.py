"""A picture of what was measured: time over voxels where there are several sizes, bars where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Colours that people with colour blindness tell apart (Okabe and Ito, 2008).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG with one panel for each phase.

    Args:
        rows: of :func:`pointseg.run.bench.main.bench`.
        path: the file.
    """
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(row["phase"] for row in rows))
    figure = Figure(figsize=(5.5 * len(phases), 4), layout="constrained")
    for phase, axes in zip(phases, figure.subplots(1, len(phases), squeeze=False)[0], strict=True):
        _panel(axes, [row for row in rows if row["phase"] == phase])
        axes.set_title(phase.replace("_", " + "))
    figure.savefig(path, dpi=150)


def _panel(axes: Any, rows: list[dict[str, Any]]) -> None:
    lines = list(dict.fromkeys((row["engine"], row["dtype"]) for row in rows))
    sizes = sorted({row["voxels"] for row in rows})
    cases = list(dict.fromkeys(row["case"] for row in rows))
    for number, (engine, dtype) in enumerate(lines):
        own = [row for row in rows if (row["engine"], row["dtype"]) == (engine, dtype)]
        label, color = f"{engine}, {dtype}", _COLORS[number % len(_COLORS)]
        if len(sizes) > 1:
            for case in cases:
                points = [(row["voxels"], row["min_s"]) for row in own if row["case"] == case]
                axes.plot(*zip(*points, strict=True), "o-", color=color, label=label)
                label = "_nolegend_"
        else:
            width = 0.8 / len(lines)
            places = [cases.index(row["case"]) + number * width for row in own]
            axes.bar(places, [row["min_s"] for row in own], width, color=color, label=label)
    if len(sizes) > 1:
        axes.set(xscale="log", yscale="log", xlabel="voxels")
    else:
        axes.set_xticks([i + 0.4 - 0.4 / len(lines) for i in range(len(cases))], cases, rotation=20)
    axes.set_ylabel("seconds, minimum")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
