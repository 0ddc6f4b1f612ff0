"""The tables of a report as plain rows of text: page, LaTeX and terminal write the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pointseg.core.labels import GROUPS
from pointseg.evaluation.report import CONVENTIONS
from pointseg.study.comparison import METRICS, Interval
from pointseg.study.view import StudyView

#: Confused pairs that are shown.
_PAIRS = 15


@dataclass(frozen=True)
class TextTable:
    """Rows of text.

    Args:
        title: heading.
        caption: what the cells are.
        heading: one cell for each column.
        rows: cells.
        strong: (row, column) of cells to be set bold.
    """

    title: str
    caption: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[tuple[int, int]] = field(default=frozenset())


def main_table(view: StudyView, budget: str) -> TextTable:
    """Means over the seeds of every method."""
    comparison, methods = view.comparisons[budget], view.methods_of(budget)
    metrics = [m for m in METRICS if any(comparison.values(name, m) for name in methods)]
    rows = [
        (
            *(_readable(method), str(len(comparison.runs[method]))),
            *(percent(comparison.mean(method, m)) for m in metrics),
            *(percent(comparison.mean(method, column)) for column in ("accuracy", "ece")),
            *(_cost(comparison.mean(method, "seconds"), 60), _cost(comparison.mean(method, "memory_mb"), 1)),
        )
        for method in methods
    ]
    strong = set()
    for column, metric in enumerate(metrics, start=2):
        means = [comparison.mean(name, metric) for name in methods]
        strong.add((int(np.argmax([-1 if m is None else m.value for m in means])), column))
    steps = sorted({record.facts["total_steps"] for m in methods for record in view.of_method(budget, m)})
    return TextTable(
        f"Budget {budget}: {' or '.join(f'{s:,}' for s in steps)} steps",
        "Percent, mean over seeds ± half of the 95 % interval (Student's t); mean IoUs over the classes "
        "with ground truth. ECE: expected calibration error over all labelled points. Minutes of the "
        "training steps, peak memory. The best mean IoU of a column is bold.",
        ("method", "seeds", *map(_title, metrics), "accuracy", "ECE", "minutes", "MB"),
        tuple(rows),
        frozenset(strong),
    )


def difference_table(view: StudyView, budget: str) -> TextTable:
    """Every method against the baseline and the strongest plain re-weighting, and each over scenes alone."""
    comparison, methods = view.comparisons[budget], view.methods_of(budget)
    against = [
        name
        for name in dict.fromkeys((view.baseline, view.rival[budget]))
        if name is not None and name in methods
    ]
    compared = [m for m in ("miou", "tail") if any(comparison.values(name, m) for name in methods)]
    rows = []
    for method in methods:
        cells = [_readable(method)]
        for other in against:
            found = comparison.difference(method, other) if method != other else None
            cells += [signed(found[m]) if found and m in found else "" for m in compared]
        spread = comparison.spread_over_scenes(method)["miou"]
        rows.append((*cells, f"{100 * (spread.low or 0):.2f} to {100 * (spread.high or 0):.2f}"))
    return TextTable(
        f"Differences, budget {budget}",
        "In points, on common seeds, with the 95 % interval of the paired bootstrap over scenes and seeds; "
        "one that excludes 0 is marked *. With one seed it is over scenes alone, and says nothing of "
        "another training. Last column: 95 % of draws of scenes, seeds as they are.",
        (
            "method",
            *(f"{_title(m)} against {_readable(name)}" for name in against for m in compared),
            "mIoU over scenes",
        ),
        tuple(rows),
    )


def convention_table(view: StudyView, budget: str) -> TextTable:
    """The three means that the field calls mIoU, side by side."""
    comparison, methods = view.comparisons[budget], view.methods_of(budget)
    metrics = [m for m in METRICS if any(comparison.values(name, m) for name in methods)]
    columns = [(m, f"{m}{'' if c == 'present' else f'_{c}'}", c) for m in metrics for c in CONVENTIONS]
    rows = [
        (_readable(method), *(_plain(comparison.mean(method, column)) for _, column, _ in columns))
        for method in methods
    ]
    return TextTable(
        f"Three conventions of mean IoU, budget {budget}",
        "Percent, mean over seeds. "
        + "; ".join(f"{name}: {what}" for name, what in CONVENTIONS.items())
        + ".",
        ("method", *(f"{_title(m)}, {c}" for m, _, c in columns)),
        tuple(rows),
    )


def calibration_table(view: StudyView, budget: str) -> TextTable:
    """Expected calibration error by group of the true class."""
    comparison, methods = view.comparisons[budget], view.methods_of(budget)
    columns = [
        c for c in ("ece", *(f"ece_{g}" for g in GROUPS)) if any(comparison.values(m, c) for m in methods)
    ]
    return TextTable(
        f"Calibration error, budget {budget}",
        "Expected calibration error in percent, 15 bins, mean over seeds; by the group of the true class.",
        ("method", *(column.removeprefix("ece_").replace("ece", "all") for column in columns)),
        tuple((_readable(m), *(percent(comparison.mean(m, c)) for c in columns)) for m in methods),
    )


def confusion_table(view: StudyView, budget: str) -> TextTable | None:
    """What tail classes are taken for, by the baseline and by the method with the best tail; None without
    groups or errors.
    """
    methods = view.methods_of(budget)
    record = view.of_method(budget, methods[0])[0]
    space = record.label_space
    best = view.comparisons[budget].strongest(methods)
    shown = list(dict.fromkeys(name for name in (view.baseline, best) if name in methods))
    if not space.has_groups or not shown:
        return None
    shares = {name: _shares(view, budget, name) for name in shown}
    tail = [c for c in space.group_indices("tail").tolist() if record.confusion.truth[c] > 0]
    pairs = [(shares[shown[0]][c, p], c, p) for c in tail for p in range(space.num_classes) if p != c]
    chosen = [pair for pair in sorted(pairs, reverse=True)[:_PAIRS] if pair[0] > 0]
    if not chosen:
        return None
    rows = [
        (
            space.names[c],
            space.names[p],
            f"{record.train_points[c]:,}",
            *(f"{100 * shares[name][c, p]:.1f}" for name in shown),
            *(f"{100 * shares[name][c, c]:.1f}" for name in shown),
        )
        for _, c, p in chosen
    ]
    return TextTable(
        f"What tail classes are taken for, budget {budget}",
        "Share of the class's validation points in percent, mean over seeds: those taken for the other "
        f"class, and those found. The {len(chosen)} largest confusions of {_readable(shown[0])}.",
        (
            *("class", "taken for", "training points"),
            *(f"taken, {_readable(name)}" for name in shown),
            *(f"found, {_readable(name)}" for name in shown),
        ),
        tuple(rows),
    )


def _shares(view: StudyView, budget: str, method: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(K, K + 1) shares of each class's points by prediction, mean over seeds."""
    counts = [record.confusion.counts for record in view.of_method(budget, method)]
    found = [one / np.maximum(one.sum(axis=1, keepdims=True), 1) for one in counts]
    mean: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.mean(found, axis=0)
    return mean


def runs_table(view: StudyView) -> TextTable:
    """What identifies each run, and the command that trains it."""
    columns = ("method", "budget", "seed", "config_hash", "data_hash", "code_hash", "command")
    rows = []
    for budget in view.budgets:
        for method in view.methods_of(budget):
            for record in view.of_method(budget, method):
                cells = [str(record.facts.get(column) or "") for column in columns]
                cells[2] = str(record.facts["seed"])
                rows.append(tuple(cells))
    return TextTable(
        "Every run",
        "Settings, data and code of each run as fingerprints, and the command that trains the same.",
        tuple(column.replace("_hash", "") for column in columns),
        tuple(rows),
    )


def verdicts(view: StudyView, budget: str) -> list[str]:
    """In words which methods are better or worse in the tail than the two that they are compared with."""
    comparison, found = view.comparisons[budget], []
    metric = "tail" if view.records[0].label_space.has_groups else "miou"
    for other in dict.fromkeys(name for name in (view.baseline, view.rival[budget]) if name is not None):
        if other not in comparison.runs:
            continue
        sorted_out: dict[str, list[str]] = {"better": [], "worse": [], "no different": []}
        for method in view.methods_of(budget):
            difference = comparison.difference(method, other) if method != other else None
            if difference is None or metric not in difference:
                continue
            gain = difference[metric]
            side = "better" if gain.value > 0 else "worse"
            name = f"{_readable(method)} ({100 * gain.value:+.1f})"
            sorted_out[side if gain.excludes_zero else "no different"].append(name)
        words = [
            f"{side} {'beyond' if side == 'no different' else 'outside'} the noise: {', '.join(names)}"
            for side, names in sorted_out.items()
            if names
        ]
        what = "tail mIoU" if metric == "tail" else "mIoU"
        found.append(f"Against {_readable(other)}, {what} in points: {'; '.join(words)}.")
    return found


def percent(interval: Interval | None) -> str:
    """A mean with half of its interval."""
    if interval is None:
        return "-"
    half = "" if interval.high is None else f" ± {100 * (interval.high - interval.value):.2f}"
    return f"{100 * interval.value:.2f}{half}"


def signed(interval: Interval) -> str:
    """A difference with the ends of its interval."""
    text = f"{100 * interval.value:+.2f}"
    if interval.low is None or interval.high is None:
        return text
    mark = "*" if interval.excludes_zero else ""
    return f"{text}{mark} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def _cost(interval: Interval | None, unit: float) -> str:
    if interval is None:
        return "-"
    value = interval.value / unit
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _plain(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.value:.2f}"


def _title(metric: str) -> str:
    return {"miou": "mIoU"}.get(metric, metric)


def _readable(name: str) -> str:
    return name.replace("_", " ")


def as_markdown(table: TextTable) -> str:
    """For documents and terminals."""
    rows: Sequence[Sequence[str]] = [table.heading, ["---"] * len(table.heading), *table.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_latex(table: TextTable) -> str:
    """A tabular with rules of the package booktabs; the numbers are aligned on the right."""
    lines = [
        f"% {table.title}",
        f"\\begin{{tabular}}{{l{'r' * (len(table.heading) - 1)}}}",
        "\\toprule",
        " & ".join(_latex(cell) for cell in table.heading) + r" \\",
        "\\midrule",
    ]
    for number, row in enumerate(table.rows):
        cells = [_latex(cell) for cell in row]
        cells = [f"\\textbf{{{c}}}" if (number, i) in table.strong else c for i, c in enumerate(cells)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _latex(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("±", "$\\pm$")
