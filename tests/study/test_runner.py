"""A study trains what is missing, once, whatever happened before."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from study_records import InThisProcess

import pointseg.study.study as study_module
from pointseg.evaluation.evaluate import evaluate
from pointseg.study.record import Record
from pointseg.study.study import StudyOptions, study

Write = Callable[..., Path]


def rows_of(path: Path) -> list[dict[str, str]]:
    with (path.parent / "results.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def carry_out(path: Path, out: Path, **options: Any) -> tuple[bool, str]:
    """Whether everything is finished, and what was said."""
    console = Console(record=True, width=400, file=io.StringIO())
    done = study(path, StudyOptions(out=out, threads=1, device="cpu", **options), console=console)
    return done, console.export_text()


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    """Runs are worked on in this process, by the code that a child runs."""
    made = InThisProcess()
    monkeypatch.setattr(study_module, "_launcher", lambda *args: made)
    return made


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page takes longer than such runs: one test here and those of the report make it."""
    monkeypatch.setattr(study_module, "report", lambda *args, **options: None)


def test_rows_are_what_an_evaluation_of_the_runs_says_and_none_is_trained_twice(
    write_study: Write, tmp_path: Path, launcher: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_study(methods={"cross_entropy": None, "focal": {"start": {"method": "cross_entropy"}}})
    done, _ = carry_out(path, tmp_path / "runs")
    assert done and len(launcher.folders) == 2
    rows = rows_of(path)
    assert [(r["method"], r["seed"], r["budget"], r["steps"], r["total_steps"]) for r in rows] == [
        ("cross_entropy", "0", "short", "4", "4"),
        ("focal", "0", "short", "4", "8"),
    ]
    for row in rows:
        run = tmp_path / "runs" / row["run"]
        report = evaluate(run, checkpoint="last", device="cpu").report
        assert float(row["miou"]) == pytest.approx(report.miou["present"], abs=1e-6)
        assert float(row["tail"]) == pytest.approx(report.tail["present"], abs=1e-6)
        assert float(row["accuracy"]) == pytest.approx(report.overall_accuracy, abs=1e-6)
        record = Record.read(path.parent / "runs" / f"{row['run']}.json")
        assert (record.confusion.counts == report.confusion.counts).all()
        assert (record.parts.sum(axis=0)[0] == report.confusion.tp).all()
        assert [point["step"] for point in record.facts["curve"]] == [2, 4]
    assert (path.parent / "report.html").is_file()
    monkeypatch.setattr(study_module, "report", lambda *args, **options: None)
    # Nothing is left to do, also where only the committed results are at hand.
    for runs in (tmp_path / "runs", tmp_path / "elsewhere"):
        done, said = carry_out(path, runs)
        assert done and "2 of 2 runs are finished already" in said
    assert len(launcher.folders) == 2


@pytest.mark.usefixtures("no_page")
def test_a_failing_run_is_shown_and_stops_no_other(
    write_study: Write, tmp_path: Path, launcher: InThisProcess
) -> None:
    path = write_study(
        methods={
            "focal": {"overrides": {"train.init_from": "nowhere"}},
            "pat": {"start": {"method": "focal"}},
            "cross_entropy": None,
        }
    )
    done, said = carry_out(path, tmp_path / "runs")
    assert not done
    assert "focal short seed 0 failed: pointseg: nowhere" in said
    assert "pat short seed 0 blocked: focal failed, its start" in said
    assert [row["method"] for row in rows_of(path)] == ["cross_entropy"]


@pytest.mark.usefixtures("no_page")
def test_other_code_is_noticed_named_and_accepted_only_when_asked(
    write_study: Write, tmp_path: Path, launcher: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pointseg.study.plan as plan_module

    path = write_study(methods={"cross_entropy": None})
    carry_out(path, tmp_path / "runs")
    before = rows_of(path)[0]["code_hash"]
    known = plan_module.code_of
    monkeypatch.setattr(plan_module, "code_of", lambda e: {**known(e), "pointseg.training.step": "other"})
    done, said = carry_out(path, tmp_path / "runs", accept_code=True)
    assert done and len(launcher.folders) == 1
    (row,) = rows_of(path)
    assert row["code_hash"] == before != row["accepted_code"] != ""
    done, said = carry_out(path, tmp_path / "runs")
    assert done and len(launcher.folders) == 2
    assert "since these changed: pointseg.training.step" in said
    (row,) = rows_of(path)
    assert row["code_hash"] != before and row["accepted_code"] == ""


@pytest.mark.usefixtures("no_page")
def test_the_search_chooses_the_settings_of_the_rows(
    write_study: Write, tmp_path: Path, launcher: InThisProcess
) -> None:
    # A learning rate of 0 learns nothing, so the other one is chosen.
    path = write_study(
        methods={"cross_entropy": {"overrides": {"optimizer.lr": 1e-9}}},
        tune={"trials": 2, "budget": "short", "share": 0.4, "search": {"optimizer.lr": [0.1]}},
    )
    done, _ = carry_out(path, tmp_path / "runs")
    (row,) = rows_of(path)
    assert done and json.loads(row["tuned"]) == {"optimizer.lr": 0.1}
    with (path.parent / "tune.csv").open(newline="") as handle:
        assert [trial["chosen"] for trial in csv.DictReader(handle)] == ["0", "1"]
    carry_out(path, tmp_path / "elsewhere")
    assert len(launcher.folders) == 3


def test_a_method_with_nothing_to_search_for_has_no_trial(
    write_study: Write, tmp_path: Path, launcher: InThisProcess
) -> None:
    path = write_study(
        methods={"cross_entropy": {}},
        tune={"trials": 2, "budget": "short", "share": 0.4},
        budgets={"short": 2},
    )
    done, _ = carry_out(path, tmp_path / "runs")
    (row,) = rows_of(path)
    assert done and row["tuned"] == "" and len(launcher.folders) == 1


def test_a_finished_run_does_not_need_its_start_again(
    write_study: Write, tmp_path: Path, launcher: InThisProcess
) -> None:
    crt = {"start": {"method": "cross_entropy", "share": 0.5}}
    carry_out(write_study(methods={"cross_entropy": None, "crt": crt}), tmp_path / "runs")
    assert len(launcher.folders) == 3
    done, _ = carry_out(
        write_study(methods={"cross_entropy": None, "crt": crt, "weighted": None}), tmp_path / "runs"
    )
    assert done and len(launcher.folders) == 4
    assert [row["method"] for row in rows_of(tmp_path / "study" / "study.yaml")] == [
        *("cross_entropy", "crt", "weighted")
    ]


def test_two_studies_do_not_share_a_folder(write_study: Write, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "runs").mkdir()
    with (tmp_path / "runs" / "study.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another `pointseg study`"):
            carry_out(write_study(), tmp_path / "runs")


def started(path: Path, out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pointseg", "study", str(path), "--out", str(out), "--threads", "1"]
    return subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def steps_of(runs: Path) -> int:
    logs = [file.read_text() for file in runs.glob("*/metrics.jsonl")]
    return sum(log.count('"kind": "train"') for log in logs)


def is_locked(folder: Path) -> bool:
    import fcntl

    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.slow
@pytest.mark.usefixtures("no_page")
def test_a_study_that_is_killed_leaves_no_child_and_continues(
    write_study: Write, tmp_path: Path, launcher: InThisProcess
) -> None:
    """Killed, then asked to stop on its way again, then left to its end."""
    path = write_study(methods={"cross_entropy": None}, budgets={"short": 200}, validations=1)
    runs = tmp_path / "runs"
    seen = 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        parent = started(path, runs)
        wait_for(lambda: steps_of(runs) >= seen + 5)  # noqa: B023
        parent.send_signal(number)
        parent.wait(120)
        (folder,) = (f for f in runs.iterdir() if f.is_dir())
        # The child holds this lock as long as it lives.
        wait_for(lambda: not is_locked(folder))  # noqa: B023
        before, seen = seen, steps_of(runs)
        assert before + 5 <= seen < 200
        assert not list((path.parent).glob("runs/*.json"))
    done, _ = carry_out(path, runs)
    starts = [start["step"] for start in json.loads((folder / "environment.json").read_text())["starts"]]
    assert done and starts[0] == 0 < starts[1] < starts[2]
    assert steps_of(runs) == 200 and len(rows_of(path)) == 1
