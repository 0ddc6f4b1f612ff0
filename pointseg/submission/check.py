"""`pointseg check-submission`: what is wrong with a zip for the test server, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import LabelSpace
from pointseg.formats.submission import SubmissionCheck, check_submission, class_shares
from pointseg.formats.vertex_counts import (
    official_vertex_counts,
    raw_test_scenes,
    raw_vertex_counts,
    read_scene_list,
)

#: Above this the server's own unpacking has been seen to fail; 18 million honest lines take a few MB.
LARGE_BYTES = 200_000_000
TWO_WEEKS = (
    "Before you upload: the server blocks a method's next test result for two weeks. Choose on val, submit "
    "the final system once, and name it as the paper does."
)


def check(
    path: Path, *, labels: str = "scannet200", raw: Path | None = None, scenes: Path | None = None
) -> SubmissionCheck:
    """The verb: check a zip and print every mistake with its fix, and the share of each class.

    Args:
        path: the zip file.
        labels: a shipped label set, or the path of a label_space.json.
        raw: folder of raw scans, generated ones for instance; vertex counts come from its meshes.
        scenes: file with the expected scene names, one per line.
    """
    label_space = find_label_space(labels)
    expected = expected_vertex_counts(raw, scenes)
    known = official_vertex_counts()
    others = {scene: s for s in ("train", "val") for scene in known[s] if scene not in expected}
    result = check_submission(path, label_space, expected, other_scenes=others)
    console = Console()
    if raw is None:
        what = "the official ScanNet table of vertices" + (
            f", scenes of {scenes}" if scenes else ", test split"
        )
        console.print(
            f"Held against {what}. For generated or own scans: --raw DIR, the folder of the raw scans.",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    print_outcome(path, result, label_space, len(expected), "scenes", "vertices", console)
    if result.is_valid:
        print_advice(expected, path, console)
    return result


def print_outcome(
    path: Path,
    result: SubmissionCheck,
    label_space: LabelSpace,
    num_expected: int | None,
    members: str,
    unit: str,
    console: Console,
) -> None:
    """Print the share of each class, every mistake with its fix, and the verdict.

    Args:
        path: the zip file.
        result: what was found.
        label_space: its classes.
        num_expected: how many scenes or images it should hold, or None if that is not known.
        members: what it is of, scenes or images.
        unit: what these are made of, vertices or pixels.
        console: where to print.
    """
    if result.id_counts:
        print_shares(result, label_space, console)
    for problem in result.problems:
        console.print(f"[bold red]{problem.kind}[/]", end=": ")
        console.print(problem.message, soft_wrap=True, markup=False, highlight=False)
    verdict = "ready for the server" if result.is_valid else f"{len(result.problems)} kinds of mistakes"
    of_all = "" if num_expected is None else f" of {num_expected}"
    console.print(
        f"{path}: {result.num_scenes}{of_all} {members} read, {result.num_vertices:,} {unit}: {verdict}.",
        soft_wrap=True,
    )


def expected_vertex_counts(raw: Path | None, scenes: Path | None) -> dict[str, int]:
    """Scene -> vertices of what a submission must hold.

    Without ``raw``, the official test split or the listed scans of the shipped table. With it, the listed or
    the test scans of that folder; where those are real ScanNet scans, the whole official test split.

    Raises:
        ValueError: if a scene is not known, or a mesh is not there.
    """
    known = official_vertex_counts()
    if raw is None:
        if scenes is None:
            return known["test"]
        everywhere = {scene: count for split in known.values() for scene, count in split.items()}
        names = read_scene_list(scenes)
        unknown = [name for name in names if name not in everywhere]
        if unknown:
            raise ValueError(
                f"{scenes}: {unknown[0]!r} is no ScanNet scan ({len(unknown)} such names); add --raw DIR, "
                "the folder of the scans, so that their vertices can be counted."
            )
        return {name: everywhere[name] for name in names}
    if scenes is not None:
        return raw_vertex_counts(raw, read_scene_list(scenes))
    counts = raw_vertex_counts(raw, raw_test_scenes(raw))
    # A copy of ScanNet with a part of the test scans on disk does not make a part of the split enough.
    is_real = all(known["test"].get(scene) == count for scene, count in counts.items())
    return known["test"] if is_real else counts


def print_shares(check: SubmissionCheck, label_space: LabelSpace, console: Console) -> None:
    """Print the share of each predicted class, largest first."""
    table = Table(title="Share of each class among the predictions", title_justify="left")
    for name in ("raw id", "class", "group"):
        table.add_column(name)
    table.add_column("share (%)", justify="right")
    rows = class_shares(check.id_counts, label_space)
    for raw_id, name, group, share in rows:
        table.add_row(str(raw_id), name, group, f"{100 * share:.3f}")
    console.print(table)
    never = label_space.num_classes - len(set(check.id_counts) & set(label_space.raw_ids))
    console.print(f"{never} of {label_space.num_classes} classes are never predicted.")


def print_advice(expected: Mapping[str, int], path: Path, console: Console) -> None:
    """What to know before an upload, or that this is none."""
    if expected != official_vertex_counts()["test"]:
        console.print(
            f"These {len(expected)} scenes are not the official test split: a rehearsal, nothing to upload.",
            soft_wrap=True,
        )
        return
    if path.stat().st_size > LARGE_BYTES:
        console.print(
            f"WARNING: {path.stat().st_size:,} bytes; the server may fail to unpack it.", style="yellow"
        )
    console.print(TWO_WEEKS, style="bold yellow", soft_wrap=True)
