"""What a study file may say, and which runs follow from it."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pointseg.config import ConfigError, dump_config
from pointseg.experiment import load_experiment
from pointseg.study.definition import read_study
from pointseg.study.plan import Planner, with_starts

Write = Callable[..., Path]


def planner(path: Path) -> Planner:
    return Planner(read_study(path), Path("runs"), threads=1)


def test_rows_are_methods_times_budgets_times_seeds_the_short_ones_first(write_study: Write) -> None:
    path = write_study(budgets={"long": 8, "short": 2}, seeds=[3, 4])
    rows = planner(path).rows(["cross_entropy", "weighted"])
    assert [(r.budget, r.seed, r.method) for r in rows] == [
        (budget, seed, method)
        for budget in ("short", "long")
        for seed in (3, 4)
        for method in ("cross_entropy", "weighted")
    ]
    assert len({row.name for row in rows}) == 8
    assert {row.experiment.train.steps for row in rows} == {2, 8}


def test_a_method_may_have_budgets_and_seeds_of_its_own(write_study: Write) -> None:
    path = write_study(
        budgets={"short": 2, "long": 8},
        methods={"cross_entropy": None, "weighted": {"budgets": ["long"], "seeds": [5]}},
    )
    rows = planner(path).rows(["cross_entropy", "weighted"])
    assert [(r.budget, r.seed) for r in rows if r.method == "weighted"] == [("long", 5)]


def test_overrides_lie_over_recipe_and_method(write_study: Write) -> None:
    path = write_study(
        methods={"focal": {"overrides": {"losses.main.gamma": 3.0}}}, overrides={"optimizer.lr": 0.2}
    )
    (row,) = planner(path).rows(["focal"])
    assert row.experiment.losses["main"].gamma == 3.0  # type: ignore[attr-defined]
    assert row.experiment.optimizer.lr == 0.2


def test_several_methods_make_one_row(write_study: Write) -> None:
    path = write_study(methods={"both": {"method": ["weighted", "dropclass"]}})
    (row,) = planner(path).rows(["both"])
    assert row.experiment.head.type == "class_suppression" and row.method == "both"


@pytest.mark.parametrize(("share", "steps", "total"), [(None, 10, 20), (0.3, 7, 10)])
def test_a_run_that_starts_from_another_says_how_many_steps_both_took(
    write_study: Write, share: float | None, steps: int, total: int
) -> None:
    start: dict[str, Any] = {"method": "cross_entropy"} | ({} if share is None else {"share": share})
    path = write_study(budgets={"short": 10}, methods={"cross_entropy": None, "weighted": {"start": start}})
    rows = planner(path).rows(["cross_entropy", "weighted"])
    row = rows[1]
    assert (row.steps, row.total_steps) == (steps, total)
    assert row.start is not None and row.start.steps == 10 - (10 - steps if share is None else steps)
    assert row.experiment.train.init_from == Path("runs") / row.start.name / "checkpoints" / "last.pt"
    ordered = with_starts(rows)
    assert [r.purpose for r in ordered] == (["row", "row"] if share is None else ["row", "start", "row"])
    assert (row.start.name == rows[0].name) is (share is None)


def test_the_command_of_a_row_trains_the_same_experiment(write_study: Write) -> None:
    path = write_study(
        methods={"focal": {"overrides": {"augment": [{"type": "flip"}], "losses.main.gamma": 0.5}}}
    )
    (row,) = planner(path).rows(["focal"])
    pointseg, verb, recipe, flag, method, out, _, *overrides = shlex.split(row.command)
    assert (pointseg, verb, flag, out) == ("pointseg", "train", "--method", "--out")
    assert dump_config(load_experiment(recipe, methods=[method], overrides=overrides)) == dump_config(
        row.experiment
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"weighted": {"budgets": ["huge"]}}}, "huge: not among the study's budgets"),
        ({"methods": {"weighted": {"start": {"method": "absent"}}}}, "absent: not among the study's methods"),
        ({"budgets": {"short": 0}}, "at least one step"),
        ({"methods": {"weighted": {"overides": {}}}}, "did you mean 'overrides'"),
        ({"tune": {"trials": 2, "budget": "huge"}}, "huge: not among"),
        (
            {
                "methods": {
                    "cross_entropy": None,
                    "focal": {"start": {"method": "cross_entropy"}},
                    "weighted": {"start": {"method": "focal"}},
                }
            },
            "starts from another method itself",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(
    write_study: Write, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_study(write_study(**changes))


def test_methods_without_a_file_are_named_and_nothing_is_trained(write_study: Write, tmp_path: Path) -> None:
    from pointseg.cli import app

    path = write_study(methods={"cross_entropy": None, "wizardry": None, "sorcery": None})
    result = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "runs")])
    assert result.exit_code == 2 and "wizardry, sorcery" in result.output
    assert not (tmp_path / "runs").exists()
