"""prepare(): many scenes into a store, several at once; bad ones are listed, a stopped run continues."""

from __future__ import annotations

import argparse
import errno
import functools
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pointseg.core.cluster import Cluster
from pointseg.core.scene import Scene
from pointseg.formats.text import printable
from pointseg.scans.store_layout import check_scene_name
from pointseg.scans.store_writer import StoreWriter, write_scene

#: Folder in a store with the files of the jobs of a cluster, while there are any.
JOB_FILES = ".slurm"
#: Whether an error that ends a preparation shows where it comes from.
DEBUG: ContextVar[bool] = ContextVar("debug", default=False)


@dataclass(frozen=True)
class Job:
    """One scene to prepare: its name, its split, and where it lies."""

    name: str
    split: str
    source: Path


@dataclass(frozen=True)
class Prepared:
    """A scene that was read, notes for its scene.json, and remarks that are summed over all scenes."""

    scene: Scene
    notes: dict[str, Any] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)


@dataclass
class Outcome:
    """What a run did. ``failures`` holds a message for each scene that could not be prepared."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)

    def counts(self) -> str:
        """One line: how many scenes were written, were there already, and failed."""
        return f"written {len(self.written)}, there already {len(self.kept)}, failed {len(self.failures)}"

    def failure_lines(self) -> list[str]:
        """A heading and a line for each scene that could not be prepared; empty if there is none."""
        lines = [f"  {name}: {message}" for name, message in sorted(self.failures.items())]
        return ["Scenes that could not be prepared:", *lines] if lines else []


def prepare(
    read: Callable[[Job], Prepared],
    jobs: Sequence[Job],
    writer: StoreWriter,
    *,
    workers: int = 1,
    overwrite: bool = False,
    slurm: Sequence[str] | None = None,
    console: Console | None = None,
) -> Outcome:
    """Read scenes and write them into a store; the caller finishes the writer.

    Args:
        read: reads one scene; a ValueError or OSError is the scene's failure and the others go on. With
            several workers it must be picklable.
        jobs: the scenes; those that the store has already are kept.
        writer: the store.
        workers: processes; 1 works in this one. On a cluster the most jobs that run at once.
        overwrite: write scenes again that the store has.
        slurm: options of an array of jobs that does the work, see
            :class:`pointseg.core.cluster.Cluster`; None works on this machine. Jobs that end early are
            failures of their scenes, and calling again goes on.
        console: where the progress is shown; default none.

    Raises:
        KeyboardInterrupt: when the user stops it, after the scenes in work are whole. Calling again goes on.
        OSError: when the disk is full.
        ValueError: when two jobs have one name, or a worker process was killed.
    """
    twice = sorted(name for name, count in Counter(job.name for job in jobs).items() if count > 1)
    if twice:
        raise ValueError(f"Scene names must differ; more than one source for {', '.join(twice[:5])}.")
    outcome = Outcome()
    todo = []
    for job in jobs:
        try:
            check_scene_name(job.name)
        except ValueError as error:
            outcome.failures[printable(job.name)] = printable(f"{job.source}: {error}")
            continue
        # A scene that changed its split is read again: a test scene may have been stored without its labels.
        if writer.has(job.name, job.split) and not overwrite:
            outcome.kept.append(job.name)
        else:
            todo.append(job)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console or Console(quiet=True),
    )
    how = _results if slurm is None else functools.partial(_results_of_jobs, options=slurm)
    with _terminate_as_interrupt(), how(read, todo, writer.path, workers) as results, progress:
        task = progress.add_task("preparing scenes", total=len(todo))
        for name, remarks, failure in results:
            outcome.remarks.update(remarks)
            if failure is None:
                outcome.written.append(name)
            else:
                outcome.failures[name] = failure
                progress.console.print(f"failed: {name}: {failure}", markup=False, soft_wrap=True)
            progress.advance(task)
    return outcome


def failure_of(source: Path, error: Exception) -> str:
    """What to say of a scene that could not be read: the message, which always names the file."""
    text = said(error)
    if not isinstance(error, ValueError | OSError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return printable(text if text and source.name in text else f"{source}: {text or type(error).__name__}")


def said(error: Exception) -> str:
    """The message of an error; of one of the system, the place and the reason without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}."
    return str(error)


Result = tuple[str, Counter[str], str | None]


def _run(read: Callable[[Job], Prepared], job: Job, store: Path) -> Result:
    try:
        prepared = read(job)
        write_scene(store, prepared.scene, job.split, prepared.notes)
    except Exception as error:  # Whatever a reader meets in a stranger's file is that scene's failure.
        # Every other scene would fail as well.
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return job.name, Counter(), failure_of(job.source, error)
    return job.name, prepared.remarks, None


@contextmanager
def _results(
    read: Callable[[Job], Prepared], jobs: Sequence[Job], store: Path, workers: int
) -> Iterator[Iterator[Result]]:
    """The results of all jobs as they come; leaving early waits for the scenes in work and drops the rest."""
    if workers <= 1 or len(jobs) <= 1:
        yield (_run(read, job, store) for job in jobs)
        return
    # Forked workers start at once, with everything imported; elsewhere fork is missing or unsafe.
    method = "fork" if sys.platform == "linux" else "spawn"
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=multiprocessing.get_context(method),
        initializer=_start_worker,
    )
    try:
        # Submitted here, before the progress display starts its thread: forking is safe without threads only.
        futures = [pool.submit(_run, read, job, store) for job in jobs]
        yield (future.result() for future in as_completed(futures))
    except BrokenProcessPool as error:
        raise ValueError(
            f"A worker process was killed ({error}); perhaps the memory ran out. Run the same command with "
            "fewer --workers; it continues where it stopped."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _results_of_jobs(
    read: Callable[[Job], Prepared], jobs: Sequence[Job], store: Path, workers: int, options: Sequence[str]
) -> Iterator[Iterator[Result]]:
    """The same from an array of jobs; the files of the jobs are kept where one did not come to its end."""
    if not jobs:
        yield iter(())
        return
    folder = store / JOB_FILES
    cluster = Cluster(folder, options, at_once=workers)
    broken = []

    def found() -> Iterator[Result]:
        work = functools.partial(_run_all, read, store=store)
        for part, ended in cluster.results(work, jobs):
            if ended.problem:
                broken.append(ended.problem)
                yield from ((job.name, Counter(), f"{job.source}: {ended.problem}") for job in part)
            else:
                yield from ended.result

    yield found()
    if not broken:
        shutil.rmtree(folder, ignore_errors=True)


def _run_all(read: Callable[[Job], Prepared], jobs: Sequence[Job], *, store: Path) -> list[Result]:
    return [_run(read, job, store) for job in jobs]


def _start_worker() -> None:
    # Ctrl-C goes to every process of the terminal; a worker ends its scene and the parent ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed outright would wait for work for ever, and hold its memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A polite kill ends a run as Ctrl-C does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # Not in the main thread, where Python allows no handler.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """``--slurm`` and its options; :func:`cluster_options` says what was given."""
    parser.add_argument(
        "--slurm",
        action="store_true",
        help="submit an array of jobs through submitit, --workers of them at once",
    )
    parser.add_argument(
        "--slurm-option",
        action="append",
        metavar="KEY=VALUE",
        help="of submitit, such as slurm_partition=cpu; cluster=local tries it out here",
    )


def prepare_as_asked(
    options: argparse.Namespace,
    read: Callable[[Job], Prepared],
    jobs: Sequence[Job],
    writer: StoreWriter,
    console: Console,
) -> Outcome:
    """:func:`prepare` with the workers, the overwriting and the cluster that a command line asks for.

    Raises:
        ValueError: for options of a cluster without ``--slurm``; and as there.
    """
    if options.slurm_option and not options.slurm:
        raise ValueError("--slurm-option is one of --slurm; give that too, or leave it out.")
    return prepare(
        read,
        jobs,
        writer,
        workers=options.workers,
        overwrite=options.overwrite,
        slurm=(options.slurm_option or []) if options.slurm else None,
        console=console,
    )


def exit_code(script: str, run: Callable[[Console], int]) -> int:
    """Run a preparation script: its own exit code, 2 if it could not start, 130 if the user stopped it."""
    console = Console(stderr=True)
    try:
        return run(console)
    except KeyboardInterrupt:
        console.print("Stopped. Run the same command again to continue.")
        return 130
    except (ValueError, OSError) as error:
        if DEBUG.get():
            traceback.print_exc()
        console.print(printable(f"{script}: {said(error)}"), markup=False, highlight=False, soft_wrap=True)
        return 2
