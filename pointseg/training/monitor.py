"""Monitor: tells people and files what a training run does; silent on all processes but the main one."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console

from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.runs.folder import RunFolder
from pointseg.training.callback import Callback, gather
from pointseg.training.display import TrainingDisplay
from pointseg.training.forecast import forecast_of, lines_of, memory_of
from pointseg.training.job import TrainingJob
from pointseg.training.log import RunLog
from pointseg.training.state import TrainingState
from pointseg.training.step import StepReport
from pointseg.training.validate import Validation, scenes_of

#: A training is foretold from so many of its own steps, where so many are left.
_MEASURED, _WORTH_IT = 4, 20


class Monitor:
    """Display, log and callbacks of a run.

    Args:
        folder: the run.
        state: where it starts or continues.
        job: its length and who takes part.
        console: where to show progress.
        callbacks: who else wants to know.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: TrainingState,
        job: TrainingJob,
        console: Console,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        silent = not job.processes.is_main
        self._log_every = job.experiment.train.log_every
        self._seconds: list[float] = []
        self._job, self._folder = job, folder
        self._parameters = sum(p.numel() for p in state.learner.parameters())
        self._before = memory_of(job.processes.device)
        # Seconds and rows of the first steps, until they have told what all will take.
        self._first: list[tuple[float, int]] | None = None
        if not silent and job.total_steps - state.step >= _WORTH_IT:
            self._first = []
        self._callbacks = () if silent else tuple(callbacks)
        self._job = job
        self._log = None if silent else RunLog(folder, step=state.step, validated=state.validated)
        self._display = TrainingDisplay(
            Console(quiet=True) if silent else console,
            total_steps=job.total_steps,
            step=state.step,
            # About a hundred lines for a whole training where there is no bar.
            line_every=self._log_every * max(1, job.total_steps // (100 * self._log_every)),
            miou=state.best_miou,
        )

    def __enter__(self) -> Monitor:
        job = self._job
        try:
            for callback in self._callbacks:
                callback.on_start(job.experiment, job.store, scenes_of(job.val_names, job.processes))
        except BaseException:
            self._end()
            raise
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)
        self._end()

    def _end(self) -> None:
        for callback in self._callbacks:
            callback.on_end()
        if self._log is not None:
            self._log.close()

    def step(self, step: int, report: StepReport, *, seconds: float) -> None:
        """After ``step`` steps; the latest took ``seconds``."""
        self._seconds.append(seconds)
        extra = gather([callback.on_step(step, report) for callback in self._callbacks])
        is_logged = step % self._log_every == 0 and not report.skipped
        if self._log is not None and extra and not is_logged:
            self._log.of_callbacks(step, extra)
        if report.skipped:
            self.say(f"step {step} was skipped: {report.what_was_wrong} in {', '.join(report.skipped)}")
            if self._log is not None:
                self._log.skipped(step, report)
            return
        self._display.step(step, report.loss)
        self._foretell(seconds, report.num_rows)
        if self._log is not None and is_logged:
            self._log.train(step, report, seconds=sum(self._seconds) / len(self._seconds), extra=extra)
            self._seconds.clear()

    def _foretell(self, seconds: float, rows: int) -> None:
        """Say what the training takes, once: measured on its own first steps, so that its start waits for
        nothing. What `pointseg doctor` says before it."""
        if self._first is None:
            return
        self._first.append((seconds, rows // self._job.experiment.train.accumulate))
        if len(self._first) < _MEASURED:
            return
        device = self._job.processes.device
        found = forecast_of(
            self._job,
            out=self._folder.path,
            parameters=self._parameters,
            seconds=[seconds for seconds, _ in self._first],
            rows=[rows for _, rows in self._first],
            before=self._before,
            peak=memory_of(device),
        )
        self._first = None
        # What is to be known of the data was said at the start.
        for line in lines_of(found, self._job, str(device)):
            if not line.startswith("beware: "):
                self.say(line)

    def validating(self, done: int, total: int) -> None:
        self._display.validating(done, total)

    def predicted(self, step: int, scene: Member, prediction: ScenePrediction) -> None:
        """A validation scene, after ``step`` steps."""
        for callback in self._callbacks:
            pictures = callback.on_scene(step, scene, prediction)
            if self._log is not None and pictures:
                self._log.pictures(step, pictures)

    def validated(self, step: int, validation: Validation, *, is_best: bool) -> None:
        self._display.validated(step, validation.report.miou["present"], is_best=is_best)
        extra = gather([callback.on_validation(step, validation) for callback in self._callbacks])
        if self._log is not None:
            self._log.validation(step, validation.report, validation.collapse, extra, validation.others)
        for head, report in validation.others.items():
            miou = report.miou["present"]
            self.say(f"validation of head {head}: mIoU {'-' if miou is None else f'{100 * miou:.2f} %'}")

    def say(self, text: str) -> None:
        if text:
            self._display.say(text)
