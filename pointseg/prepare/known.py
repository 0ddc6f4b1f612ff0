"""What the preparations of well-known data sets share: a shipped label set, scenes found by their layout."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pointseg.core.cores import num_cores
from pointseg.core.labels import LabelSpace, load_label_space
from pointseg.core.lock import sole_writer
from pointseg.prepare.custom import report_outcome, with_groups
from pointseg.prepare.preparation import (
    Job,
    Prepared,
    add_cluster_options,
    prepare_as_asked,
)
from pointseg.scans.store import Store, StoreWriter


def parser(description: str | None, prog: str, source: str) -> argparse.ArgumentParser:
    """The options that all of them have.

    Args:
        description: of the command.
        prog: its name.
        source: what the folder to read is.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, prog=prog
    )
    made.add_argument("source", type=Path, metavar="SRC", help=source)
    made.add_argument("store", type=Path, metavar="STORE", help="folder of the store; made if missing")
    made.add_argument("--workers", type=int, default=num_cores(), help="processes (default: CPUs)")
    add_cluster_options(made)
    made.add_argument("--overwrite", action="store_true", help="prepare scenes again that are there")
    return made


def prepare_known(
    options: argparse.Namespace,
    console: Console,
    *,
    labels: str | LabelSpace,
    settings: Mapping[str, Any],
    jobs: Sequence[Job],
    read: Callable[[Job], Prepared],
) -> int:
    """Prepare a store; 0 when every scene is in it, 1 when some could not be prepared.

    Args:
        options: of :func:`parser`.
        console: for progress.
        labels: a shipped label set by its name, or one that was read from the data.
        settings: how scenes are prepared, recorded in the store; one with others is refused.
        jobs: the scenes.
        read: reads one of them; picklable.
    """
    space = load_label_space(labels) if isinstance(labels, str) else labels
    with sole_writer(options.store, "store"):
        writer = StoreWriter(
            options.store, space, options={"source": space.name, "labels": space.name, **settings}
        )
        outcome = prepare_as_asked(options, read, jobs, writer, console)
        writer.finish(with_groups(space, writer.entries()))
    report_outcome(outcome, Store.open(options.store), console)
    return 1 if outcome.failures else 0
