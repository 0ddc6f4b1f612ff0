"""The rows of metrics.jsonl, read: a row that was cut off by a kill is none, any other damage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each row of a log with its text, a last one that was cut off left out; none without a file.

    Raises:
        ValueError: naming the line, for one that is no row and not the last.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
            row = json.loads(text)
            if not (isinstance(row, dict) and type(row["step"]) is int and isinstance(row["kind"], str)):
                raise ValueError("no step and kind")
        except (ValueError, KeyError, RecursionError) as error:
            if number == len(lines):
                break
            raise ValueError(
                f"{path}: line {number} is no row of a log ({error}): a damaged disk or copy, or an edit. "
                "Restore the file from a copy, or delete that line; the run goes on without it."
            ) from None
        found.append((text, row))
    return found
