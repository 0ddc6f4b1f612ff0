"""The table of configs/README.md and the first two lines of each method file say the same."""

import re
from pathlib import Path

import pytest

from pointseg.config.shipped import shipped

ROOT = Path(__file__).parents[2]
METHODS = shipped("method")
BENCHMARKS = list((ROOT / "benchmarks").glob("*.md"))
#: What the table says a method is -> how the second line of its file begins, or what it says in it.
SAYS = {
    "released": ("Released code", "Part of the released"),
    "paper": ("Paper",),
    "reconstruction": ("Reconstruction",),
    "common": ("Common practice", "No paper of its own"),
    "ours": ("A combination of ours",),
}


def table() -> dict[str, list[str]]:
    """Method -> what it changes, source, what it is, what differs, control."""
    text = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\| `\w+` \|", line)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows if len(row) == 6}


def test_the_table_has_every_method_once_and_no_other() -> None:
    described = sorted(table())
    assert described == sorted(set(described) & set(METHODS))
    if missing := set(METHODS) - set(described):
        pytest.skip(f"configs/README.md has no row yet: {', '.join(sorted(missing))}")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_file_begins_with_what_it_changes_and_what_it_is(method: str) -> None:
    text = (ROOT / "pointseg" / "resources" / "methods" / f"{method}.yaml").read_text(encoding="utf-8")
    first, second, third = text.splitlines()[:3]
    assert first.startswith("# ") and second.startswith("# ") and not third.startswith("#")
    if method not in table():
        pytest.skip(f"configs/README.md has no row yet: {method}")
    changes, _, kind, _, control = table()[method]
    assert changes and control
    assert any(words in second for words in SAYS[kind]), (kind, second)


def test_controls_are_methods_or_said_in_words() -> None:
    for method, cells in table().items():
        for control in re.findall(r"`(\w+)`", cells[4]):
            assert control in {*METHODS, "baseline"} and control != method, (method, control)


def test_what_is_not_public_is_called_a_reconstruction() -> None:
    kinds = {method: cells[2] for method, cells in table().items()}
    tilted = [method for method in kinds if re.fullmatch(r"tilted(_(?!pat)\w+)?", method)]
    assert len(tilted) == 5 and all(kinds[method] == "reconstruction" for method in tilted)
    assert kinds["pat"] == "reconstruction" and kinds["pat_released"] == "released"
    assert "class_mean" in table()["pat"][4]


@pytest.mark.parametrize("page", ["README.md", *sorted(f"benchmarks/{path.name}" for path in BENCHMARKS)])
def test_a_table_of_runs_with_pat_shows_its_control(page: str) -> None:
    """A row whose first cell is PAT has one with class means without it in the same table."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for table_ in re.findall(r"(?:^\|.*\n)+", text, re.M):
        first = [line.strip("|").split("|")[0].strip() for line in table_.splitlines()]
        if any(re.match(r"`pat`|PAT\b|pixel-wise adaptive", cell) for cell in first):
            assert any("class_mean" in cell or "its control" in cell for cell in first), table_
