"""The means of drawn scenes are those of a report over these scenes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_runs.py"
SPEC = importlib.util.spec_from_file_location("compare_runs", SCRIPT)
assert SPEC is not None and SPEC.loader is not None
compare = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare)

GROUPS = ("head", "head", "common", "tail")
SPACE = LabelSpace("four", (1, 2, 3, 4), tuple("abcd"), GROUPS, distinct_colors(4))


def scenes(seed: int) -> list[Confusion]:
    """Three; class d is in one of them alone."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(3):
        truth = rng.integers(0, 4 if number == 0 else 3, 50)
        made.append(Confusion(4).update(truth, rng.integers(0, 5, 50)))
    return made


def parts_of(made: list[Confusion]) -> np.ndarray:
    return np.array([[one.tp, one.truth, one.tp + one.fp] for one in made], dtype=np.float64)


@pytest.mark.parametrize("times", [(1, 1, 1), (3, 0, 0), (0, 2, 1)])
def test_a_draw_has_the_mean_of_its_scenes(times: tuple[int, ...]) -> None:
    made = scenes(0)
    drawn = Confusion(4)
    for one, often in zip(made, times, strict=True):
        for _ in range(often):
            drawn.merge(one)
    found = compare.drawn_miou(parts_of(made), np.array([times], dtype=np.float64))
    assert found == pytest.approx([Report.from_confusion(drawn, SPACE).miou["present"]])


def test_the_table_compares_pairs_with_the_first_run() -> None:
    both = [scenes(0), scenes(0)]
    reports = []
    for made in both:
        total = Confusion(4)
        for one in made:
            total.merge(one)
        reports.append(Report.from_confusion(total, SPACE))
    lines = compare.table(["one", "same"], reports, [parts_of(made) for made in both]).splitlines()
    assert len(lines) == 4 and lines[2].startswith("| one |") and lines[2].endswith("|  |")
    assert lines[3].endswith("| 0.00 to 0.00 |")
    assert f" {100 * reports[0].miou['present']:.2f} " in lines[2]
