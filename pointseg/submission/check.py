"""`pointseg check-submission`: what is wrong with a zip for the test server, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pointseg.data.kind import Kind
from pointseg.experiment import DATASETS
from pointseg.formats.submission import SubmissionCheck, class_shares, member_names


def check(path: Path, options: Mapping[str, Any] | None = None) -> SubmissionCheck:
    """The verb: check a zip and print every mistake with its fix, and the share of each class.

    Args:
        path: the zip file.
        options: what is given of the options of the kind of data that it holds, see ``checker`` of
            :class:`pointseg.data.kind.Kind`.

    Raises:
        ValueError: for options of different kinds of data.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    result = kind_of(path, given).checker(**given).check(path)
    console = Console()
    if result.held_against:
        console.print(result.held_against, soft_wrap=True, highlight=False, markup=False)
    print_outcome(path, result, console)
    print_remarks(result, console)
    return result


def kind_of(path: Path, given: Mapping[str, Any]) -> type[Kind]:
    """The kind of data whose options are given, or else the first one whose files the zip holds.

    Raises:
        ValueError: if no kind has all of these options.
    """
    rows = list(DATASETS.values())
    able = [row for row in rows if {field.name for field in fields(row.checker)} >= set(given)]
    if not able:
        wanted = ", ".join(f"--{name}" for name in given)
        raise ValueError(f"{wanted}: these options belong to different kinds of data; see --help.")
    names = member_names(path)
    holding = [row for row in able if any(name.endswith(row.checker.suffixes) for name in names)]
    return [*holding, *able][0]


def print_outcome(path: Path, result: SubmissionCheck, console: Console) -> None:
    """Print the share of each class, every mistake with its fix, and the verdict."""
    if result.id_counts:
        print_shares(result, console)
    for problem in result.problems:
        console.print(f"[bold red]{problem.kind}[/]", end=": ")
        console.print(problem.message, soft_wrap=True, markup=False, highlight=False)
    verdict = "ready for the server" if result.is_valid else f"{len(result.problems)} kinds of mistakes"
    of_all = "" if result.num_expected is None else f" of {result.num_expected}"
    console.print(
        f"{path}: {result.num_scenes}{of_all} {result.members} read, {result.num_vertices:,} {result.unit}: "
        f"{verdict}.",
        soft_wrap=True,
    )


def print_shares(result: SubmissionCheck, console: Console) -> None:
    """Print the share of each predicted class, largest first."""
    space = result.label_space
    table = Table(title="Share of each class among the predictions", title_justify="left")
    for name in ("raw id", "class", "group"):
        table.add_column(name)
    table.add_column("share (%)", justify="right")
    for raw_id, name, group, share in class_shares(result.id_counts, space):
        table.add_row(str(raw_id), name, group, f"{100 * share:.3f}")
    console.print(table)
    never = space.num_classes - len(set(result.id_counts) & set(space.raw_ids))
    console.print(f"{never} of {space.num_classes} classes are never predicted.")


def print_remarks(result: SubmissionCheck, console: Console) -> None:
    """Print what to know before an upload."""
    for remark in result.remarks:
        console.print(remark, style="bold yellow", soft_wrap=True, markup=False, highlight=False)
