"""The tables of methods and recipes, from their files: first what they are, then what they set."""

from __future__ import annotations

from pathlib import Path

from pointseg.config.shipped import describe, shipped


def write_methods() -> str:
    """What every method is, and below the table what its file sets."""
    files = shipped("method")
    table = ["| method | what it changes | what it is |", "|---|---|---|"]
    sections = []
    for name, path in files.items():
        head, body = _parts(path)
        table.append(f"| [`{name}`](#{name}) | {_cell(head[0])} | {_cell(' '.join(head[1:]))} |")
        sections.append(f"### {name}\n\n{' '.join(head)}\n\n```yaml\n{body}\n```\n")
    return "\n".join([*table, "", "## What each sets", "", *sections])


def write_recipes() -> str:
    """What every recipe trains."""
    rows = [f"| `{name}` | {_cell(describe(path))} |" for name, path in shipped("recipe").items()]
    return "\n".join(["| recipe | |", "|---|---|", *rows])


def _parts(path: Path) -> tuple[list[str], str]:
    """The lines of the opening comment, and what follows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    length = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").strip() for line in lines[:length]], "\n".join(lines[length:])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
