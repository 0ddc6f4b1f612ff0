"""What is said while a run trains: lines where there is no terminal, a bar where there is one."""

import io
import re

import pytest
from rich.console import Console

from pointseg.training import display
from pointseg.training.display import TrainingDisplay


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the display sees it, in its only element."""
    now = [100.0]
    monkeypatch.setattr(display.time, "perf_counter", lambda: now[0])
    return now


def shown(**options: int | float) -> tuple[TrainingDisplay, io.StringIO]:
    text = io.StringIO()
    settings = {"total_steps": 40, "step": 0, "line_every": 5, **options}
    return TrainingDisplay(Console(file=text, width=200), **settings), text  # type: ignore[arg-type]


def lines(text: io.StringIO) -> list[str]:
    return text.getvalue().splitlines()


def test_lines_come_as_often_as_asked_and_at_the_end() -> None:
    made, text = shown(total_steps=12)
    with made:
        for step in range(1, 13):
            made.step(step, 1.0)
    assert [int(line.split()[1].partition("/")[0]) for line in lines(text)] == [5, 10, 12]


def test_the_loss_is_the_mean_at_first_and_follows_by_a_twentieth_later() -> None:
    made, text = shown(line_every=1)
    for step, loss in enumerate((1.0, 3.0, 5.0), start=1):
        made.step(step, loss)
    assert [re.findall(r"loss ([\d.]+)", line)[0] for line in lines(text)] == ["1.000", "2.000", "3.000"]
    made, text = shown(line_every=25)
    for step in range(1, 25):
        made.step(step, 0.0)
    made.step(25, 1.0)
    assert "loss 0.050" in lines(text)[-1]


@pytest.mark.parametrize(
    ("first", "step", "seconds", "left"),
    [(0, 10, 100, "0:05:00"), (5, 10, 100, "0:10:00"), (0, 10, 1300, "1:05:00"), (0, 40, 100, "0:00:00")],
)
def test_the_time_left_follows_from_the_steps_of_this_start(
    clock: list[float], first: int, step: int, seconds: float, left: str
) -> None:
    made, text = shown(step=first, line_every=10)
    clock[0] += seconds
    made.step(step, 1.0)
    assert lines(text)[-1].endswith(f"left {left}")


def test_the_best_validation_is_shown_until_there_is_another() -> None:
    made, text = shown(line_every=1, miou=0.1234)
    made.step(1, 1.0)
    made.validated(1, None, is_best=False)
    made.step(2, 1.0)
    made.validated(2, 0.5, is_best=True)
    made.step(3, 1.0)
    first, none, second, best, third = lines(text)
    assert "mIoU 12.34  left" in first and "mIoU -  left" in second and "mIoU 50.00  left" in third
    assert none == "step 1: validation mIoU - %"
    assert best == "step 2: validation mIoU 50.00 % (best so far)"
    made, text = shown(line_every=1)
    made.step(1, 1.0)
    assert "mIoU -  left" in text.getvalue()
    made, text = shown(line_every=1, miou=0.0)
    made.step(1, 1.0)
    assert "mIoU 0.00  left" in text.getvalue()


def test_a_terminal_has_a_bar_with_the_scenes_of_a_validation_and_no_lines_of_steps() -> None:
    text = io.StringIO()
    console = Console(file=text, width=160, force_terminal=True, color_system=None)
    with TrainingDisplay(console, total_steps=4, step=1, line_every=1) as made:
        made.step(2, 1.5)
        made.validating(1, 2)
        made._bar.refresh()
        made.validating(2, 2)
        made._bar.refresh()
        made.say("names like [red] are text")
    said = text.getvalue()
    assert "validate 1/2" in said and "validate 2/2" not in said and "2/4" in said and "loss 1.500" in said
    assert "step 2/4" not in said and "names like [red] are text" in said
