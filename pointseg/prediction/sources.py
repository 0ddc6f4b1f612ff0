"""Which files a command means: names, folders and patterns -> files, each with its output."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointseg.data.kind import Kind


@dataclass(frozen=True)
class Job:
    """A file to label.

    Args:
        source: the file.
        output: the file to write.
    """

    source: Path
    output: Path


def names_one_file(sources: Sequence[Path], output: Path) -> bool:
    """Whether a command labels one file into one file, and not some into a folder.

    One file goes into a folder that is there, unless that has the name of a file: then it is a slip.
    """
    if len(sources) != 1 or sources[0].is_dir() or _is_pattern(sources[0]):
        return False
    return not output.is_dir() or bool(output.suffix)


def find_jobs(sources: Sequence[Path], output: Path, kind: Kind) -> tuple[list[Job], int]:
    """The files to label, by name, and how many there were in folders that this kind does not read.

    Folders are looked through with all that is under them, hidden files and ``output`` left out, and the
    output has their folders too; so it has those of files that a pattern, or the shell, finds in several.

    Args:
        sources: files, folders and patterns with ``*``, ``?``, ``[...]`` or ``**``.
        output: the folder to write into.
        kind: what the run was trained on.

    Raises:
        FileNotFoundError: if a pattern or folder has no file to label.
        ValueError: if two files would have one output, or an output is one of the files.
    """
    named = [source for source in sources if not source.is_dir() and not _is_pattern(source)]
    common = Path(os.path.commonpath([file.parent.absolute() for file in named])) if named else Path()
    found = {file: file.absolute().relative_to(common) for file in named}
    others = 0
    for source in sources:
        if _is_pattern(source):
            base = _base_of(source)
            files = sorted(base.glob(str(source.relative_to(base))))
        elif source.is_dir():
            base = source
            files = sorted(source.rglob("*"))
        else:
            continue
        inside = [file for file in files if file.is_file() and _counts(file, base, output)]
        readable = [file for file in inside if file.suffix.lower() in kind.file_suffixes]
        others += len(inside) - len(readable)
        if not readable:
            raise FileNotFoundError(
                f"{source}: no file of {kind.kind} there; expected {', '.join(kind.file_suffixes)}."
            )
        found |= {file: file.relative_to(base) for file in readable}
    jobs = [
        Job(file, (output / name).with_suffix(_suffix(file, kind))) for file, name in sorted(found.items())
    ]
    _check_outputs(jobs)
    return jobs, others


def _is_pattern(source: Path) -> bool:
    # A file may have brackets in its name.
    return glob.has_magic(str(source)) and not source.exists()


def _base_of(pattern: Path) -> Path:
    """The folder before the first part of a pattern that stands for several."""
    plain: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    return Path(*plain)


def _counts(file: Path, base: Path, output: Path) -> bool:
    """Whether a file that was found is to be labelled: what is hidden is not, nor what was written."""
    if any(part.startswith(".") for part in file.relative_to(base).parts):
        return False
    place = output.resolve()
    # OUT may be the folder itself, which is refused by name later on.
    return place == base.resolve() or place not in file.resolve().parents


def _suffix(file: Path, kind: Kind) -> str:
    """That of the output: as the input spells it where the format stays."""
    usual = kind.labelled_suffixes(file)[0] if file.suffix.lower() in kind.file_suffixes else file.suffix
    return file.suffix if file.suffix.lower() == usual else usual


def _check_outputs(jobs: Sequence[Job]) -> None:
    inputs = {job.source.resolve() for job in jobs}
    first: dict[Path, Path] = {}
    for job in jobs:
        if job.output.resolve() in inputs:
            raise ValueError(
                f"{job.output}: this is a file to read, which would be lost; choose another folder for the "
                "output."
            )
        other = first.setdefault(job.output, job.source)
        if other != job.source:
            raise ValueError(
                f"{job.output}: both {other} and {job.source} would be written to it; rename one, or label "
                "them into two folders."
            )
