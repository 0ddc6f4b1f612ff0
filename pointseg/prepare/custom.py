"""Anybody's labelled clouds -> store, with any number of classes.

    python data_prep/custom.py SRC STORE --classes classes.csv

SRC holds .ply, .npz, .las, .laz, .pcd, .xyz, .txt, .csv, .asc or .pts files. Their splits stand in
scenes.csv (scene,split) beside them or given with --scenes; without it the clouds lie in folders named
train, val and test. classes.csv has the columns raw_id,name and, if wanted, group (head, common, tail),
ignore (1 = leave out of training and scoring) and r,g,b. Without groups, they follow from the training
points by the ScanNet200 rule: the third of the classes with the most points is head, the third with the
fewest is tail. Rows of one name are one class. Colour is optional. Positions are metres, or what the file
(LAS) or --unit says.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from pointseg.core.cores import num_cores
from pointseg.core.labels import LabelSpace, groups_by_points
from pointseg.core.lock import sole_writer
from pointseg.formats.class_table import ClassTable, merge_ids, read_class_table, read_scene_table
from pointseg.formats.cloud_doubts import class_color_doubt
from pointseg.formats.clouds import CLOUD_SUFFIXES, UNITS_M, estimate_normals
from pointseg.formats.id_diagnosis import label_doubts
from pointseg.formats.ply import vertex_normals
from pointseg.formats.text import printable
from pointseg.formats.text_cloud import is_text_cloud
from pointseg.prepare.preparation import (
    Job,
    Outcome,
    Prepared,
    add_cluster_options,
    exit_code,
    prepare_as_asked,
)
from pointseg.scans.file import CloudFile, read_cloud_file
from pointseg.scans.store import Store, StoreWriter, count_classes
from pointseg.scans.store_layout import check_scene_name

SPLITS = ("train", "val", "test")
#: Other names that people give to the folders of the splits.
_SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
#: Remarks of so many scenes are shown; all are in their scene.json.
_MAX_REMARKS = 20
#: Suffixes that other files have too: tables of classes and scenes, and readmes, lie beside clouds.
_MAYBE = frozenset((".txt", ".csv"))
#: Suffixes of other files of points, and of packed ones: people think that they are read.
_OTHER_SUFFIXES = frozenset(
    (
        *(".ptx", ".e57", ".obj", ".off", ".stl", ".npy", ".copc", ".gz"),
        *(".zip", ".zst", ".bz2", ".7z", ".rar", ".part", ".crdownload"),
    )
)


def read_job(
    job: Job,
    *,
    table: ClassTable,
    num_neighbours: int,
    with_normals: bool,
    label_name: str | None,
    unit: str | None = None,
) -> Prepared:
    """Read one cloud; runs in a worker.

    Raises:
        ValueError: for broken files, missing labels, and labels that the class table does not have.
    """
    file = read_cloud_file(job.source, label_name=label_name, unit=unit)
    scene = replace(file.scene, name=job.name)
    if scene.num_vertices == 0:
        raise ValueError(f"{job.source}: the cloud has no point.")
    if scene.raw_label is None and job.split != "test":
        wanted = f"named {label_name!r}" if label_name else "(--label-name says what they are called)"
        has = f" The points have {', '.join(file.unused)}." if file.unused else ""
        raise ValueError(f"{job.source}: no labels {wanted}; only scenes of split 'test' may lack them.{has}")
    remarks = [*file.remarks]
    if scene.rgb is None and file.unused:
        remarks.append(f"no colours among {', '.join(file.unused)}")
    if scene.rgb is not None and (doubt := class_color_doubt(scene.rgb)):
        remarks.append(doubt)
    if scene.raw_label is not None:
        _check_labels(job.source, scene.raw_label, table)
        scene = replace(scene, raw_label=merge_ids(scene.raw_label, table.merged))
    if not with_normals:
        scene = replace(scene, normal=None)
    elif scene.normal is None:
        scene = replace(scene, normal=_normals(file, num_neighbours))
    made = with_normals and file.scene.normal is None and file.faces is None
    notes = {
        "offset_m": list(scene.offset_m),
        "file": job.source.name,
        "remarks": remarks,
        "made_normals": made,
    }
    return Prepared(scene, notes)


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


def _normals(file: CloudFile, num_neighbours: int) -> npt.NDArray[np.float32]:
    if file.faces is not None:
        return vertex_normals(file.scene.xyz_m, file.faces)
    return estimate_normals(file.scene.xyz_m, num_neighbours=num_neighbours)


def find_clouds(source: Path, outcome: Outcome) -> list[Path]:
    """The clouds of a folder and of all folders in it, links to folders followed.

    What no scene can be made of becomes a failure: a link that leads nowhere, and a name that cannot be one.
    Hidden files, such as the ._name that macOS keeps, are no clouds.
    """
    found = []
    left: Counter[str] = Counter()
    for file in _walk(source):
        left[file.suffix.lower()] += 1
        is_cloud = file.suffix.lower() in CLOUD_SUFFIXES
        if file.suffix.lower() in _MAYBE and not is_text_cloud(file):
            continue
        if file.is_symlink() and not file.exists():
            if is_cloud or _split_of(source, file) in SPLITS:
                outcome.failures[printable(file.stem)] = f"{printable(file)}: a link that leads nowhere."
        elif is_cloud and file.is_file():
            try:
                check_scene_name(file.stem)
                found.append(file)
            except ValueError as error:
                outcome.failures[printable(file.stem)] = printable(f"{file}: {error}")
    if unread := sorted(_OTHER_SUFFIXES & set(left)):
        counts = ", ".join(f"{left[suffix]} {suffix}" for suffix in unread)
        outcome.remarks[f"Left out, as they cannot be read as clouds: {counts}."] += 1
    return sorted(found)


def _walk(source: Path) -> Iterator[Path]:
    """Every file below, and every link to nothing; a folder that links lead to twice is entered once."""
    seen = set()
    for folder, folders, files in os.walk(source, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _split_of(source: Path, file: Path) -> str:
    """The split that a cloud's folder says, or the folder's name."""
    folder = file.relative_to(source).parts[0]
    return _SPLIT_NAMES.get(folder.lower(), folder.lower())


def plan_jobs(source: Path, scenes: Path | None, outcome: Outcome) -> list[Job]:
    """One job for each cloud with a split; clouds without one, and scenes without a cloud, become failures.

    Raises:
        ValueError: if there is no cloud, or nothing says which split they belong to.
    """
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder; expected clouds ({', '.join(CLOUD_SUFFIXES)}).")
    files = find_clouds(source, outcome)
    if not files and not outcome.failures:
        others = "".join(f" {line}" for line in outcome.remarks)
        raise ValueError(f"{source}: no cloud here; expected {', '.join(CLOUD_SUFFIXES)} files.{others}")
    table = scenes or (source / "scenes.csv" if (source / "scenes.csv").is_file() else None)
    if table is None:
        splits = {file: _split_of(source, file) for file in files}
        if files and not set(splits.values()) & set(SPLITS):
            raise ValueError(
                f"{source}: nothing says which split a cloud belongs to. Write {source / 'scenes.csv'} with "
                "the columns scene,split, or put the clouds into folders train, val and test."
            )
        for file in files:
            if splits[file] not in SPLITS:
                outcome.failures[file.stem] = (
                    f"{printable(file)}: it lies in none of the folders {', '.join(SPLITS)}."
                )
        files = [file for file in files if splits[file] in SPLITS]
    else:
        split_of = _listed(table)
        for file in files:
            if file.stem not in split_of:
                outcome.failures[file.stem] = (
                    f"{printable(file)}: not in {table.name}; add a row with its split."
                )
        for name in sorted(set(split_of) - {file.stem for file in files} - set(outcome.failures)):
            outcome.failures[printable(name)] = f"{table}: no cloud of that name in {source}."
        files = [file for file in files if file.stem in split_of]
        splits = {file: split_of[file.stem] for file in files}
    return [Job(file.stem, splits[file], file) for file in _once_each(files, outcome)]


def _listed(table: Path) -> dict[str, str]:
    """Scene -> split of scenes.csv; names may be those of files, with their suffix and their folders."""
    split_of: dict[str, str] = {}
    for given, split in read_scene_table(table).items():
        name = PurePosixPath(given.replace("\\", "/")).name
        name = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in CLOUD_SUFFIXES else name
        if split_of.setdefault(name, split) != split:
            raise ValueError(f"{table}: scene {name!r} is in two splits, {split_of[name]!r} and {split!r}.")
    return split_of


def _once_each(files: Sequence[Path], outcome: Outcome) -> list[Path]:
    """The files whose name no other has; the others become failures, since their scenes would be one."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_name[file.stem].append(file)
    for name, same in by_name.items():
        if len(same) > 1:
            listed = ", ".join(printable(file) for file in same)
            outcome.failures[name] = f"{listed}: scene names must differ; rename all but one."
    return [file for file in files if len(by_name[file.stem]) == 1]


def with_groups(space: LabelSpace, entries: Mapping[str, Mapping[str, Any]]) -> LabelSpace:
    """The label space with the groups of its table, or those that follow from the training points."""
    training = [entry for entry in entries.values() if entry["split"] == "train"]
    if space.has_groups or not training:
        return space
    return replace(space, groups=groups_by_points(count_classes(training, space).points.tolist()))


def report_outcome(outcome: Outcome, store: Store, console: Console) -> None:
    def show(text: str) -> None:
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    for split, names in store.splits().items():
        show(f"{split}: {len(names)} scenes, {sum(map(store.num_vertices, names)):,} points")
    space = store.label_space
    if "train" in store.splits():
        points = count_classes([store.entry(n) for n in store.scene_names("train")], space).points.tolist()
        for i in sorted(range(space.num_classes), key=lambda i: -points[i]):
            show(f"  {space.raw_ids[i]:>5} {space.names[i]:<32} {space.groups[i]:<7} {points[i]:>12,}")
    all_points: Counter[int] = Counter()
    for entry in store.entries.values():
        all_points.update({int(raw_id): count for raw_id, count in entry["class_points"].items()})
    for doubt in label_doubts(all_points, space):
        show(f"WARNING: the labels: {doubt}")
    _show_remarks(store, show)
    for line in outcome.remarks:
        show(f"WARNING: {line}")
    show(outcome.counts())
    for line in outcome.failure_lines():
        show(line)


def _show_remarks(store: Store, show: Callable[[str], None]) -> None:
    """What is doubtful about the scenes of a store, those of earlier runs too."""
    notes = {name: entry["notes"] for name, entry in sorted(store.entries.items())}
    said: dict[str, list[str]] = {}
    for name, note in notes.items():
        for text in note.get("remarks", ()):
            said.setdefault(text, []).append(name)
    lines = [f"WARNING: {_of(names, len(notes))}: {text}." for text, names in said.items()]
    for line in lines[:_MAX_REMARKS]:
        show(line)
    if len(lines) > _MAX_REMARKS:
        show(f"WARNING: and {len(lines) - _MAX_REMARKS} more; each stands in its scene.json under notes.")
    bare = [name for name in notes if not store.has_colors(name)]
    if bare and len(bare) < len(notes):
        show(f"WARNING: {len(bare)} of {len(notes)} scenes have no colours: {', '.join(bare[:10])}.")
    made = Counter(bool(note.get("made_normals")) for note in notes.values())
    if made[True]:
        show(
            f"The normals of {made[True]} scenes were made from neighbouring points and point upwards; their "
            "orientation is a guess."
        )


def _of(names: Sequence[str], total: int) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} of {total} scenes, such as {names[0]}"


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
    parser.add_argument("--unit", choices=tuple(UNITS_M), help="unit of the positions (default: metres)")
    parser.add_argument("--unlabelled-id", type=int, help="raw id of unlabelled points (default: 0, or -1)")
    parser.add_argument(
        "--normals",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep or compute normals (about 10 s a million points and core)",
    )
    parser.add_argument("--neighbours", type=int, default=16, help="points that a normal is fitted to")
    parser.add_argument("--workers", type=int, default=num_cores(), help="processes (default: CPUs)")
    add_cluster_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="prepare scenes again that are there")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> int:
    """Prepare a store; 0 when every scene is in it, 1 when some could not be prepared."""
    with sole_writer(options.store, "store"):
        return _prepare(options, console)


def _prepare(options: argparse.Namespace, console: Console) -> int:
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
            **({"merged_raw_ids": dict(table.merged)} if table.merged else {}),
            **({"unit": options.unit} if options.unit else {}),
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
        unit=options.unit,
    )
    outcome = prepare_as_asked(options, read, jobs, writer, console)
    writer.finish(with_groups(table.label_space, writer.entries()))
    outcome.failures.update(planned.failures)
    outcome.remarks.update(planned.remarks)
    report_outcome(outcome, Store.open(options.store), console)
    return 1 if outcome.failures else 0


def main(arguments: Sequence[str] | None = None, *, prog: str = "data_prep/custom.py") -> int:
    """The command: 0 done, 1 some scenes failed, 2 it could not start, 130 stopped by the user."""
    options = parse(arguments, prog)
    return exit_code(prog, functools.partial(run, options))
