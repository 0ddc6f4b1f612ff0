"""What people see while a study runs: a table that is drawn anew, or lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pointseg.study.state import Clock, Progress, State, duration

_COLOURS = {
    State.WAITING: "dim",
    State.RUNNING: "cyan",
    State.FINISHED: "green",
    State.FAILED: "bold red",
    State.BLOCKED: "red",
}


class StudyDisplay:
    """Table or lines.

    Args:
        title: of the table.
        runs: every run.
        console: where to.
    """

    def __init__(self, title: str, runs: Sequence[Progress], console: Console) -> None:
        self.title, self.runs, self.console = title, runs, console
        self._clock = Clock(list(runs))
        self._live = Live(console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> StudyDisplay:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def update(self) -> None:
        """Draw anew; does nothing where there is no terminal."""
        if self.console.is_terminal:
            self._live.update(self.table())

    def changed(self, one: Progress) -> None:
        """A run has another state: a line, which stays above the table."""
        done = sum(other.state is State.FINISHED for other in self.runs)
        run, said = one.run, one.state.value
        if one.facts is not None:
            said += f", mIoU {_percent(one.facts['miou'])} tail {_percent(one.facts['tail'])}"
        if one.problem:
            said += f": {one.problem}"
        line = f"[{done}/{len(self.runs)}] {run.method} {run.budget} seed {run.seed} {_purpose(one)}{said}"
        left = f"; left {duration(self._clock.seconds_left())}" if one.state is not State.FAILED else ""
        self.console.print(escape(line + left), highlight=False, soft_wrap=True)

    def table(self) -> Table:
        """One row for each method and budget, one cell for each seed."""
        seeds = sorted({one.run.seed for one in self.runs})
        done = sum(one.state is State.FINISHED for one in self.runs)
        heading = (
            f"{self.title}: {done} of {len(self.runs)} runs, left {duration(self._clock.seconds_left())}"
        )
        table = Table("method", "budget", *(f"seed {s}" for s in seeds), title=heading, title_justify="left")
        rows: dict[tuple[str, str], dict[int, list[str]]] = {}
        for one in self.runs:
            row = rows.setdefault((f"{_purpose(one)}{one.run.method}", one.run.budget), {})
            row.setdefault(one.run.seed, []).append(_cell(one))
        for (method, budget), cells in rows.items():
            table.add_row(method, budget, *(" ".join(cells.get(seed, [])) for seed in seeds))
        return table


def _purpose(one: Progress) -> str:
    return "" if one.run.purpose == "row" else f"({one.run.purpose}) "


def _cell(one: Progress) -> str:
    text = one.state.value
    if one.state is State.RUNNING:
        text = f"{100 * one.step // one.run.steps} %"
    elif one.facts is not None:
        text = f"{_percent(one.facts['miou'])} / {_percent(one.facts['tail'])}"
    elif one.run.purpose == "trial" and one.state is State.WAITING:
        text = "."
    return f"[{_COLOURS[one.state]}]{text}[/]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
