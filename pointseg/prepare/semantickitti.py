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
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code

LABELS = "semantickitti"
VAL, TEST = ("08",), tuple(f"{number:02d}" for number in range(11, 22))
#: Raw class -> the class that it counts as: buses and trains are other vehicles, moving ones as still ones.
MERGED = {
    13: 20, 16: 20, 60: 40, 252: 10, 253: 31, 254: 30, 255: 32, 256: 20, 257: 20, 258: 18, 259: 20,
}  # fmt: skip
#: Raw classes that the benchmark leaves out: unlabelled, outlier, other structure, other object.
LEFT_OUT = (0, 1, 52, 99)
_UNLABELLED = 0


def plan_jobs(source: Path, every: int) -> list[Job]:
    """The sweeps of the sequences that are there.

    Raises:
        ValueError: if there is none.
    """
    sequences = sorted(path for path in (source / "sequences").glob("[0-9][0-9]") if path.is_dir())
    jobs = [
        Job(f"{path.name}_{sweep.stem}", _split(path.name), sweep)
        for path in sequences
        for sweep in sorted((path / "velodyne").glob("*.bin"))[::every]
    ]
    if not jobs:
        raise ValueError(f"{source}: expected sequences/00/velodyne/000000.bin and so on; found none.")
    return jobs


def _split(sequence: str) -> str:
    return "val" if sequence in VAL else "test" if sequence in TEST else "train"


def read_sweep(job: Job, *, with_normals: bool) -> Prepared:
    """Read a sweep; runs in a worker.

    Raises:
        ValueError: for a file that was cut, labels that are missing or too many, and unknown classes.
    """
    points = _numbers(job.source, "<f4", 4)
    xyz = np.ascontiguousarray(points[:, :3])
    label = instance = None
    if job.split != "test":
        file = job.source.parents[1] / "labels" / f"{job.source.stem}.label"
        if not file.is_file():
            raise ValueError(f"{file}: no such file; sequences up to 10 have labels.")
        both = _numbers(file, "<u4", 1)[:, 0]
        if len(both) != len(xyz):
            raise ValueError(f"{file}: {len(both):,} labels for {len(xyz):,} points of {job.source.name}.")
        label, instance = _scored(both & 0xFFFF, file), (both >> 16).astype(np.int32)
    normal = estimate_normals(xyz) if with_normals else None
    return Prepared(Scene(job.name, xyz, normal=normal, raw_label=label, instance=instance))


def _numbers(file: Path, kind: str, columns: int) -> np.ndarray:
    data = file.read_bytes()
    size = np.dtype(kind).itemsize * columns
    if len(data) % size:
        raise ValueError(f"{file}: {len(data):,} bytes are no whole number of points of {size}; was it cut?")
    return np.frombuffer(data, dtype=kind).reshape(-1, columns)


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
