"""Runner: carries out the runs of a study that are not finished yet, whatever happened before."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pointseg.runs.folder import RunFolder
from pointseg.study.children import Launcher, Running, why_it_failed
from pointseg.study.display import StudyDisplay
from pointseg.study.identity import changed_code
from pointseg.study.plan import PlannedRun, with_starts
from pointseg.study.record import keep_record, read_facts
from pointseg.study.state import Progress, State
from pointseg.study.work import FINISHED, RECORD, write_job
from pointseg.training.interrupt import StopRequest

#: Seconds between two looks at the children.
_POLL_S = 0.5


class Runner:
    """Trains runs and collects their records.

    Args:
        runs: folder of the RUN folders.
        records: folder in which records of finished runs are kept.
        launcher: where they run.
        device: auto, cpu, cuda or cuda:N.
        accept_code: take runs for finished that other code has trained, and continue such.
        console: where to show progress.
        on_finished: told of each run that has just finished.
    """

    def __init__(
        self,
        runs: Path,
        records: Path,
        launcher: Launcher,
        *,
        device: str,
        accept_code: bool,
        console: Console,
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:
        self.runs, self.records, self.launcher = runs, records, launcher
        self.device, self.accept_code, self.console = device, accept_code, console
        self.on_finished = on_finished

    def carry_out(self, title: str, planned: Sequence[PlannedRun], stop: StopRequest) -> list[Progress]:
        """Train what is missing; where every run then stands.

        Args:
            title: of the table.
            planned: the runs; those that others start from are added.
            stop: asked between looks; then the children are stopped, and what is unfinished stays waiting.
        """
        everything = [Progress(run, self.runs / run.name) for run in with_starts(planned)]
        for one in everything:
            self._recognise(one)
        self._forget_unneeded_starts(everything)
        by_name = {one.run.name: one for one in everything}
        active: list[tuple[Progress, Running]] = []
        with StudyDisplay(title, everything, self.console) as display:
            self._say_what_is_known(everything)
            try:
                while not stop.requested:
                    self._launch(everything, by_name, active, display)
                    if not active:
                        break
                    time.sleep(_POLL_S)
                    self._collect(active, display)
                    display.update()
            finally:
                self.launcher.stop([running for _, running in active])
                # One that had just come to its end is not trained again.
                self._collect(active, display, is_over=True)
        return everything

    def facts(self, run: PlannedRun) -> dict[str, Any] | None:
        """The record of a finished run, where it was trained by this code, or by any that is accepted."""
        for file in (self.record_file(run), self.runs / run.name / f"{RECORD}.json"):
            if file.is_file():
                facts = read_facts(file)
                if facts["code_hash"] == run.code_hash:
                    return facts
                if self.accept_code:
                    return {**facts, "accepted_code": run.code_hash}
        return None

    def record_file(self, run: PlannedRun) -> Path:
        """Where the record of a run is kept for good."""
        return self.records / f"{run.name}.json"

    def _recognise(self, one: Progress) -> None:
        """Find out whether a run is finished already."""
        if one.run.purpose == "start":
            one.state = State.FINISHED if self._has_weights(one.run) else State.WAITING
            return
        one.facts = self.facts(one.run)
        if one.facts is not None:
            self._finish(one)

    def _has_weights(self, run: PlannedRun) -> bool:
        """Whether the trained weights of a run are on this machine."""
        file = self.runs / run.name / f"{RECORD}.json"
        if not file.is_file() or not RunFolder(self.runs / run.name).last.is_file():
            return False
        return self.accept_code or read_facts(file)["code_hash"] == run.code_hash

    def _forget_unneeded_starts(self, everything: list[Progress]) -> None:
        """Starts are trained only where a run that is not finished begins with them; and a row whose record
        is here without its weights is trained again for such a run.
        """
        needed = {
            one.run.start.name
            for one in everything
            if one.state is not State.FINISHED and one.run.start is not None
        }
        everything[:] = [one for one in everything if one.run.purpose != "start" or one.run.name in needed]
        for one in everything:
            if one.run.name in needed and one.state is State.FINISHED and not self._has_weights(one.run):
                one.state = State.WAITING

    def _launch(
        self,
        everything: Sequence[Progress],
        by_name: dict[str, Progress],
        active: list[tuple[Progress, Running]],
        display: StudyDisplay,
    ) -> None:
        ready = []
        for one in everything:
            if one.state is not State.WAITING:
                continue
            start = None if one.run.start is None else by_name[one.run.start.name].state
            if start in (State.FAILED, State.BLOCKED):
                one.state, one.problem = State.BLOCKED, f"{one.run.start.method} failed, its start"  # type: ignore[union-attr]
                display.changed(one)
            elif start in (None, State.FINISHED):
                ready.append(one)
        ready = ready[: self.launcher.slots - len(active)]
        for one in ready:
            self._write_job(one)
            one.state, one.is_new = State.RUNNING, True
        if ready:
            started = self.launcher.start([one.folder for one in ready])
            active += zip(ready, started, strict=True)
            for one in ready:
                display.changed(one)

    def _write_job(self, one: Progress) -> None:
        facts = _facts_of(one.run)
        write_job(one.folder, one.run.experiment, facts, device=self.device, accept_code=self.accept_code)
        one.look()

    def _collect(
        self, active: list[tuple[Progress, Running]], display: StudyDisplay, *, is_over: bool = False
    ) -> None:
        """See which of the active runs have ended."""
        for one, running in list(active):
            one.look()
            code = running.exit_code()
            if code is None and not is_over:
                continue
            active.remove((one, running))
            if code == FINISHED:
                one.facts = read_facts(one.folder / f"{RECORD}.json")
                self._finish(one)
            elif is_over:
                one.state = State.WAITING
                continue
            else:
                one.state, one.problem = State.FAILED, why_it_failed(one.folder, code or 0)
            display.changed(one)

    def _finish(self, one: Progress) -> None:
        """Keep the record of a run where the results are."""
        one.state, one.step = State.FINISHED, one.run.steps
        own, kept = one.folder / f"{RECORD}.json", self.record_file(one.run)
        if one.run.purpose == "start" or one.facts is None:
            return
        if not own.is_file() or read_facts(own)["code_hash"] != one.facts["code_hash"]:
            own = kept
        if not kept.is_file() or read_facts(kept) != {**read_facts(own), **one.facts}:
            keep_record(own, kept, one.facts, arrays=one.run.purpose == "row")
            self.on_finished()

    def _say_what_is_known(self, everything: Sequence[Progress]) -> None:
        done = sum(one.state is State.FINISHED for one in everything)
        self.console.print(f"{done} of {len(everything)} runs are finished already.", highlight=False)
        changed = sorted({name for one in everything if one.facts is None for name in self._changes(one.run)})
        if changed:
            self.console.print(
                f"Finished rows of other code are trained again, since these changed: {', '.join(changed)}. "
                "--accept-code keeps them.",
                style="yellow",
                highlight=False,
                soft_wrap=True,
            )

    def _changes(self, run: PlannedRun) -> list[str]:
        file = self.record_file(run)
        return changed_code(read_facts(file)["code"], run.code) if file.is_file() else []


def _facts_of(run: PlannedRun) -> dict[str, Any]:
    """What a record says of its run beside what is measured."""
    return {
        "method": run.method,
        "seed": run.seed,
        "budget": run.budget,
        "purpose": run.purpose,
        "steps": run.steps,
        "total_steps": run.total_steps,
        "recipe": run.recipe,
        "data": run.experiment.data.path.name,
        "start": None if run.start is None else run.start.method,
        "tuned": dict(run.tuned),
        "config_hash": run.config_hash,
        "data_hash": run.data_hash,
        "code_hash": run.code_hash,
        "accepted_code": None,
        "code": dict(run.code),
        "command": run.command,
    }
