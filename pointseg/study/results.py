"""results.csv: one row for each run of a study."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pointseg.core.durable import write_text

#: Columns in order. Mean IoUs, accuracies and calibration errors are shares in 0..1; ``miou``, ``head``,
#: ``common`` and ``tail`` are means over the classes with ground truth, the other two conventions follow.
COLUMNS = (
    *("method", "seed", "budget", "miou", "head", "common", "tail", "ece", "seconds"),
    *("cpu_seconds", "memory_mb", "steps", "total_steps", "accuracy", "mean_accuracy"),
    *("miou_defined", "head_defined", "common_defined", "tail_defined"),
    *("miou_all", "head_all", "common_all", "tail_all"),
    *("ece_head", "ece_common", "ece_tail", "split", "recipe", "data", "start", "tuned"),
    *(
        "run",
        "config_hash",
        "data_hash",
        "code_hash",
        "accepted_code",
        "device",
        "threads",
        "pointseg",
        "torch",
    ),
    "command",
)


def write_results(path: Path, runs: Iterable[Mapping[str, Any]]) -> None:
    """Write the facts of runs; a number that a run has not is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for facts in runs:
        writer.writerow({name: cell(facts.get(name)) for name in COLUMNS})
    write_text(path, text.getvalue())


def read_results(path: Path) -> list[dict[str, str]]:
    """The rows, as text."""
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def cell(value: Any) -> str:
    """A value as it stands in a table of commas; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Mapping | list):
        return json.dumps(value) if value else ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
