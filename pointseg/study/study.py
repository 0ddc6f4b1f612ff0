"""`pointseg study`: carry out what a study file says, as far as it is not done, and write what came out."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pointseg.config import ConfigError
from pointseg.core.cores import num_cores
from pointseg.study.children import Children, Launcher
from pointseg.study.definition import StudyConfig, read_study
from pointseg.study.plan import PlannedRun, Planner
from pointseg.study.record import read_facts
from pointseg.study.report import report
from pointseg.study.results import write_results
from pointseg.study.runner import Runner
from pointseg.study.slurm import JobArrays
from pointseg.study.state import Progress, State
from pointseg.study.tuning import choose, trials_of, write_trials
from pointseg.training.interrupt import StopRequest

#: In the folder of results.
RECORDS, TRIALS, RESULTS, TUNED, REPORT = "runs", "trials", "results.csv", "tune.csv", "report.html"


@dataclass(frozen=True)
class StudyOptions:
    """How a study is carried out; nothing of it changes what comes out.

    Args:
        out: folder of the RUN folders; runs/NAME if None.
        results: folder for results; that of the study file if None.
        jobs: runs at once.
        threads: CPU threads of each; the cores divided by the runs at once if None.
        device: auto, cpu, cuda or cuda:N.
        methods: names of those to run now; all if empty.
        budgets: names of those to run now; all if empty.
        allow_missing: leave methods out that have no file.
        accept_code: keep finished runs of other code, and continue such.
        slurm: submit job arrays.
        slurm_options: of submitit, as ``key=value``.
    """

    out: Path | None = None
    results: Path | None = None
    jobs: int = 1
    threads: int | None = None
    device: str = "auto"
    methods: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    allow_missing: bool = False
    accept_code: bool = False
    slurm: bool = False
    slurm_options: tuple[str, ...] = ()


def study(path: Path, options: StudyOptions, *, console: Console | None = None) -> bool:
    """Run what is missing of a study, and write results.csv, tune.csv and report.html.

    Args:
        path: the study file.
        options: see there.
        console: where to show progress; standard output if None.

    Returns:
        Whether every run that was asked for is finished.

    Raises:
        ConfigError: if the study, the recipe or a method cannot be used, or a method has no file.
        ValueError: if another process carries out a study in the same folder.
    """
    console = console or Console()
    definition = read_study(path)
    runs = options.out or Path("runs") / definition.name
    results = options.results or path.parent
    threads = options.threads or max(1, num_cores() // options.jobs)
    planner = Planner(definition, runs, threads=threads)
    methods = _methods(definition, planner, options, console)
    results.mkdir(parents=True, exist_ok=True)
    with _alone(runs), StopRequest() as stop:
        launcher = _launcher(runs, threads, options)

        def runner(folder: str, on_finished: Callable[[], None]) -> Runner:
            return Runner(
                runs,
                results / folder,
                launcher,
                device=options.device,
                accept_code=options.accept_code,
                console=console,
                on_finished=on_finished,
            )

        if definition.tune is not None:
            searched = {name: trials_of(definition, name) for name in methods}
            # A method that has only itself to try needs no trial.
            trials = [planner.trial(name, one) for name, many in searched.items() if many[1:] for one in many]
            tried = runner(TRIALS, lambda: None).carry_out(f"{definition.name}: search", trials, stop)
            planner.tuned = choose(definition, tried)
            write_trials(results / TUNED, tried, planner.tuned)
            if stop.requested or not _say_how_it_ended(tried, console):
                return False
        everything = planner.rows([name for name in definition.methods if planner.has_file(name)])
        budgets = options.budgets or tuple(definition.budgets)
        rows = [run for run in everything if run.method in methods and run.budget in budgets]
        done = runner(RECORDS, lambda: _write_rows(everything, results)).carry_out(
            definition.name, rows, stop
        )
    _write_rows(everything, results)
    if any(one.facts is not None for one in done):
        report([results], results / REPORT, console=console)
    return _say_how_it_ended(done, console)


def _methods(definition: StudyConfig, planner: Planner, options: StudyOptions, console: Console) -> list[str]:
    """The methods to run now.

    Raises:
        ConfigError: for a name that the study has not, or methods without a file that are not to be left out.
    """
    for kind in ("methods", "budgets"):
        known = getattr(definition, kind)
        if unknown := sorted(set(getattr(options, kind)) - set(known)):
            raise ConfigError(
                f"--{kind}: {', '.join(unknown)} not in the study, which has {', '.join(known)}."
            )
    wanted = [name for name in definition.methods if name in (options.methods or definition.methods)]
    missing = [name for name in wanted if not planner.has_file(name)]
    if missing and not options.allow_missing:
        raise ConfigError(
            f"{definition.name}: no method file for {', '.join(missing)}. Write "
            "them, or leave these methods out with "
            "--allow-missing."
        )
    if missing:
        console.print(f"Left out, without a method file: {', '.join(missing)}.", style="yellow")
    return [name for name in wanted if name not in missing]


def _launcher(runs: Path, threads: int, options: StudyOptions) -> Launcher:
    if not options.slurm:
        return Children(options.jobs, threads)
    return JobArrays(runs / "slurm", jobs=options.jobs, threads=threads, options=options.slurm_options)


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Raises ValueError if another process carries out a study with the same folder of runs."""
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / "study.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{runs}: another `pointseg study` is at work there; wait for its end."
            ) from None
        yield


def _write_rows(rows: Sequence[PlannedRun], results: Path) -> None:
    """results.csv: every row of the study that has a record, also of methods that are not run now."""
    files = [(run.name, results / RECORDS / f"{run.name}.json") for run in rows]
    found = [{"run": name, **read_facts(file)} for name, file in files if file.is_file()]
    write_results(results / RESULTS, found)


def _say_how_it_ended(runs: Sequence[Progress], console: Console) -> bool:
    """One line for each failed run; whether all are finished."""
    for one in runs:
        if one.state in (State.FAILED, State.BLOCKED):
            console.print(
                f"{one.run.name}: {one.state.value}: {one.problem}; see {one.folder}",
                style="red",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    left = sum(one.state is not State.FINISHED for one in runs)
    trained = sum(one.is_new and one.state is State.FINISHED for one in runs)
    rest = f", {left} to go: the same command continues" if left else ""
    console.print(f"{len(runs) - left} of {len(runs)} runs are finished, {trained} of them now{rest}.")
    return left == 0
