"""Stanford3dDataset (S3DIS), rooms of six areas in 13 classes -> store.

    pointseg prepare s3dis Stanford3dDataset_v1.2_Aligned_Version STORE [--val-area 5]

SRC holds Area_1 to Area_6, each with rooms, each with a folder Annotations of one text file an object, named
by its class: `x y z r g b` a line. Objects of other names (stairs) are clutter, as everybody takes them. One
byte of the release is broken (Area_5/hallway_6, an object of the ceiling: a control character in the place of
a space) and is read as the space it stands for. One area is for validation, by custom the fifth.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.formats.clouds import estimate_normals
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code

LABELS = "s3dis"
AREAS = range(1, 7)
_OTHER = "clutter"
#: What is neither a number nor white space becomes a space.
_CLEAN = bytes(c if chr(c) in "0123456789+-.eE \t\r\n" else 32 for c in range(256))


def plan_jobs(source: Path, val_area: int) -> list[Job]:
    """The rooms of the areas that are there.

    Raises:
        ValueError: if there is no area, or not the one for validation.
    """
    areas = {number: source / f"Area_{number}" for number in AREAS if (source / f"Area_{number}").is_dir()}
    if val_area not in areas:
        raise ValueError(
            f"{source}: expected the folders Area_1 to Area_6, Area_{val_area} for validation among them; "
            f"found {', '.join(path.name for path in areas.values()) or 'none'}. The aligned version 1.2 has "
            "them."
        )
    return [
        Job(f"{area.name}_{room.parent.name}", "val" if number == val_area else "train", room.parent)
        for number, area in areas.items()
        for room in sorted(area.glob("*/Annotations"))
    ]


def read_room(job: Job, *, with_normals: bool) -> Prepared:
    """Read a room; runs in a worker.

    Raises:
        ValueError: for a room without objects, and lines that are not six numbers.
    """
    space = load_label_space(LABELS)
    ids = dict(zip(space.names, space.raw_ids, strict=True))
    files = sorted((job.source / "Annotations").glob("[!.]*.txt"))
    if not files:
        raise ValueError(f"{job.source / 'Annotations'}: no object here; expected files such as wall_1.txt.")
    objects = [_read_object(file) for file in files]
    sizes = [len(points) for points in objects]
    points = np.concatenate(objects)
    label = [ids.get(file.stem.rpartition("_")[0], ids[_OTHER]) for file in files]
    xyz = points[:, :3].astype(np.float32)
    scene = Scene(
        job.name,
        xyz,
        rgb=points[:, 3:].astype(np.uint8),
        normal=estimate_normals(xyz) if with_normals else None,
        raw_label=np.repeat(np.array(label, dtype=np.int32), sizes),
        instance=np.repeat(np.arange(1, len(files) + 1, dtype=np.int32), sizes),
    )
    return Prepared(scene, {"objects": len(files)})


def _read_object(file: Path) -> npt.NDArray[Any]:
    """(P, 6) positions in metres and colours."""
    try:
        points = np.loadtxt(io.BytesIO(file.read_bytes().translate(_CLEAN)), ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file}: expected lines of x y z r g b; {error}.") from None
    if points.shape[1] != 6 or not ((points[:, 3:] >= 0) & (points[:, 3:] <= 255)).all():
        raise ValueError(
            f"{file}: expected lines of x y z and r g b in 0..255; got {points.shape[1]} columns."
        )
    return points


def main(arguments: Sequence[str] | None = None, *, prog: str = "pointseg prepare s3dis") -> int:
    """The command: 0 done, 1 some rooms failed, 2 it could not start, 130 stopped by the user."""
    made = parser(__doc__, prog, "Stanford3dDataset_v1.2_Aligned_Version")
    made.add_argument(
        "--val-area", type=int, choices=AREAS, default=5, help="area for validation (default: 5)"
    )
    made.add_argument(
        "--no-normals", action="store_true", help="compute none (10 s a million points and core)"
    )
    options = made.parse_args(arguments)
    normals = not options.no_normals
    return exit_code(
        prog,
        lambda console: prepare_known(
            options,
            console,
            labels=LABELS,
            settings={"normals": normals},
            jobs=plan_jobs(options.source, options.val_area),
            read=functools.partial(read_room, with_normals=normals),
        ),
    )
