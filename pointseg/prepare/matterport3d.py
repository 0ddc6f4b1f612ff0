"""Matterport3D, regions of houses in 160 classes -> store.

    pointseg prepare matterport3d scans STORE [--classes 160] [--mapping category_mapping.tsv]

SRC holds <house>/region_segmentations/region<N>.ply, the meshes of the release's region_segmentations.zip.
The classes are the first 160 names of column nyuClass in category_mapping.tsv, less void and unknown, as
OpenScene has them (it also has 40 and 80); the table lies in SRC, beside it, in metadata beside it, or is
given. Its spelling is kept (refridgerator).

Categories are of faces. A vertex has that of most of its faces, faces without a class counted; of equally
many, no class first, then the more frequent class. All three splits are labelled, by the release's lists of
houses. There is no server for these classes; objects are not kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pointseg.core.scene import Scene
from pointseg.formats.matterport import (
    CategoryTable,
    find_regions,
    majority,
    read_categories,
    read_region,
    split_of_houses,
)
from pointseg.formats.ply import unit_rows, vertex_normals
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code
from pointseg.scans.store_layout import sha256_of

TABLE = "category_mapping.tsv"


def plan_jobs(source: Path) -> list[Job]:
    """The regions that are there.

    Raises:
        ValueError: if there is none, or a house is none of the release.
    """
    splits = split_of_houses()
    regions = find_regions(source)
    strangers = sorted({house for house, _ in regions if house not in splits})
    if strangers:
        raise ValueError(
            f"{source}: {strangers[0]!r} is no house of Matterport3D ({len(strangers)} such names)."
        )
    return [
        Job(f"{house}_region{number}", splits[house], path)
        for (house, number), path in sorted(regions.items())
    ]


def find_table(source: Path, given: Path | None) -> Path:
    """The table that is given, or the first of its usual places."""
    if given is not None:
        return given
    places = (source / TABLE, source.parent / TABLE, source.parent / "metadata" / TABLE)
    return next((place for place in places if place.is_file()), places[0])


def read_job(job: Job, *, table: CategoryTable) -> Prepared:
    """Read a region; runs in a worker.

    Raises:
        ValueError: for a mesh without categories, or with ones that the table does not have.
    """
    region = read_region(job.source)
    mesh, faces = region.mesh, region.mesh.faces
    assert faces is not None
    if region.category.max(initial=0) > table.last:
        raise ValueError(
            f"{job.source}: category {region.category.max()}, but the table ends at {table.last}; "
            "it is another one."
        )
    label = majority(faces, table.lookup()[region.category], mesh.num_vertices).astype(np.int32)
    if mesh.normal is None:
        normal = vertex_normals(mesh.xyz, faces)
    else:
        normal = unit_rows(np.nan_to_num(mesh.normal.astype(np.float64))).astype(np.float32)
    return Prepared(Scene(job.name, mesh.xyz, mesh.rgb, normal, label))


def _prepare(options: Any, console: Console) -> int:
    jobs = plan_jobs(options.source)
    file = find_table(options.source, options.mapping)
    table = read_categories(file, options.classes)
    return prepare_known(
        options,
        console,
        labels=table.label_space,
        settings={"category_table_sha256": sha256_of(file)},
        jobs=jobs,
        read=functools.partial(read_job, table=table),
    )


def main(arguments: Sequence[str] | None = None, *, prog: str = "pointseg prepare matterport3d") -> int:
    """The command: 0 done, 1 some regions failed, 2 it could not start, 130 stopped by the user."""
    made = parser(__doc__, prog, "folder of the houses")
    made.add_argument(
        "--classes", type=int, default=160, metavar="K", help="number of classes (default: 160)"
    )
    made.add_argument("--mapping", type=Path, metavar="TSV", help=f"table of categories (default: {TABLE})")
    options = made.parse_args(arguments)
    return exit_code(prog, functools.partial(_prepare, options))
