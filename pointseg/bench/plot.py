"""A picture of what was measured: cost over voxels where there are several sizes, bars where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointseg.core.durable import writing

#: Colours that people with colour blindness tell apart (Okabe and Ito, 2008).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("-", "--", ":", "-.")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG with a column for each phase.

    With several sizes there are two panels: seconds, and microseconds for each voxel, which lie on a level
    where cost grows linearly.

    Args:
        rows: of :func:`pointseg.bench.main.bench`; those that were skipped are named in their panel.
        path: the file.
    """
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(row["phase"] for row in rows))
    sizes = sorted({row["voxels"] for row in rows})
    height = 2 if len(sizes) > 1 else 1
    figure = Figure(figsize=(max(5.5 * len(phases), 7), 3.4 * height + 0.6), layout="constrained")
    panels = figure.subplots(height, len(phases), squeeze=False, sharex=height > 1)
    for column, phase in enumerate(phases):
        own = [row for row in rows if row["phase"] == phase]
        top = panels[0][column]
        top.set_title(phase.replace("_", " + "))
        if height == 1:
            _bars(top, own)
        else:
            _lines(top, own, per_voxel=False)
            _name_skipped(top, [row for row in own if row["skipped"]])
            _lines(panels[1][column], own, per_voxel=True)
            _voxel_axis(panels[1][column], sizes)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    with writing(path) as stream:
        figure.savefig(stream, dpi=150, format=path.suffix.lstrip(".") or "png")


def _series(rows: list[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(label, colour, measured rows) of each engine and type."""
    series = []
    kinds = list(dict.fromkeys((row["engine"], row["dtype"]) for row in rows))
    for number, (engine, dtype) in enumerate(kinds):
        own = [row for row in rows if (row["engine"], row["dtype"]) == (engine, dtype)]
        label = f"{engine}, {dtype}"
        measured = [row for row in own if not row["skipped"]]
        series.append((label, _COLORS[number % len(_COLORS)], measured))
    return series


def _lines(axes: Any, rows: list[dict[str, Any]], *, per_voxel: bool) -> None:
    cases = list(dict.fromkeys(row["case"] for row in rows))
    for label, color, measured in _series(rows):
        for number, case in enumerate(cases):
            own = sorted((row for row in measured if row["case"] == case), key=lambda row: row["voxels"])
            cost = [row["min_s"] * (1e6 / row["voxels"] if per_voxel else 1) for row in own]
            style = {"color": color, "marker": "o", "ms": 4, "ls": _LINES[number % len(_LINES)]}
            # A legend of engines; where there are several cases the first one stands for all.
            axes.plot([row["voxels"] for row in own], cost, **style, label="_" if number else label)
    axes.set_xscale("log")
    axes.grid(alpha=0.3)
    if per_voxel:
        axes.set_ylabel("µs per voxel, minimum")
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.set_ylabel("seconds, minimum")
        _guide(axes, [row for row in rows if not row["skipped"]])


def _name_skipped(axes: Any, rows: list[dict[str, Any]]) -> None:
    sizes = sorted({row["voxels"] for row in rows})
    lines = [
        f"no memory at {_short(size)}: " + ", ".join(row["engine"] for row in rows if row["voxels"] == size)
        for size in sizes
    ]
    axes.text(0.98, 0.03, "\n".join(lines), transform=axes.transAxes, ha="right", va="bottom", fontsize=8)


def _guide(axes: Any, rows: list[dict[str, Any]]) -> None:
    """A dotted line of slope 1 under the quickest measurement of the largest size."""
    if not rows:
        return
    first, last = (choose(row["voxels"] for row in rows) for choose in (min, max))
    level = 0.7 * min(row["min_s"] for row in rows if row["voxels"] == last)
    line = axes.plot([first, last], [level * first / last, level], ":", color="0.4", lw=1)[0]
    line.set_label("proportional to voxels")


def _voxel_axis(axes: Any, sizes: list[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([_short(size) for size in sizes])
    axes.set_xlabel("voxels")


def _bars(axes: Any, rows: list[dict[str, Any]]) -> None:
    series, cases = _series(rows), list(dict.fromkeys(row["case"] for row in rows))
    width = 0.8 / len(series)
    for number, (label, color, measured) in enumerate(series):
        places = [cases.index(row["case"]) + number * width for row in measured]
        bars = axes.bar(places, [row["min_s"] for row in measured], width, color=color, label=label)
        if len(cases) == 1:
            axes.bar_label(bars, fmt="%.3g s", fontsize=8)
    middle = 0.4 - width / 2
    axes.set_xticks([i + middle for i in range(len(cases))], cases, rotation=20 if len(cases) > 1 else 0)
    axes.set_ylabel("seconds, minimum")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _short(voxels: int) -> str:
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if voxels >= unit:
            return f"{voxels / unit:.3g}{name}"
    return str(voxels)
