"""nuScenes-lidarseg, keyframes of a car's LiDAR in the 16 classes of its challenge -> store.

    pointseg prepare nuscenes nuscenes STORE [--every 10]

SRC holds samples/LIDAR_TOP/*.bin (x y z, intensity and ring, float32), lidarseg/v1.0-*/TOKEN_lidarseg.bin
(one byte a point: the number of a class in category.json) and the tables v1.0-*/*.json; nuScenes-lidarseg is
unpacked over nuScenes, and brings a category.json of its own. v1.0-trainval, or v1.0-mini where that is all,
gives train and val by the official scenes; v1.0-test the test split, without labels.

Of 32 classes 16 remain, as the challenge merges them; what it leaves out, noise and the car itself among it,
is unlabelled. A scene of the store is a keyframe, called by its sample_data token, since submissions are; its
notes say which scene of nuScenes it is of. Keyframes whose files are not there, since not all archives were
unpacked, are counted and left out. Sweeps have no colour.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.formats.clouds import estimate_normals
from pointseg.formats.nuscenes import challenge_ids, keyframes, read_table, split_of_scenes, versions_of
from pointseg.formats.semantickitti import read_numbers
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code

LABELS = "nuscenes"


@dataclass(frozen=True)
class KeyframeJob(Job):
    """A keyframe, with the scene of nuScenes that it is of and its file of labels."""

    scene: str
    labels: Path | None


def plan_jobs(source: Path, version: str, every: int) -> tuple[list[KeyframeJob], int]:
    """The keyframes of a version whose points are there, every Nth of each scene; and how many are not.

    Raises:
        ValueError: for tables that do not fit together, or a scene that is none of nuScenes.
    """
    splits = split_of_scenes(version)
    by_scene: dict[str, list[KeyframeJob]] = {}
    missing = 0
    for frame in keyframes(source, version):
        if frame.scene not in splits:
            raise ValueError(f"{source / version}: {frame.scene!r} is no scene of nuScenes.")
        if frame.points.is_file():
            job = KeyframeJob(frame.token, splits[frame.scene], frame.points, frame.scene, frame.labels)
            by_scene.setdefault(frame.scene, []).append(job)
        else:
            missing += 1
    return [job for jobs in by_scene.values() for job in jobs[::every]], missing


def read_keyframe(job: Job, *, ids: Mapping[int, int], with_normals: bool) -> Prepared:
    """Read a keyframe; runs in a worker.

    Args:
        job: a :class:`KeyframeJob`.
        ids: number of a class in files of labels -> raw id.
        with_normals: whether to compute normals.

    Raises:
        ValueError: for a file that was cut, labels that are missing or too many, and unknown classes.
    """
    assert isinstance(job, KeyframeJob)
    xyz = np.ascontiguousarray(read_numbers(job.source, "<f4", 5)[:, :3])
    label = None
    if job.split != "test":
        if job.labels is None or not job.labels.is_file():
            raise ValueError(
                f"{job.source}: no labels of {job.name}; unpack nuScenes-lidarseg over nuScenes."
            )
        numbers = read_numbers(job.labels, "u1", 1)[:, 0]
        if len(numbers) != len(xyz):
            raise ValueError(
                f"{job.labels}: {len(numbers):,} labels for {len(xyz):,} points of {job.source.name}."
            )
        table = np.full(256, -1, dtype=np.int32)
        table[list(ids)] = list(ids.values())
        label = table[numbers]
        if (label < 0).any():
            unknown = sorted(set(numbers[label < 0].tolist()))
            raise ValueError(f"{job.labels}: unknown classes {unknown[:10]}.")
    normal = estimate_normals(xyz) if with_normals else None
    return Prepared(Scene(job.name, xyz, normal=normal, raw_label=label), {"scene": job.scene})


def _prepare(options: Any, console: Console) -> int:
    space = load_label_space(LABELS)
    found = versions_of(options.source)
    # The scenes of mini are among those of trainval.
    versions = [v for v in found if v != "v1.0-mini" or "v1.0-trainval" not in found]
    jobs: list[KeyframeJob] = []
    ids: dict[int, int] = {}
    for version in versions:
        some, missing = plan_jobs(options.source, version, options.every)
        jobs += some
        if missing:
            console.print(
                f"{version}: the files of {missing:,} keyframes are not there; were all archives unpacked?",
                highlight=False,
            )
        if version != "v1.0-test":
            file = options.source / version / "category.json"
            raw = dict(zip(space.names, space.raw_ids, strict=True))
            ids = challenge_ids(read_table(options.source, version, "category"), raw, file)
    if not jobs:
        raise ValueError(
            f"{options.source}: expected samples/LIDAR_TOP/*.bin; none of its keyframes is there."
        )
    return prepare_known(
        options,
        console,
        labels=LABELS,
        settings={"normals": options.normals},
        jobs=jobs,
        read=functools.partial(read_keyframe, ids=ids, with_normals=options.normals),
    )


def main(arguments: Sequence[str] | None = None, *, prog: str = f"pointseg prepare {LABELS}") -> int:
    """The command: 0 done, 1 some keyframes failed, 2 it could not start, 130 stopped by the user."""
    made = parser(__doc__, prog, "folder of nuScenes, with samples/, lidarseg/ and v1.0-*/")
    made.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth keyframe of a scene (default: all)"
    )
    made.add_argument("--normals", action="store_true", help="compute normals (about a second a sweep)")
    options = made.parse_args(arguments)
    return exit_code(prog, functools.partial(_prepare, options))
