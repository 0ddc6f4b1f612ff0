"""Training, from a configuration to a RUN folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from pointseg.core.destination import check_destination_folder, naming
from pointseg.core.distributed import Processes, process_group
from pointseg.core.lock import sole_writer
from pointseg.core.memory import keep_freed_memory
from pointseg.evaluation.report import Report, print_report
from pointseg.experiment import Experiment
from pointseg.losses.base import LossTerm
from pointseg.runs.checkpoint import load_newest, save_checkpoint, save_last
from pointseg.runs.folder import RunFolder
from pointseg.runs.origin import Origin, content_of, differences, mixed_alignment
from pointseg.sparse.engines import check_engine
from pointseg.training.callback import Callback
from pointseg.training.deterministic import deterministic_sums, one_thread
from pointseg.training.initial import refuse_to_replace_converted, start_from
from pointseg.training.interrupt import StopRequest
from pointseg.training.job import TrainingJob, UnreadableBatchError, set_num_threads
from pointseg.training.monitor import Monitor
from pointseg.training.state import TrainingState
from pointseg.training.step import StepResult, train_step
from pointseg.training.validate import validate


@dataclass(frozen=True)
class TrainingResult:
    """How a call of :func:`train` ended.

    Args:
        step: steps done, over all calls.
        total_steps: steps of the whole training.
        best_miou: best validation mIoU over the classes present, or None.
        report: the latest validation of this call, or None.
        is_finished: whether all steps and the last validation are done.
    """

    step: int
    total_steps: int
    best_miou: float | None
    report: Report | None
    is_finished: bool

    def __repr__(self) -> str:
        best = "" if self.best_miou is None else f", best mIoU {100 * self.best_miou:.2f} %"
        return f"TrainingResult(step {self.step} of {self.total_steps}{best})"


def train(
    experiment: Experiment,
    out: Path | str,
    *,
    resume: bool | None = None,
    device: str = "auto",
    stop_after: int | None = None,
    console: Console | None = None,
    callbacks: Sequence[Callback] = (),
    losses: Mapping[str, LossTerm] | None = None,
) -> TrainingResult:
    """Train a network, or continue to; under torchrun with all its processes.

    On a CPU a run that was stopped and resumed gives bit for bit the weights of one that never stopped with
    as many threads, and with ``train.deterministic`` with any number; on a GPU that is meant to.

    Args:
        experiment: what to train.
        out: RUN folder.
        resume: True demands a checkpoint to continue from, False starts over, None continues where it can.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        stop_after: stop and save once this many steps are done, as Ctrl-C would.
        console: where to show progress; standard output if None.
        callbacks: told of every step and validation; what they return is logged.
        losses: your own losses by name. One takes the place of the experiment's loss of its name, whose
            weight it keeps (``main`` is the classification loss), or stands beside them with weight 1. The
            configuration of the run does not know them: to continue a run give them again.

    Raises:
        FileNotFoundError: if there is no store, or nothing to resume.
        ValueError: if ``out`` holds another run, one with other losses of one's own or converted weights,
            the data does not fit, or too many batches were not finite.
    """
    console = console or Console()
    check_destination_folder(out)
    with (
        _torch_as_it_was(),
        deterministic_sums(experiment.train.deterministic),
        process_group(device) as processes,
        StopRequest() as stop,
        sole_writer(out, "run") if processes.is_main else nullcontext(),
        _naming_lost_workers(),
    ):
        return _train(
            experiment, RunFolder(out), processes, stop, resume, stop_after, console, callbacks, losses or {}
        )


@contextmanager
def _naming_lost_workers() -> Iterator[None]:
    """A loader worker that was killed, in words. Torch tells of it by a signal, in the middle of whatever is
    being done, so that nothing of the present step can be saved.

    Raises:
        ValueError: if one was.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ValueError(
            f"A process that reads scenes has ended ({error}); perhaps the memory ran out. The same command "
            "continues from the last checkpoint; fewer train.workers need less memory."
        ) from None


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Torch's random numbers and threads afterwards as before: in a notebook, others use them too."""
    num_threads = torch.get_num_threads()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.set_num_threads(num_threads)


def _train(
    experiment: Experiment,
    folder: RunFolder,
    processes: Processes,
    stop: StopRequest,
    resume: bool | None,
    stop_after: int | None,
    console: Console,
    callbacks: Sequence[Callback],
    losses: Mapping[str, LossTerm],
) -> TrainingResult:
    """:func:`train` within its processes; all that uses their connections ends with this frame."""
    set_num_threads(experiment.train.num_threads)
    promise = one_thread(processes.device) if experiment.train.deterministic else ""
    if processes.device.type == "cpu":
        keep_freed_memory()
    check_engine(experiment.engine, processes.device)
    continues = folder.may_continue(experiment, resume)
    if resume is None:
        refuse_to_replace_converted(folder)
    job = TrainingJob.prepare(experiment, processes, losses)
    state, notice = job.fresh_state(continues=continues)
    notices = [*job.notices, notice, promise, mixed_alignment(job.store, (*job.train_names, *job.val_names))]
    if continues:
        notices += resume_state(state, folder, job)
    elif experiment.train.init_from is not None:
        notices += start_from(state, experiment.train.init_from, job.store.label_space, experiment)
    processes.wait()
    if processes.is_main:
        if not continues:
            folder.clear()
        folder.describe(experiment, job.store.label_space, processes.device, state.step)
        folder.write_class_statistics(job.class_statistics)
        if not folder.data.is_file():
            folder.write_origin(Origin.of(job.store, job.train_names))
    with Monitor(folder, state, job, console, callbacks) as monitor:
        for line in notices:
            monitor.say(line)
        monitor.say(job.headline(state.step))
        monitor.say(job.local_losses(state))
        report = _train_to_the_end(job, state, folder, monitor, stop, stop_after)
    if processes.is_main:
        _say_how_it_ended(state, job, folder, report, console)
    return TrainingResult(
        step=state.step,
        total_steps=job.total_steps,
        best_miou=state.best_miou if state.best_miou >= 0 else None,
        report=report,
        is_finished=job.is_finished(state),
    )


def _train_to_the_end(
    job: TrainingJob,
    state: TrainingState,
    folder: RunFolder,
    monitor: Monitor,
    stop: StopRequest,
    stop_after: int | None,
) -> Report | None:
    """Steps and validations, until the last step or a request to stop; the latest report."""
    processes = job.processes
    report: Report | None = None
    steps = job.steps(state.step, state.learner.segmenter.prepared)
    unread: list[tuple[StepResult, float]] = []
    while True:
        if job.reading_is_due(state):
            _read(unread, job, state, monitor)
        if job.validation_is_due(state):
            # Whatever becomes of the validation, the steps are not lost.
            _read(unread, job, state, monitor)
            _save_last(job, state, folder)
            report = _validate(job, state, folder, monitor, stop) or report
        stopped = processes.any(stop.requested or state.step == stop_after)[0]
        if stopped or state.step >= job.total_steps:
            break
        began = time.perf_counter()
        try:
            result = train_step(state, next(steps), job.experiment, job.total_steps, processes)
        except UnreadableBatchError:
            _read(unread, job, state, monitor)
            if state.step:
                _save_last(job, state, folder)
            raise
        except ValueError as error:
            raise _explained(error, job.experiment) from None
        unread.append((result, began))
        if state.step % job.experiment.train.checkpoint_every == 0:
            _read(unread, job, state, monitor)
            _save_last(job, state, folder)
    _read(unread, job, state, monitor)
    _save_last(job, state, folder)
    return report


def _read(
    unread: list[tuple[StepResult, float]], job: TrainingJob, state: TrainingState, monitor: Monitor
) -> None:
    """Report the steps whose numbers were left on the device until now; the list is empty afterwards.

    Raises:
        ValueError: if too many of them were skipped.
    """
    reports = [(result.step, result.read(job.processes)) for result, _ in unread]
    # Until the numbers are there a step on a GPU is not over.
    seconds = (time.perf_counter() - unread[0][1]) / len(unread) if unread else 0.0
    unread.clear()
    for step, step_report in reports:
        state.skipped += bool(step_report.skipped)
        monitor.step(step, step_report, seconds=seconds)
        if state.skipped > job.experiment.train.max_bad_batches:
            raise ValueError(
                f"{state.skipped} steps gave a loss or gradient that is not finite, more than "
                f"train.max_bad_batches = {job.experiment.train.max_bad_batches}; the latest scenes were "
                f"{', '.join(step_report.skipped)}. Check them with `pointseg prepare check`, lower "
                "optimizer.lr, or set train.clip_norm."
            )


def _validate(
    job: TrainingJob, state: TrainingState, folder: RunFolder, monitor: Monitor, stop: StopRequest
) -> Report | None:
    """Validate the present weights and keep them if they are the best; None if stopped on the way."""
    # What is validated is what is saved: the main process's weights and running statistics.
    job.processes.share_buffers(state.network)
    validation = validate(
        state.network,
        job.pipeline,
        job.store,
        job.val_names,
        job.experiment.evaluate,
        job.processes,
        derived=job.experiment.evaluated_labels(job.store.label_space),
        should_stop=lambda: stop.requested,
        on_scene=monitor.validating,
        on_prediction=lambda scene, prediction: monitor.predicted(state.step, scene, prediction),
    )
    if validation is None:
        return None
    report = validation.report
    state.validated = state.step
    miou = report.miou["present"]
    is_best = miou is not None and miou > state.best_miou
    if miou is not None and is_best:
        state.best_miou = miou
        if job.processes.is_main:
            save_checkpoint(folder.best, state.best_to_dict())
    monitor.validated(state.step, validation, is_best=is_best)
    return report


def _save_last(job: TrainingJob, state: TrainingState, folder: RunFolder) -> None:
    if job.processes.is_main:
        more = {
            "data": job.fingerprint,
            "batches_per_step": job.batches_per_step,
            "own_losses": _own_losses(job),
        }
        with naming(folder.last):
            save_last(folder, {**state.to_dict(), **more}, keep=job.experiment.train.keep_checkpoints)


def _explained(error: ValueError, experiment: Experiment) -> ValueError:
    """An error of a step in the words of the configuration, where torch knows only tensors."""
    if "more than 1 value per channel" not in str(error):
        return error
    return ValueError(
        f"A batch norm got a single value for each channel ({error}): the deepest level of the network is "
        f"left with one place of the whole batch. Give a larger train.batch_size, "
        f"{experiment.data.more_rows}, or fewer model.widths."
    )


def resume_state(state: TrainingState, folder: RunFolder, job: TrainingJob) -> list[str]:
    """Continue from the newest checkpoint that is whole; what to tell the user.

    Raises:
        ValueError: if the training data is not that of the checkpoint, or epochs would be of another length.
    """
    saved, notices = load_newest(folder, job.processes.device)
    if saved["data"] != job.fingerprint:
        raise ValueError(
            f"{job.store.path}: its training scenes or classes are not those of {folder.path}, so the run "
            "cannot continue. Give the same store, another folder, or --no-resume."
        )
    losses = saved.get("own_losses", {})
    if losses != _own_losses(job):
        raise ValueError(
            f"{folder.path}: it was trained with own losses {losses or 'none'}, and now there are "
            f"{_own_losses(job) or 'none'}. Give train(..., losses=...) the same, another folder, or "
            "resume=False."
        )
    origin = folder.read_origin()
    if origin is not None and origin.content != content_of(job.store, job.train_names):
        how = ", ".join(differences(origin.options, getattr(job.store, "options", {})))
        raise ValueError(
            f"{job.store.path}: its training scenes have the names and sizes of those that {folder.path} was "
            f"begun with, but not their content{f' ({how})' if how else ''}, so the run cannot continue. "
            "Give the same store, another folder, or --no-resume."
        )
    before, now = int(saved.get("batches_per_step", job.batches_per_step)), job.batches_per_step
    state.load_dict(saved)
    if before == now:
        return notices
    beware = f"steps were of {before} batches over all processes and are now of {now}"
    world = job.processes.world
    remedy = f"train.accumulate={before // world} keeps them" if before % world == 0 else ""
    if job.experiment.train.epochs is not None:
        raise ValueError(
            f"{folder.path}: {beware}, so that those that are left would not be its "
            f"{job.experiment.train.epochs:g} epochs. Continue with as many processes as before"
            f"{f' ({remedy})' if remedy else ''}, or in a new folder with train.steps and train.init_from."
        )
    if folder.read_experiment().train.accumulate != job.experiment.train.accumulate:
        raise ValueError(
            f"{folder.path}: {beware}. Another train.accumulate is for another number of processes, so that "
            f"the product stays{f': here {remedy}' if remedy else ''}; or choose another folder."
        )
    return [*notices, f"beware: {beware}{f'; {remedy}' if remedy else ''}"]


def _own_losses(job: TrainingJob) -> dict[str, str]:
    """Name -> class of the losses of the user's code."""
    return {name: type(loss).__name__ for name, loss in job.own_losses.items()}


def _say_how_it_ended(
    state: TrainingState, job: TrainingJob, folder: RunFolder, report: Report | None, console: Console
) -> None:
    if not job.is_finished(state):
        console.print(
            f"Stopped at step {state.step} of {job.total_steps}; the same command continues.", soft_wrap=True
        )
        return
    if report is not None:
        title = f"Validation after {state.step} steps: mean IoU"
        print_report(report, console, title=title, unit=job.store.unit)
    best = f", best validation mIoU {100 * state.best_miou:.2f} %" if state.best_miou >= 0 else ""
    console.print(f"Trained {state.step} steps{best}. Everything is in {folder.path}.", soft_wrap=True)
