"""For tests of studies: a launcher without children, and records whose numbers are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.evaluation.calibration import Calibration
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.study.children import Running
from pointseg.study.record import Record
from pointseg.study.work import work

SPACE = LabelSpace(
    "four", (1, 2, 3, 4), tuple("abcd"), ("head", "head", "common", "tail"), distinct_colors(4)
)


class Ended:
    """A run that came to its end while it was started."""

    def __init__(self, code: int) -> None:
        self.code = code

    def exit_code(self) -> int:
        return self.code

    def stop(self) -> None: ...


class InThisProcess:
    """Launcher that does the whole work at once; what a child would do, without its start."""

    def __init__(self) -> None:
        self.slots = 1
        self.folders: list[Path] = []

    def start(self, folders: Sequence[Path]) -> list[Running]:
        self.folders += folders
        return [Ended(_code(folder)) for folder in folders]

    def stop(self, running: Sequence[Running]) -> None: ...


def _code(folder: Path) -> int:
    try:
        return work(folder)
    except (ValueError, FileNotFoundError) as error:
        (folder / "log.txt").write_text(f"pointseg: {error}\n", encoding="utf-8")
        return 1


def confusions(seed: int, skill: float = 0.5, scenes: int = 3) -> list[Confusion]:
    """Class d is in the first scene alone."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(scenes):
        truth = rng.integers(0, 4 if number == 0 else 3, 60)
        predicted = np.where(rng.random(60) < skill, truth, rng.integers(0, 5, 60))
        made.append(Confusion(4).update(truth, predicted))
    return made


def record_of(made: Sequence[Confusion], **facts: Any) -> Record:
    """A record of these scenes, with whatever facts."""
    total = Confusion(4)
    for one in made:
        total.merge(one)
    report = Report.from_confusion(total, SPACE)
    means = {"miou": report.miou, **report.groups()}
    calibration = Calibration(4)
    rng = np.random.default_rng(0)
    calibration.update(rng.random(40), rng.random(40) < 0.5, rng.integers(0, 3, 40))
    point = {"nc1": 1.0, "nc2_centers": 0.5, "nc2_classifier": 0.4, "nc3": 0.3, "gradient_norm": 0.2}
    collapse = dict.fromkeys(("all", "head", "common", "tail"), point)
    curve = [
        {"step": step, "miou": 0.1, "head": 0.1, "common": 0.1, "tail": 0.1, "collapse": collapse}
        for step in (5, 10)
    ]
    known = {
        "method": "cross_entropy",
        "seed": 0,
        "budget": "short",
        "steps": 10,
        "total_steps": 10,
        "recipe": "recipe",
        "data": "rooms",
        "split": "val",
        "seconds": 12.5,
        "memory_mb": 300,
        "command": "pointseg train",
        "config_hash": "c0ffee",
        "data_hash": "da7a",
        "code_hash": "c0de",
        "accuracy": report.overall_accuracy,
        "ece": calibration.expected_error(),
        "curve": curve,
        **{name: mean["present"] for name, mean in means.items()},
        **{f"{name}_{c}": mean[c] for name, mean in means.items() for c in ("defined", "all")},
    }
    parts = np.array([[one.tp, one.truth, one.tp + one.fp] for one in made])
    points = np.array([4000, 3000, 200, 10])
    names = tuple(f"scene{i}" for i in range(len(made)))
    return Record({**known, **facts}, SPACE, points, total, names, parts, calibration)
