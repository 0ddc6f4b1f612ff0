"""SubmissionCheck: what was found in a zip for a test server, whatever kind of data it is of."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace, id_counts
from pointseg.formats.archive import BAD_ARCHIVE
from pointseg.formats.submission_problems import Problem

_FOREIGN_ARCHIVES = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x1f\x8b": "gzip"}


def existing_zip(path: Path | str) -> Path:
    """The path of a submission.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the zip of a submission.")
    return path


@dataclass(frozen=True)
class SubmissionCheck:
    """The outcome of checking an archive.

    Args:
        problems: mistakes, each with its fix; none means that the archive can be uploaded.
        label_space: the classes that may occur.
        num_expected: how many scenes or images it should hold, or None if that is not known.
        id_counts: id -> number of vertices or pixels, over every file that could be read.
        num_scenes: number of files that could be read.
        members: what it is of: scenes, images.
        unit: what these are made of: vertices, pixels.
        remarks: what else to know before an upload.
        held_against: what it was compared with, where that was not given, in a sentence.
    """

    problems: tuple[Problem, ...]
    label_space: LabelSpace
    num_expected: int | None
    id_counts: Mapping[int, int] = field(default_factory=dict)
    num_scenes: int = 0
    members: str = "scenes"
    unit: str = "vertices"
    remarks: tuple[str, ...] = ()
    held_against: str = ""

    @property
    def is_valid(self) -> bool:
        return not self.problems

    @property
    def kinds(self) -> set[str]:
        return {problem.kind for problem in self.problems}

    @property
    def num_vertices(self) -> int:
        return sum(self.id_counts.values())


def count_ids(files: Iterable[npt.NDArray[np.int64]]) -> dict[int, int]:
    """Id -> how often it occurs in all of the files, ascending."""
    counts: Counter[int] = Counter()
    for raw_id in files:
        values, numbers = id_counts(raw_id)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return dict(sorted(counts.items()))


def foreign_archive(path: Path) -> str | None:
    """What a file is that is no zip, if it is another kind of archive."""
    with path.open("rb") as handle:
        start = handle.read(8)
    kind = next((name for magic, name in _FOREIGN_ARCHIVES.items() if start.startswith(magic)), None)
    return f"{path.name} is a {kind} archive" if kind else None


def member_names(path: Path) -> list[str]:
    """Names of the files in an archive; none where it cannot be read as a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (*BAD_ARCHIVE, OSError):
        return []


def class_shares(id_counts: Mapping[int, int], label_space: LabelSpace) -> list[tuple[int, str, str, float]]:
    """(raw id, class, group, share of the vertices) of every class in use, largest first; unknown ids too."""
    classes = zip(label_space.raw_ids, label_space.names, label_space.groups, strict=True)
    names = {raw_id: (name, group) for raw_id, name, group in classes}
    total = max(sum(id_counts.values()), 1)
    rows = [(i, *names.get(i, ("NO CLASS", "")), count / total) for i, count in id_counts.items()]
    return sorted(rows, key=lambda row: (-row[3], row[0]))
