"""The layers of the house: an import may only point down."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What a room with a verb may use: the vocabulary, the networks and what an experiment is. Not the kinds of
#: data: it asks the experiment's, and whether that is of scans or of images makes no difference to it.
BELOW = {
    *("core", "config", "formats", "data", "models", "losses", "optim", "sparse"),
    "experiment",
}
#: The rooms with verbs.
ROOMS = {
    *("runs", "prediction", "evaluation", "training", "submission", "view", "convert", "prepare", "bench"),
    *("doctor", "synthetic", "study", "watch", "export"),
}

#: What each part of pointseg may import of pointseg, besides itself.
ALLOWED = {
    "config": set(),
    "core": set(),
    "sparse": {"core"},
    "resources": set(),
    "formats": {"core"},
    "models": {"core", "config", "sparse"},
    "losses": {"core", "config"},
    "optim": {"config"},
    "data": {"core", "config", "formats"},
    "scans": {"core", "config", "data", "formats"},
    "images": {"core", "config", "data", "formats"},
    "synthetic": {"core", "formats"},
    "experiment": {"core", "config", "models", "losses", "data", "scans", "images", "optim", "sparse"},
    "runs": {*BELOW},
    "prediction": {*BELOW, "runs"},
    "evaluation": {*BELOW, "runs", "prediction"},
    "training": {*BELOW, "runs", "prediction", "evaluation"},
    "study": {*BELOW, "runs", "prediction", "evaluation", "training"},
    "submission": {*BELOW, "runs", "prediction", "evaluation"},
    # A store is shown without a run, and a converted checkpoint is of scans.
    "view": {*BELOW, "scans", "runs", "prediction", "evaluation"},
    "convert": {*BELOW, "scans", "runs"},
    "export": {*BELOW, "runs", "prediction", "evaluation"},
    "prepare": {"core", "data", "formats", "scans", "images"},
    # What the trainer says to those who look on, as the gallery shows it.
    "watch": {*BELOW, "training", "view"},
    "bench": {"core", "models", "sparse"},
    "doctor": {"bench", "core", "sparse"},
    "api": {
        *("core", "config", "data", "experiment", "scans", "formats", "evaluation", "runs"),
        *("prediction", "training", "view"),
    },
    "cli": {*ROOMS, "config", "experiment"},
    "__init__": {"api"},
    "__main__": {"cli"},
}


def part_of(module: str) -> str | None:
    """'pointseg.scans.store' -> 'data'; None for modules that are not ours."""
    pieces = module.split(".")
    return None if pieces[0] != "pointseg" else (pieces[1] if len(pieces) > 1 else "__init__")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


SOURCES = sorted((ROOT / "pointseg").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    relative = path.relative_to(ROOT / "pointseg")
    own = relative.parts[0].removesuffix(".py")
    assert own in ALLOWED, f"{relative}: a new part of the house; give it a row in ALLOWED"
    for module in imports_of(path):
        part = part_of(module)
        # `from pointseg import __version__` reads a constant and runs nothing.
        if part is None or part in (own, "__init__"):
            continue
        assert part in ALLOWED[own], f"{relative} imports {module}: {own} may use {sorted(ALLOWED[own])}"
        assert not module.startswith(("data_prep", "scripts"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_outgrows_its_idea(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 410, f"{path.relative_to(ROOT)} has {lines} lines; split it by idea"


def test_relative_imports_are_not_used() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: write the full module name"


def test_configuration_and_sparse_engine_stand_alone() -> None:
    for part in ("config", "sparse"):
        for path in (ROOT / "pointseg" / part).rglob("*.py"):
            ours = {m for m in imports_of(path) if part_of(m) not in (None, part)}
            # What of the core imports nothing of ours may go with them: the writer of files, for instance.
            for module in ours:
                file = ROOT / f"{module.replace('.', '/')}.py"
                inner = {m for m in imports_of(file) if part_of(m) is not None}
                assert part_of(module) == "core" and not inner, f"{path}: {module}, {inner}"
