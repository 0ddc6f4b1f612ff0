"""Which tests execute which line of pointseg, and what each computes: measured, and kept in build/mutants."""

from __future__ import annotations

import ast
import bisect
import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from mutants_run import ROOT, in_child
from mutations import Mutant

CACHE = ROOT / "build" / "mutants"
#: A mutant may run forever: so many seconds of computing are allowed, beside what its tests need without it.
TIMEOUT_S = 30.0
TIMEOUT_FACTOR = 2.0
#: Seconds of computing that the tests of one mutant may take together before all the others are asked.
BUDGET_S = 60.0
#: And that all tests of a folder may take while they are measured.
MEASURE_S = 3600
#: Tests whose files are not worth their time here: they start many processes, measure, or judge mutants.
LEFT_OUT = ("tests/gpu", "tests/bench", "tests/scripts", "tests/test_readme.py", "tests/test_wheel.py")
#: Folders of tests that concern one folder of code, and are measured only where that is mutated.
OF_ONE_FOLDER = {f"tests/{name}": name for name in ("losses", "sparse", "models", "synthetic")}
#: Folder of code -> tests of it that start processes, in which coverage sees nothing.
IN_PROCESSES = {
    "losses": ("tests/losses/test_data_parallel.py",),
    "training": ("tests/training/test_distributed.py",),
    "evaluation": ("tests/training/test_distributed.py",),
}


@dataclass(frozen=True)
class Coverage:
    """What the tests execute.

    Args:
        lines: file -> line -> tests that execute it.
        seconds: test -> what it computes, in seconds of a processor.
    """

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests_of(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """The tests to run for a mutant in their order: as many as the budget of time allows, and the rest.

        A line outside functions runs at the import; whatever uses its file may notice it, and so may all
        tests of its folder: an option's range is no line that is executed where it is used.
        """
        of_file = self.lines.get(mutant.file, {})
        span = _statement(mutant)
        whole = of_file if span is None else span
        tests = {test for line in whole for test in of_file.get(line, ())}
        if span is None:
            tests |= {test for test in self.seconds if _distance(test, mutant) < 2}
        ordered = sorted(tests, key=lambda test: (_distance(test, mutant), self.seconds[test], test))
        total = list(itertools.accumulate(self.seconds[test] for test in ordered))
        within = max(1, bisect.bisect_right(total, BUDGET_S))
        processes = list(IN_PROCESSES.get(folder_of(mutant), ()))
        if not ordered:
            return processes, []
        return ordered[:within], [*ordered[within:], *processes]

    def limit_s(self, tests: Sequence[str]) -> int:
        """Seconds of a processor that tests of a mutant may take."""
        return int(TIMEOUT_S + TIMEOUT_FACTOR * sum(self.seconds.get(test, BUDGET_S) for test in tests))


def _distance(test: str, mutant: Mutant) -> int:
    """0 for a test of the mutant's own module, 1 for one of its folder, 2 elsewhere."""
    file = Path(test.split("::")[0])
    if file.parent != Path("tests", *Path(mutant.file).parts[1:2]):
        return 2
    return int(Path(mutant.file).stem not in file.stem)


def _statement(mutant: Mutant) -> range | None:
    """The lines of the innermost statement around a mutant, up to its body; None outside functions."""
    tree = ast.parse((ROOT / mutant.file).read_text(encoding="utf-8"))
    found = None
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            if isinstance(node, ast.stmt):
                body = getattr(node, "body", None)
                end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
                lines = range(node.lineno, max(end, node.lineno + 1))
                if mutant.line in lines and (found is None or len(lines) < len(found)):
                    found = lines
    return found


def folder_of(mutant: Mutant) -> str:
    """The folder of pointseg that it is in."""
    return mutant.file.split("/")[1]


class Recorder:
    """A plugin of pytest that writes which lines of pointseg each test executes, and what it computes.

    Args:
        copy: the tree.
        records: file of tests -> where that is written.
    """

    def __init__(self, copy: Path, records: dict[str, Path]) -> None:
        import coverage

        self.copy, self.records = copy, records
        self.measuring = coverage.Coverage(data_file=None, include=[f"{copy}/pointseg/*"], config_file=False)
        self.seconds: dict[str, float] = {}
        self.before = 0.0
        self.failed: set[str] = set()
        self.measuring.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.before = sum(os.times()[:4])
        self.measuring.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = sum(os.times()[:4]) - self.before

    def pytest_sessionfinish(self) -> None:
        self.measuring.stop()
        data = self.measuring.get_data()
        # Executed at the import, before any test, is context "".
        executed = {
            str(Path(file).relative_to(self.copy)): {
                line: [test for test in tests if test]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        passed = {test: took for test, took in self.seconds.items() if test not in self.failed}
        for file, record in self.records.items():
            prefix = f"{file}::"
            lines = {
                name: found
                for name, of_file in executed.items()
                if (
                    found := {
                        line: mine
                        for line, tests in of_file.items()
                        if (mine := [test for test in tests if test.startswith(prefix) and test in passed])
                    }
                )
            }
            seconds = {test: took for test, took in passed.items() if test.startswith(prefix)}
            code = {name: _digest([self.copy / name], root=self.copy) for name in lines}
            text = json.dumps({"lines": lines, "seconds": seconds, "code": code})
            record.write_text(text, encoding="utf-8")


def measure(free: Queue[Path], jobs: int, folders: Sequence[str], tests: tuple[str, ...]) -> Coverage:
    """What all tests execute, from the cache where neither a test nor what it executes has changed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    others = tuple(tests for tests, folder in OF_ONE_FOLDER.items() if folder not in folders)
    files = [file for file in files if file.startswith(tests) and not file.startswith((*LEFT_OUT, *others))]
    kept = {file: CACHE / f"{_digest([ROOT / file, *_helpers(file)])}.json" for file in files}
    missing: dict[Path, list[str]] = {}
    for file in files:
        if not _is_current(kept[file]):
            missing.setdefault(Path(file).parent, []).append(file)

    def measured(of_folder: list[str]) -> None:
        """Loading pointseg takes longer than most files: a folder's files run in one process."""
        copy = free.get()
        try:
            records = {file: kept[file] for file in of_folder}
            code = in_child(copy, of_folder, MEASURE_S, plugin=lambda: Recorder(copy, records))
            if code not in (0, 5):
                output = (copy / "output.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
                if code != 1:
                    raise RuntimeError(f"{', '.join(of_folder)}: the tests do not run: {code}\n{output}")
                print(f"{output}\ntests that fail are left out", flush=True)
        finally:
            free.put(copy)
        print(f"measured {', '.join(of_folder)}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(measured, missing.values()))
    lines: dict[str, dict[int, list[str]]] = {}
    seconds: dict[str, float] = {}
    for file in files:
        if not kept[file].is_file():
            continue
        found = json.loads(kept[file].read_text(encoding="utf-8"))
        seconds |= found["seconds"]
        for name, of_file in found["lines"].items():
            for line, tests in of_file.items():
                lines.setdefault(name, {}).setdefault(int(line), []).extend(tests)
    return Coverage(lines, seconds)


def _helpers(file: str) -> list[Path]:
    """What lies beside a file of tests, and above it, and is none."""
    found = {*(ROOT / "tests").glob("*.py"), *(ROOT / file).parent.rglob("*.py")}
    return [path for path in found if not path.name.startswith("test_")]


def _is_current(record: Path) -> bool:
    """Whether what a test executed is the code of today."""
    if not record.is_file():
        return False
    code = json.loads(record.read_text(encoding="utf-8"))["code"]
    return all((ROOT / name).is_file() and _digest([ROOT / name]) == digest for name, digest in code.items())


def _digest(paths: Sequence[Path], root: Path = ROOT) -> str:
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()[:24]
