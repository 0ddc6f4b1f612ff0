"""What a person sees of a training run: a progress bar in a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrainingDisplay:
    """Loss, mIoU and time left.

    Args:
        console: where to write; a bar is drawn only if it is a terminal.
        total_steps: steps of the whole training.
        step: step the run starts or continues at.
        line_every: steps between lines where there is no terminal.
        miou: best validation mIoU so far, negative for none.
    """

    def __init__(
        self, console: Console, *, total_steps: int, step: int, line_every: int, miou: float = -1.0
    ) -> None:
        self.console = console
        self.total_steps = total_steps
        self.first_step = step
        self.line_every = line_every
        self._began = time.perf_counter()
        self._loss, self._num_losses = 0.0, 0
        self._miou = "-" if miou < 0 else _percent(miou)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  mIoU {task.fields[miou]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", total=total_steps, completed=step, loss="-", miou=self._miou)

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        """After a step; the loss shown is a running mean over about 20 steps."""
        self._num_losses += 1
        self._loss += (loss - self._loss) * max(0.05, 1.0 / self._num_losses)
        self._bar.update(self._task, completed=step, loss=f"{self._loss:.3f}")
        if not self.console.is_terminal and (step % self.line_every == 0 or step == self.total_steps):
            self.say(
                f"step {step}/{self.total_steps}  loss {self._loss:.3f}  mIoU {self._miou}  "
                f"left {self._time_left(step)}"
            )

    def validating(self, done: int, total: int) -> None:
        """While scenes are validated."""
        self._bar.update(self._task, description=f"validate {done}/{total}" if done < total else "train")

    def validated(self, step: int, miou: float | None, *, is_best: bool) -> None:
        """After a validation."""
        self._miou = "-" if miou is None else _percent(miou)
        self._bar.update(self._task, description="train", miou=self._miou)
        self.say(f"step {step}: validation mIoU {self._miou} %{' (best so far)' if is_best else ''}")

    def say(self, text: str) -> None:
        """One line above the bar."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def _time_left(self, step: int) -> str:
        done = step - self.first_step
        seconds = (time.perf_counter() - self._began) / max(done, 1) * (self.total_steps - step)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
