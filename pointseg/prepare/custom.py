"""Anybody's labelled clouds -> store, with any number of classes.

    python data_prep/custom.py SRC STORE --classes classes.csv

SRC holds .ply, .npz, .las or .laz files. Their splits stand in scenes.csv (scene,split) beside them or given
with --scenes; without it the clouds lie in folders named train, val and test. classes.csv has the columns
raw_id,name and, if wanted, group (head, common, tail), ignore (1 = leave out of training and scoring) and
r,g,b. Without groups, they follow from the training points by the ScanNet200 rule: the third of the classes
with the most points is head, the third with the fewest is tail. Colour is optional.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from pointseg.core.labels import LabelSpace, groups_by_points
from pointseg.core.scene import Scene
from pointseg.formats.class_table import ClassTable, read_class_table, read_scene_table
from pointseg.formats.clouds import CLOUD_SUFFIXES, estimate_normals, read_cloud, to_local
from pointseg.formats.ply import PlyCloud, unit_rows, vertex_normals
from pointseg.prepare.preparation import Job, Outcome, Prepared, default_workers, exit_code, prepare
from pointseg.scans.store import Store, StoreWriter, count_classes

SPLITS = ("train", "val", "test")


def read_job(
    job: Job, *, table: ClassTable, num_neighbours: int, with_normals: bool, label_name: str | None
) -> Prepared:
    """Read one cloud; runs in a worker.

    Raises:
        ValueError: for broken files, missing labels, and labels that the class table does not have.
    """
    cloud = read_cloud(job.source, label_name=label_name)
    if cloud.num_vertices == 0:
        raise ValueError(f"{job.source}: the cloud has no point.")
    if not bool(np.isfinite(cloud.xyz).all()):
        raise ValueError(f"{job.source}: some positions are NaN or infinite.")
    if cloud.label is None and job.split != "test":
        wanted = f"named {label_name!r}" if label_name else "(--label-name says what they are called)"
        raise ValueError(f"{job.source}: no labels {wanted}; only scenes of split 'test' may lack them.")
    if cloud.label is not None:
        _check_labels(job.source, cloud.label, table)
    xyz, offset = to_local(cloud.xyz)
    local = replace(cloud, xyz=xyz)
    normal = _normals(local, num_neighbours) if with_normals else None
    scene = Scene(job.name, xyz, cloud.rgb, normal, cloud.label, cloud.instance)
    return Prepared(scene, {"offset_m": list(offset), "file": job.source.name})


def _check_labels(source: Path, label: npt.NDArray[np.int32], table: ClassTable) -> None:
    ids, counts = np.unique(label, return_counts=True)
    points = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    foreign = {i: count for i, count in points.items() if i not in table.known_raw_ids()}
    if foreign:
        shown = ", ".join(f"{i} ({count} points)" for i, count in list(foreign.items())[:10])
        raise ValueError(
            f"{source}: labels that the class table does not have: {shown}. Add them to it (ignore=1 leaves "
            "them out), or name the id of unlabelled points with --unlabelled-id."
        )


def _normals(cloud: PlyCloud, num_neighbours: int) -> npt.NDArray[np.float32]:
    if cloud.normal is not None:
        return unit_rows(np.nan_to_num(cloud.normal.astype(np.float64))).astype(np.float32)
    if cloud.faces is not None:
        return vertex_normals(cloud.xyz, cloud.faces)
    return estimate_normals(cloud.xyz, num_neighbours=num_neighbours)


def plan_jobs(source: Path, scenes: Path | None, outcome: Outcome) -> list[Job]:
    """One job for each cloud with a split; clouds without one, and scenes without a cloud, become failures.

    Raises:
        ValueError: if there is no cloud, or nothing says which split they belong to.
    """
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder; expected clouds ({', '.join(CLOUD_SUFFIXES)}).")
    files = sorted(f for f in source.rglob("*") if f.suffix.lower() in CLOUD_SUFFIXES and f.is_file())
    if not files:
        raise ValueError(f"{source}: no cloud here; expected {', '.join(CLOUD_SUFFIXES)} files.")
    table = scenes or (source / "scenes.csv" if (source / "scenes.csv").is_file() else None)
    if table is None:
        jobs = [Job(f.stem, f.relative_to(source).parts[0], f) for f in files]
        if any(job.split not in SPLITS for job in jobs):
            raise ValueError(
                f"{source}: nothing says which split a cloud belongs to. Write {source / 'scenes.csv'} with "
                "the columns scene,split, or put the clouds into folders train, val and test."
            )
        return jobs
    split_of = read_scene_table(table)
    for file in files:
        if file.stem not in split_of:
            outcome.failures[file.stem] = f"{file}: not in {table.name}; add a row with its split."
    for name in sorted(set(split_of) - {file.stem for file in files}):
        outcome.failures[name] = f"{table}: no cloud of that name in {source}."
    return [Job(file.stem, split_of[file.stem], file) for file in files if file.stem in split_of]


def with_groups(space: LabelSpace, entries: Mapping[str, Mapping[str, Any]]) -> LabelSpace:
    """The label space with the groups of its table, or those that follow from the training points."""
    training = [entry for entry in entries.values() if entry["split"] == "train"]
    if space.has_groups or not training:
        return space
    return replace(space, groups=groups_by_points(count_classes(training, space).points.tolist()))


def report_outcome(outcome: Outcome, store: Store, console: Console) -> None:
    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for split, names in store.splits().items():
        show(f"{split}: {len(names)} scenes, {sum(map(store.num_vertices, names)):,} points")
    space = store.label_space
    if "train" in store.splits():
        points = count_classes([store.entry(n) for n in store.scene_names("train")], space).points.tolist()
        for i in sorted(range(space.num_classes), key=lambda i: -points[i]):
            show(f"  {space.raw_ids[i]:>5} {space.names[i]:<32} {space.groups[i]:<7} {points[i]:>12,}")
    show(outcome.counts())
    for line in outcome.failure_lines():
        show(line)


def parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog=prog
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="folder of the clouds and of their folders")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store; made if missing")
    parser.add_argument("--classes", type=Path, required=True, metavar="CSV", help="the class table")
    parser.add_argument("--scenes", type=Path, metavar="CSV", help="scene,split (default: SRC/scenes.csv)")
    parser.add_argument("--name", help="name of the label set (default: name of SRC)")
    parser.add_argument("--label-name", help="PLY property, NPZ array or LAS dimension with the labels")
    parser.add_argument("--unlabelled-id", type=int, help="raw id of unlabelled points (default: 0, or -1)")
    parser.add_argument(
        "--normals",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep or compute normals (about 10 s a million points and core)",
    )
    parser.add_argument("--neighbours", type=int, default=16, help="points that a normal is fitted to")
    parser.add_argument("--workers", type=int, default=default_workers(), help="processes (default: CPUs)")
    parser.add_argument("--overwrite", action="store_true", help="prepare scenes again that are there")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> int:
    """Prepare a store; 0 when every scene is in it, 1 when some could not be prepared."""
    name = options.name or options.source.resolve().name
    table = read_class_table(options.classes, name, unlabelled_raw_id=options.unlabelled_id)
    planned = Outcome()
    jobs = plan_jobs(options.source, options.scenes, planned)
    writer = StoreWriter(
        options.store,
        table.label_space,
        options={
            "source": "custom",
            "labels": name,
            "label_name": options.label_name,
            "ignored_raw_ids": list(table.ignored_raw_ids),
            "normals": options.normals,
            "normal_neighbours": options.neighbours if options.normals else None,
        },
    )
    read = functools.partial(
        read_job,
        table=table,
        num_neighbours=options.neighbours,
        with_normals=options.normals,
        label_name=options.label_name,
    )
    outcome = prepare(
        read, jobs, writer, workers=options.workers, overwrite=options.overwrite, console=console
    )
    writer.finish(with_groups(table.label_space, writer.entries()))
    outcome.failures.update(planned.failures)
    report_outcome(outcome, Store.open(options.store), console)
    return 1 if outcome.failures else 0


def main(arguments: Sequence[str] | None = None, *, prog: str = "data_prep/custom.py") -> int:
    """The command: 0 done, 1 some scenes failed, 2 it could not start, 130 stopped by the user."""
    options = parse(arguments, prog)
    return exit_code(prog, functools.partial(run, options))
