"""ScanNet++ v2, rooms in the 100 classes of its benchmark, up to three labels a vertex -> store.

    pointseg prepare scannetpp scannetpp STORE [--sample 1]

SRC holds data/<scene>/scans (mesh_aligned_0.05.ply, its mask, segments.json, segments_anno.json),
metadata/semantic_benchmark (top100.txt, map_benchmark.csv) and splits (nvs_sem_train.txt, nvs_sem_val.txt,
sem_test.txt). Listed scenes that are not there are counted and left out.

Labels. A vertex of several objects has several labels, at most three. Training is on one: that of the
smallest object, as in the release's toolkit. All are kept in the store, and `pointseg evaluate` reports the
benchmark's Top-1 and Top-3 IoU, which look at all. Vertices of the mask, which the benchmark does not score,
have no label here, in training too.

Points. The mesh was simplified, so that its vertices leave large holes in flat parts; the toolkit says to
draw points on its surface. A scene is all vertices in file order, then drawn points, --sample for each
vertex. In training they have the labels of the nearest corner of their triangle (the toolkit: of the nearest
vertex); elsewhere they have none, and only vertices are scored and submitted. `pointseg predict` of a mesh
sees its vertices alone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pointseg.core.scene import Scene
from pointseg.formats.mesh_points import sample_surface
from pointseg.formats.ply import read_ply, unit_rows, vertex_normals
from pointseg.formats.scannetpp import (
    MASK,
    MESH,
    NAME,
    UNLABELLED,
    absent,
    ids_of_names,
    read_class_map,
    read_classes,
    read_labels,
    read_mask,
    read_splits,
)
from pointseg.prepare.known import parser, prepare_known
from pointseg.prepare.preparation import Job, Prepared, exit_code
from pointseg.scans.store_layout import sha256_of


def read_scene(job: Job, *, ids: Mapping[str, int], sample: float) -> Prepared:
    """Read a scene; runs in a worker.

    Args:
        job: its ``source`` is the folder scans.
        ids: free name of an object -> raw id.
        sample: drawn points for each vertex.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is broken, or belongs to another mesh.
    """
    mesh = read_ply(job.source / MESH)
    if mesh.rgb is None or mesh.faces is None:
        lacking = "colours" if mesh.rgb is None else "faces"
        raise ValueError(f"{job.source / MESH}: the mesh has no {lacking}; one of ScanNet++ has both.")
    scene = Scene(job.name, mesh.xyz, mesh.rgb, vertex_normals(mesh.xyz, mesh.faces))
    notes: dict[str, Any] = {"scored_rows": scene.num_vertices}
    if job.split != "test":
        labels = read_labels(job.source, scene.num_vertices, ids)
        raw, instance = labels.raw_label, labels.instance
        notes |= {"unknown_names": list(labels.unknown)}
        if (job.source / MASK).is_file():
            masked = read_mask(job.source / MASK, scene.num_vertices)
            raw[masked], instance[masked] = UNLABELLED, -1
        else:
            notes["remarks"] = [f"no {MASK}: vertices that the benchmark leaves out count"]
        scene = replace(scene, raw_label=raw[:, 0].copy(), further_label=raw[:, 1:].copy(), instance=instance)
    count = round(sample * scene.num_vertices)
    if count:
        scene = _with_points(scene, mesh.faces, count, labelled=job.split == "train")
    return Prepared(scene, notes)


def _with_points(scene: Scene, faces: np.ndarray, count: int, *, labelled: bool) -> Scene:
    """The scene with points drawn on its surface behind its vertices; the same ones for the same scene."""
    points = sample_surface(scene.xyz_m, faces, count, np.random.default_rng(list(scene.name.encode())))
    assert scene.rgb is not None and scene.normal is not None

    def behind(values: np.ndarray | None, nothing: int) -> np.ndarray | None:
        if values is None:
            return None
        drawn = values[points.nearest] if labelled else np.full_like(values[points.nearest], nothing)
        return np.concatenate([values, drawn])

    return Scene(
        scene.name,
        np.concatenate([scene.xyz_m, points.xyz]),
        np.concatenate([scene.rgb, points.blend(scene.rgb).round().astype(np.uint8)]),
        np.concatenate([scene.normal, unit_rows(points.blend(scene.normal)).astype(np.float32)]),
        behind(scene.raw_label, UNLABELLED),
        behind(scene.instance, -1),
        further_label=behind(scene.further_label, UNLABELLED),
    )


def _prepare(source: Path, sample: float, options: Any, console: Console) -> int:
    if sample < 0:
        raise ValueError(f"--sample: expected a number of points for each vertex, 0 or more; got {sample:g}.")
    space, class_map = read_classes(source), read_class_map(source)
    split_of = read_splits(source)
    missing = set(absent(list(split_of), source))
    if len(missing) == len(split_of):
        raise ValueError(
            f"{source}: expected data/<scene>/scans; none of {len(split_of)} listed scenes is there."
        )
    if missing:
        console.print(f"{len(missing)} of {len(split_of)} listed scenes are not there.", highlight=False)
    jobs = [
        Job(scene, split, source / "data" / scene / "scans")
        for scene, split in sorted(split_of.items())
        if scene not in missing
    ]
    table = source / "metadata" / "semantic_benchmark" / "map_benchmark.csv"
    return prepare_known(
        options,
        console,
        labels=space,
        settings={"sample": sample, "class_map_sha256": sha256_of(table)},
        jobs=jobs,
        read=functools.partial(read_scene, ids=ids_of_names(space, class_map), sample=sample),
    )


def main(arguments: Sequence[str] | None = None, *, prog: str = f"pointseg prepare {NAME}") -> int:
    """The command: 0 done, 1 some scenes failed, 2 it could not start, 130 stopped by the user."""
    made = parser(__doc__, prog, "folder that holds data, metadata and splits")
    made.add_argument(
        "--sample", type=float, default=1.0, metavar="N", help="drawn points for each vertex (default: 1)"
    )
    options = made.parse_args(arguments)
    return exit_code(prog, lambda console: _prepare(options.source, options.sample, options, console))
