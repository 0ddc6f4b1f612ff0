"""SemanticKITTI, sweeps of a car's LiDAR in 19 classes -> store.

    pointseg prepare semantickitti dataset STORE [--every 10]

SRC holds sequences/00 to 21, each with velodyne/*.bin (x y z and remission, float32) and, up to 10,
labels/*.label (uint32: class in the lower half, object in the upper). Moving classes are merged into the
still ones, and what the benchmark does not score is unlabelled, as the benchmark's own mapping has it.
Sequence 08 is for validation, 11 to 21 are the test split. Sweeps have no colour; a sweep is a scene.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.formats.clouds import estimate_normals
from pointseg.formats.semantickitti import CLASS_BITS, LEFT_OUT, MERGED, find_sweeps, read_numbers, split_of
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code

LABELS = "semantickitti"
_UNLABELLED = 0


def plan_jobs(source: Path, every: int) -> list[Job]:
    """The sweeps of the sequences that are there.

    Raises:
        ValueError: if there is none.
    """
    by_sequence: dict[str, list[Job]] = {}
    for name, sweep in find_sweeps(source).items():
        sequence = sweep.parents[1].name
        by_sequence.setdefault(sequence, []).append(Job(name, split_of(sequence), sweep))
    return [job for jobs in by_sequence.values() for job in jobs[::every]]


def read_sweep(job: Job, *, with_normals: bool) -> Prepared:
    """Read a sweep; runs in a worker.

    Raises:
        ValueError: for a file that was cut, labels that are missing or too many, and unknown classes.
    """
    points = read_numbers(job.source, "<f4", 4)
    xyz = np.ascontiguousarray(points[:, :3])
    label = instance = None
    if job.split != "test":
        file = job.source.parents[1] / "labels" / f"{job.source.stem}.label"
        if not file.is_file():
            raise ValueError(f"{file}: no such file; sequences up to 10 have labels.")
        both = read_numbers(file, "<u4", 1)[:, 0]
        if len(both) != len(xyz):
            raise ValueError(f"{file}: {len(both):,} labels for {len(xyz):,} points of {job.source.name}.")
        label, instance = _scored(both & CLASS_BITS, file), (both >> 16).astype(np.int32)
    normal = estimate_normals(xyz) if with_normals else None
    return Prepared(Scene(job.name, xyz, normal=normal, raw_label=label, instance=instance))


def _scored(raw: np.ndarray, file: Path) -> np.ndarray:
    """Raw classes -> those of the benchmark."""
    known = load_label_space(LABELS).raw_ids
    table = np.full(1 << 16, -1, dtype=np.int32)
    table[list(LEFT_OUT)] = _UNLABELLED
    table[list(known)] = known
    table[list(MERGED)] = list(MERGED.values())
    found = table[raw]
    if (found < 0).any():
        raise ValueError(f"{file}: unknown classes {sorted(set(raw[found < 0].tolist()))[:10]}.")
    return found


def main(arguments: Sequence[str] | None = None, *, prog: str = "pointseg prepare semantickitti") -> int:
    """The command: 0 done, 1 some sweeps failed, 2 it could not start, 130 stopped by the user."""
    made = parser(__doc__, prog, "folder dataset of the release, with sequences/")
    made.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth sweep (default: all)")
    made.add_argument("--normals", action="store_true", help="compute normals (about a second a sweep)")
    options = made.parse_args(arguments)
    return exit_code(
        prog,
        lambda console: prepare_known(
            options,
            console,
            labels=LABELS,
            settings={"normals": options.normals},
            jobs=plan_jobs(options.source, options.every),
            read=functools.partial(read_sweep, with_normals=options.normals),
        ),
    )
