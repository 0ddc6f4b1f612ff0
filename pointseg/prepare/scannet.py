"""Raw ScanNet v2 -> store.

    python data_prep/scannet.py RAW STORE --labels scannet200 [--workers N]

RAW holds `scans/` and `scans_test/`, or the scene folders themselves. Scenes go by split lists, not by
folder: those in --splits, else in RAW, else the official ones. Run it again to continue a stopped run; a
scene in the store is either whole or absent.

Axis alignment is off unless asked for: test scenes come without an alignment, so aligning the others would
train on rooms that stand square to the axes and test on rooms that do not.
"""

from __future__ import annotations

import argparse
import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from pointseg.core.cores import num_cores
from pointseg.core.labels import load_label_space
from pointseg.core.lock import sole_writer
from pointseg.formats.scannet import AGGREGATION_SUFFIX, SEGMENTS_SUFFIX, read_scannet_scene
from pointseg.formats.scannet_tables import (
    LABEL_TABLE_NAME,
    LabelTable,
    find_scene_folders,
    has_split_lists,
    near_category,
    read_label_table,
    read_split_lists,
    shipped_label_table,
    shipped_splits,
    shipped_vertex_counts,
)
from pointseg.prepare.preparation import (
    Job,
    Outcome,
    Prepared,
    add_cluster_options,
    exit_code,
    prepare_as_asked,
)
from pointseg.scans.store import Store, StoreWriter

UNKNOWN = "unknown category: "

#: The label sets of ScanNet, among all that ship.
LABEL_SETS = ("scannet200", "scannet20")


def read_job(
    job: Job,
    *,
    table: LabelTable,
    unlabelled_raw_id: int,
    axis_align: bool,
    expected_vertices: Mapping[str, int],
) -> Prepared:
    """Read the scene of one job; runs in a worker.

    Raises:
        FileNotFoundError: see :func:`read_scannet_scene`.
        ValueError: also for another number of vertices than expected.
    """
    annotation = [job.source / f"{job.name}{suffix}" for suffix in (SEGMENTS_SUFFIX, AGGREGATION_SUFFIX)]
    # The real test scenes have no annotation; a test split of one's own may have it.
    labelled = job.split != "test" or all(file.is_file() for file in annotation)
    scene, report = read_scannet_scene(
        job.source,
        job.name,
        table.category_ids if labelled else None,
        unlabelled_raw_id=unlabelled_raw_id,
        axis_align=axis_align,
    )
    expected = expected_vertices.get(job.name, scene.num_vertices)
    if scene.num_vertices != expected:
        raise ValueError(
            f"{job.source}: the mesh has {scene.num_vertices} vertices, but the released {job.name} has "
            f"{expected}. It is another mesh, or it was simplified or merged by a tool."
        )
    remarks = Counter({UNKNOWN + name: count for name, count in report.unknown_categories.items()})
    notes = {
        "axis_aligned": report.axis_aligned,
        "scene_type": report.scene_type,
        "unknown_categories": dict(report.unknown_categories),
        "repeated_objects": report.repeated_objects,
        "missing_segments": report.missing_segments,
    }
    return Prepared(scene, notes, remarks)


def plan_jobs(raw: Path, split_of: Mapping[str, str], outcome: Outcome) -> list[Job]:
    """One job for each scene that is in a split list; the others become failures."""
    jobs = []
    for name, folder in find_scene_folders(raw).items():
        if name in split_of:
            jobs.append(Job(name, split_of[name], folder))
        else:
            outcome.failures[name] = f"{folder}: in no split list; add it to one and give --splits DIR."
    return jobs


def find_splits(raw: Path, given: Path | None) -> Path:
    """Folder of the split lists: the one given, or that of the data, or the official lists."""
    if given is not None:
        return given
    own = (raw, raw / "splits", raw / "scans", raw / "tasks")
    return next((folder for folder in own if has_split_lists(folder)), shipped_splits())


def find_label_table(raw: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    own = (raw / LABEL_TABLE_NAME, raw.parent / LABEL_TABLE_NAME)
    return next((file for file in own if file.is_file()), shipped_label_table())


def report_outcome(
    outcome: Outcome, store: Store, split_of: Mapping[str, str], known: Collection[str], console: Console
) -> None:
    """What the user has to know at the end of a run; ``known`` are the categories of the label table."""

    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for split, names in store.splits().items():
        vertices = sum(store.num_vertices(name) for name in names)
        listed = sum(other == split for other in split_of.values())
        absent = f" ({listed} in the list)" if listed != len(names) else ""
        show(f"{split}: {len(names)} scenes{absent}, {vertices:,} vertices")
    show(outcome.counts())
    unknown = {k.removeprefix(UNKNOWN): n for k, n in outcome.remarks.items() if k.startswith(UNKNOWN)}
    if unknown:
        listed_names = ", ".join(
            f"{name!r} {count}"
            + (f" (did they mean {near!r}?)" if (near := near_category(name, known)) else "")
            for name, count in sorted(unknown.items())
        )
        show(f"Categories that the label table does not have (unlabelled; objects): {listed_names}")
        if any(near_category(name, known) for name in unknown):
            show("Names without blanks, such as 'trashcan', are those of ScanNet v1; take the release of v2.")
    for line in doubts_of(store):
        show(f"WARNING: {line}")
    for line in outcome.failure_lines():
        show(line)


def doubts_of(store: Store) -> list[str]:
    """What is doubtful about the scenes of a store together, those of earlier runs too."""
    notes = {name: entry["notes"] for name, entry in sorted(store.entries.items())}
    found = []
    if missing := {name: count for name, note in notes.items() if (count := note["missing_segments"])}:
        found.append(
            f"{sum(missing.values())} segments of annotated objects belong to no vertex, in {_few(missing)}: "
            "segments and annotation may not be of one release."
        )
    if doubled := [name for name, note in notes.items() if note["repeated_objects"]]:
        found.append(f"objects that are listed twice were taken once, in {_few(doubled)}.")
    released = shipped_vertex_counts()
    other = [n for n in notes if n in released and released[n] != store.num_vertices(n)]
    # Generated scenes have names of the release, and never its sizes.
    if other and len(other) < sum(name in released for name in notes):
        found.append(
            f"{_few(other)}: another number of vertices than the release has, while other scenes have the "
            "release's; were these meshes simplified or merged? --strict-counts refuses them."
        )
    bare = [name for name, note in notes.items() if not note["axis_aligned"]]
    if store.options["axis_aligned"] and bare:
        found.append(
            f"{len(bare)} of {len(notes)} scenes have no axisAlignment and stand as they were scanned, "
            f"unlike the others: {_few(bare)}."
        )
    return found


def _few(names: Collection[str], limit: int = 5) -> str:
    return ", ".join(sorted(names)[:limit]) + (
        f" and {len(names) - limit} more" if len(names) > limit else ""
    )


def parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog=prog
    )
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder of the raw scans")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder of the store; made if missing")
    parser.add_argument(
        "--labels", choices=("scannet200", "scannet20"), default="scannet200", help="label set"
    )
    parser.add_argument("--workers", type=int, default=num_cores(), help="processes (default: CPUs)")
    add_cluster_options(parser)
    parser.add_argument("--splits", type=Path, metavar="DIR", help="folder of scannetv2_{train,val,test}.txt")
    parser.add_argument("--label-table", type=Path, metavar="TSV", help=f"default: {LABEL_TABLE_NAME} in RAW")
    parser.add_argument("--axis-align", action="store_true", help="rotate scenes by their axisAlignment")
    parser.add_argument(
        "--strict-counts", action="store_true", help="fail scenes whose vertices differ from the release's"
    )
    parser.add_argument("--overwrite", action="store_true", help="prepare scenes again that are there")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> int:
    """Prepare a store; 0 when every scene is in it, 1 when some could not be prepared."""
    with sole_writer(options.store, "store"):
        return _prepare(options, console)


def _prepare(options: argparse.Namespace, console: Console) -> int:
    label_space = load_label_space(options.labels)
    table_path = find_label_table(options.raw, options.label_table)
    table = read_label_table(table_path, label_space)
    split_of = read_split_lists(find_splits(options.raw, options.splits))
    planned = Outcome()
    jobs = plan_jobs(options.raw, split_of, planned)
    writer = StoreWriter(
        options.store,
        label_space,
        options={
            "source": "scannet_v2",
            "labels": options.labels,
            "label_column": table.column,
            "label_table_sha256": table.sha256,
            "axis_aligned": options.axis_align,
        },
    )
    read = functools.partial(
        read_job,
        table=table,
        unlabelled_raw_id=label_space.unlabelled_raw_id,
        axis_align=options.axis_align,
        expected_vertices=shipped_vertex_counts() if options.strict_counts else {},
    )
    outcome = prepare_as_asked(options, read, jobs, writer, console)
    writer.finish()
    outcome.failures.update(planned.failures)
    store = Store.open(options.store)
    for name in outcome.kept:
        for category, count in store.entry(name)["notes"]["unknown_categories"].items():
            outcome.remarks[UNKNOWN + category] += count
    report_outcome(outcome, store, split_of, table.category_ids, console)
    return 1 if outcome.failures else 0


def main(arguments: Sequence[str] | None = None, *, prog: str = "data_prep/scannet.py") -> int:
    """The command: 0 done, 1 some scenes failed, 2 it could not start, 130 stopped by the user."""
    options = parse(arguments, prog)
    return exit_code(prog, functools.partial(run, options))
