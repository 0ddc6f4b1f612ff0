"""Intervals against slow and obvious ones, and pairs that must cancel out."""

import math

import numpy as np
import pytest
from study_records import SPACE, confusions, record_of

from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.study.comparison import Comparison, drawn_means, over_seeds, scene_draws


def report_of(drawn: list[Confusion]) -> list[float | None]:
    total = Confusion(4)
    for one in drawn:
        total.merge(one)
    report = Report.from_confusion(total, SPACE)
    return [report.miou["present"], *(mean["present"] for mean in report.groups().values())]


@pytest.mark.parametrize("times", [(1, 1, 1), (3, 0, 0), (0, 2, 1)])
def test_a_draw_has_the_means_of_a_report_over_its_scenes(times: tuple[int, ...]) -> None:
    made = confusions(0)
    expected = report_of([one for one, often in zip(made, times, strict=True) for _ in range(often)])
    found = drawn_means(record_of(made), np.array([times], dtype=np.float64))[0]
    for value, wanted in zip(found, expected, strict=True):
        assert math.isnan(value) if wanted is None else value == pytest.approx(wanted)


def test_three_seeds_have_the_interval_of_students_t() -> None:
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.302653.
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.low) == (2.0, pytest.approx(2 - 4.302653 / math.sqrt(3)))
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3))


def test_one_seed_has_no_interval() -> None:
    assert over_seeds([0.4]).low is None


def test_a_method_differs_from_itself_by_nothing() -> None:
    runs = [record_of(confusions(s), method=m, seed=s) for m in ("a", "b") for s in (0, 1)]
    difference = Comparison(runs, draws=50).difference("a", "b")
    assert difference is not None
    assert all((d.value, d.low, d.high) == (0, 0, 0) for d in difference.values())


def test_differences_are_those_of_a_bootstrap_written_out() -> None:
    made = {("a", s): confusions(s, 0.8) for s in (0, 1)} | {("b", s): confusions(9 + s, 0.4) for s in (0, 1)}
    comparison = Comparison([record_of(c, method=m, seed=s) for (m, s), c in made.items()], draws=40)
    difference = comparison.difference("a", "b")
    assert difference is not None
    scenes, seeds = scene_draws(3, 40), scene_draws(2, 40, seed=1)
    slow: list[float] = []
    for drawn_scenes, drawn_seeds in zip(scenes, seeds, strict=True):
        gains = []
        for seed, often in enumerate(drawn_seeds):
            means = [
                report_of(
                    [one for one, n in zip(made[m, seed], drawn_scenes, strict=True) for _ in range(int(n))]
                )
                for m in ("a", "b")
            ]
            assert means[0][0] is not None and means[1][0] is not None
            gains += [means[0][0] - means[1][0]] * int(often)
        slow.append(float(np.mean(gains)))
    low, high = np.percentile(slow, [2.5, 97.5])
    assert difference["miou"].low == pytest.approx(low) and difference["miou"].high == pytest.approx(high)
    observed = np.mean([report_of(made["a", s])[0] - report_of(made["b", s])[0] for s in (0, 1)])  # type: ignore[operator]
    assert difference["miou"].value == pytest.approx(observed)


def test_only_common_seeds_are_paired() -> None:
    runs = [record_of(confusions(s), method="a", seed=s) for s in (0, 1)]
    runs += [record_of(confusions(1), method="b", seed=1), record_of(confusions(7), method="c", seed=7)]
    comparison = Comparison(runs, draws=20)
    paired = comparison.difference("a", "b")
    assert paired is not None and paired["miou"].value == 0
    assert comparison.difference("a", "c") is None


def test_the_strongest_is_that_of_the_highest_tail() -> None:
    runs = [
        record_of(confusions(0), method="a", tail=0.1, miou=0.9),
        record_of(confusions(0), method="b", tail=0.2),
    ]
    assert Comparison(runs, draws=5).strongest(["a", "b", "absent"]) == "b"
    assert Comparison(runs, draws=5).strongest(["absent"]) is None


def test_runs_on_other_scenes_or_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different scenes"):
        Comparison([record_of(confusions(0)), record_of(confusions(0, scenes=2), method="b")])
    with pytest.raises(ValueError, match="Two runs are called"):
        Comparison([record_of(confusions(0)), record_of(confusions(1))])
