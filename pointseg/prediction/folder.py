"""`pointseg predict` for many files: what is done already is left, and a broken file stops no other."""

from __future__ import annotations

import functools
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.markup import escape

from pointseg.core.cluster import Cluster
from pointseg.core.destination import check_destination_folder
from pointseg.core.durable import write_json
from pointseg.core.extras import parse_extras
from pointseg.core.lock import sole_writer
from pointseg.core.memory import keep_freed_memory
from pointseg.data.kind import DataFile
from pointseg.formats.text import read_json
from pointseg.models.precision import Amp
from pointseg.prediction.file import Found, class_table, label, warn
from pointseg.prediction.options import MAX_TILE_POINTS, LabelOptions
from pointseg.prediction.sources import Job, find_jobs
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.runs.door import open_run

#: Says what the files of an output folder were made with.
RECORD = "predict.json"
#: Folder in an output folder with the files of the jobs of a cluster, while there are any.
JOB_FILES = ".slurm"


@dataclass(frozen=True)
class FolderResult:
    """What became of the files.

    Args:
        done: labelled now.
        skipped: outputs that were there already.
        failed: file and reason of each that could not be labelled.
    """

    done: tuple[Path, ...]
    skipped: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]


def predict_folder(
    run: Path,
    sources: Sequence[Path],
    output: Path,
    *,
    views: int = 1,
    max_points: int = MAX_TILE_POINTS,
    keep_colors: bool | None = None,
    save: str | Iterable[str] | None = None,
    min_confidence: float | None = None,
    overwrite: bool = False,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    engine: str | None = None,
    amp: Amp | None = None,
    unit: str | None = None,
    slurm: Sequence[str] | None = None,
    console: Console | None = None,
) -> FolderResult:
    """Label files into a folder, each in its own format where that can be written.

    An output that is there, is no older than its file and was made with the same weights and options is left
    as it is. Interrupted, the same call goes on with what is missing.

    Args:
        run: RUN folder or name of a model, see :mod:`pointseg.runs.door`.
        sources: files, folders and patterns, see :func:`pointseg.prediction.sources.find_jobs`.
        output: the folder to write into; made where it is missing.
        views, max_points, save, min_confidence, unit: see
            :class:`pointseg.prediction.options.LabelOptions`.
        keep_colors: False paints PLY files in the colours of the classes; None and True leave theirs.
        overwrite: label everything anew.
        checkpoint, device, engine, amp: see :func:`pointseg.runs.checkpoint.load_run`.
        slurm: options of an array of jobs that does the work, see
            :class:`pointseg.core.cluster.Cluster`; None works on this machine.
        console: for progress, doubts, the classes that were found, and the files that failed.

    Raises:
        FileNotFoundError: if there is no such run, or nothing to label.
        ValueError: if outputs would meet each other or the files, or the folder holds what was made with
            other options.
        OSError: if an output cannot be written: what stops one stops them all.
    """
    console = Console(quiet=True) if console is None else console
    options = LabelOptions(views, max_points, keep_colors, parse_extras(save), min_confidence, unit)
    check_destination_folder(output)
    folder = open_run(run)
    kind = folder.read_experiment().data
    options.check(kind)
    if keep_colors is None:
        options = replace(options, keep_colors=kind.keeps_more)
    jobs, others = find_jobs(sources, output, kind)
    if others:
        console.print(f"{others} files there are none of {kind.kind}, and are left out", highlight=False)
    with sole_writer(output, "an output folder of predictions"):
        _keep_record(output, jobs, _settings(folder.weights(checkpoint), options, amp), overwrite=overwrite)
        skipped = [job for job in jobs if _is_done(job, output / RECORD)]
        left = [job for job in jobs if job not in skipped]
        if skipped:
            console.print(f"{len(skipped)} of {len(jobs)} are done already", highlight=False)
        load = functools.partial(load_run, run, checkpoint=checkpoint, device=device, engine=engine, amp=amp)
        numbered = [(f"[{number}/{len(left)}]", job) for number, job in enumerate(left, 1)]
        space = folder.read_label_space()
        if not left:
            part = Part(Found.of(space))
        elif slurm is None:
            part = _label_all(load(), numbered, options, console)
        else:
            cluster = Cluster(output / JOB_FILES, slurm)
            part = _label_by_jobs(cluster, Part(Found.of(space)), load, numbered, options, console)
            if not part.lost:
                shutil.rmtree(output / JOB_FILES, ignore_errors=True)
    if part.done:
        console.print(class_table(space, part.found, part.unit))
    _print_failed(console, part.failed, len(jobs))
    return FolderResult(tuple(part.done), tuple(job.output for job in skipped), tuple(part.failed))


@dataclass
class Part:
    """What became of some of the files.

    Args:
        found: the classes in those that were labelled.
        done: their outputs.
        failed: file and reason of the others.
        unit: what the rows of a file are called.
        said: what was printed meanwhile, where that was on another machine.
        lost: whether a job of a cluster ended early.
    """

    found: Found
    done: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    unit: str = ""
    said: str = ""
    lost: bool = False


#: Files with their places in the whole, such as ``[3/12]``.
Numbered = Sequence[tuple[str, Job]]


def _label_by_jobs(
    cluster: Cluster,
    whole: Part,
    load: Callable[[], TrainedRun],
    jobs: Numbered,
    options: LabelOptions,
    console: Console,
) -> Part:
    """Label all files by an array of jobs, each of which loads the run once; ``whole`` with what they say."""
    work = functools.partial(_label_in_job, load=load, options=options)
    for files, ended in cluster.results(work, jobs):
        if ended.problem:
            whole.lost = True
            whole.failed += [(job.source, ended.problem) for _, job in files]
            continue
        part: Part = ended.result
        console.print(part.said, end="", markup=False, highlight=False, soft_wrap=True)
        whole.found, whole.unit = whole.found + part.found, part.unit or whole.unit
        whole.done += part.done
        whole.failed += part.failed
    return whole


def _label_in_job(jobs: Numbered, *, load: Callable[[], TrainedRun], options: LabelOptions) -> Part:
    said = io.StringIO()
    part = _label_all(load(), jobs, options, Console(file=said, width=200))
    part.said = said.getvalue()
    return part


def _label_all(trained: TrainedRun, jobs: Numbered, options: LabelOptions, console: Console) -> Part:
    """Label files one after the other."""
    if trained.device.type == "cpu":
        keep_freed_memory()
    part = Part(Found.of(trained.label_space))
    for number, job in jobs:
        place = f"{number} {job.source}"
        try:
            file = _read(trained, job.source, options)
            warn(console, job.source, (*file.remarks, *trained.doubts_about_file(file)))
            job.output.parent.mkdir(parents=True, exist_ok=True)
            prediction = label(trained, file, job.output, options, keep_colors=bool(options.keep_colors))
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            part.failed.append((job.source, reason))
            console.print(f"{place}: failed", markup=False, highlight=False, style="red", soft_wrap=True)
            continue
        part.done.append(job.output)
        part.found, part.unit = part.found + Found.of(trained.label_space, prediction), file.unit
        rows = f"{len(prediction.train_index):,} {part.unit}"
        console.print(f"{place}: {rows} -> {job.output}", markup=False, highlight=False, soft_wrap=True)
    return part


def _read(trained: TrainedRun, source: Path, options: LabelOptions) -> DataFile:
    """What is in a file; ValueError also where the system cannot read it, which stops no other file."""
    kind = trained.experiment.data
    try:
        kind.check_file_name(source)
        return kind.read_file(source, unit=options.unit)
    except OSError as error:
        raise ValueError(f"{source}: {error.strerror}." if error.strerror else str(error)) from None


def _reason(error: Exception) -> str | None:
    """Why a file cannot be labelled; None for what meets every file (a full disk), and faults of ours."""
    # torch's error of a full GPU is no MemoryError.
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory; lower --max-points, or choose --device cpu"
    return str(error) if isinstance(error, ValueError) else None


def _print_failed(console: Console, failed: Sequence[tuple[Path, str]], count: int) -> None:
    if not failed:
        return
    console.print(f"{len(failed)} of {count} could not be labelled:", style="red", highlight=False)
    for source, reason in failed:
        text = reason if str(source) in reason else f"{source}: {reason}"
        console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)


def _settings(weights: Path, options: LabelOptions, amp: Amp | None) -> dict[str, Any]:
    """All that decides what an output holds."""
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such checkpoint.")
    with weights.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {
        "weights_sha256": digest,
        "views": options.views,
        "max_points": options.max_points,
        "keep_colors": options.keep_colors,
        "save": sorted(options.save),
        "min_confidence": options.min_confidence,
        "unit": options.unit,
        "amp": amp,
    }


def _keep_record(output: Path, jobs: Sequence[Job], settings: dict[str, Any], *, overwrite: bool) -> None:
    """Compare with what the folder was begun with, and write it down.

    Raises:
        ValueError: if what is there was made otherwise, or by another program.
    """
    record = output / RECORD
    there = next((job.output for job in jobs if job.output.exists()), None)
    if not overwrite and there is not None:
        way_out = "choose another folder, or label everything anew with --overwrite."
        if not record.is_file():
            raise ValueError(
                f"{there}: is there already, and nothing ({RECORD}) says what made it; {way_out}"
            )
        known = read_json(record)
        known = known if isinstance(known, dict) else {}
        if changes := [name for name in settings if known.get(name) != settings[name]]:
            shown = ", ".join(
                "other weights"
                if name == "weights_sha256"
                else f"{name} {known.get(name)}, now {settings[name]}"
                for name in changes
            )
            raise ValueError(f"{output}: holds predictions made with {shown}; {way_out}")
    if overwrite or not record.is_file() or read_json(record) != settings:
        write_json(record, settings)


def _is_done(job: Job, record: Path) -> bool:
    """Whether the output was written after its file, and after the settings that hold now."""
    try:
        since = max(job.source.stat().st_mtime_ns, record.stat().st_mtime_ns)
        return job.output.stat().st_mtime_ns >= since
    except OSError:
        return False
