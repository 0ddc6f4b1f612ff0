"""`make mutants`: small wrong changes of the code, drawn by a seed, and which of them no test notices.

    python scripts/mutants.py --sample 60 --seed 1 [--jobs 2] [--folders scans formats]

The last line is `killed K of N`. Mutants that are known to change nothing, tests/mutants_equivalent.txt with
the reason, are left out and counted apart.

For each mutant only the tests run that execute its line, quickest first, up to the first that fails; which
those are is measured with coverage once for each state of the code and kept in build/mutants. Everything
happens in copies of the tree.

Why no public tool: mutmut 3.8 mutates bodies of functions alone, not the defaults of options and the
constants that decide so much here, and draws no sample by a seed. cosmic-ray 8.7 starts one command, all
tests, for every mutant: here only those that execute the line run, in a process that has imported torch and
forks.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from mutations import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("losses", "evaluation", "training", "scans", "formats", "optim", "runs")
EQUIVALENT = ROOT / "tests" / "mutants_equivalent.txt"
CACHE = ROOT / "build" / "mutants"
#: A mutant may run forever; a machine with other work is slow now and then.
TIMEOUT_S = 120.0
TIMEOUT_FACTOR = 5.0
#: Seconds that the tests of one mutant may take together.
BUDGET_S = 120.0
#: Tests whose files are not worth their time here: they start many processes, or measure.
LEFT_OUT = ("tests/gpu", "tests/bench", "tests/test_readme.py")
#: Folders of tests that concern one folder of code, and are measured only where that is mutated.
OF_ONE_FOLDER = {f"tests/{name}": name for name in ("losses", "sparse", "models", "synthetic")}
#: Modules that take long to import and hold nothing of ours.
HEAVY = (
    *("torch", "torch.utils.tensorboard", "numpy", "scipy.spatial", "pydantic"),
    *("rich.progress", "pytest", "coverage"),
)


@dataclass(frozen=True)
class Coverage:
    """What the tests execute.

    Args:
        lines: file -> line -> tests that execute it.
        seconds: test -> how long it takes.
    """

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests to run for a mutant, quickest first, as many as the budget of time allows.

        A line outside functions runs at the import; whatever uses its file may notice it.
        """
        of_file = self.lines.get(mutant.file, {})
        span = _statement(mutant)
        whole = of_file if span is None else span
        tests = {test for line in whole for test in of_file.get(line, ())}
        chosen: list[str] = []
        total = 0.0
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            total += self.seconds[test]
            if chosen and total > BUDGET_S:
                break
            chosen.append(test)
        return chosen


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--folders", nargs="+", default=list(FOLDERS))
    parser.add_argument("--tests", nargs="+", default=["tests"], help="folders or files to run; all")
    options = parser.parse_args(arguments)
    drawn, num_equivalent = draw(options.folders, options.sample, options.seed)
    for module in HEAVY:
        with contextlib.suppress(ImportError):
            __import__(module)
    with copies(options.jobs) as free:
        coverage = measure(free, options.jobs, options.folders, tuple(options.tests))
        killed = Counter[str]()
        total = Counter(_folder(mutant) for mutant in drawn)
        survivors = []
        with ThreadPoolExecutor(options.jobs) as pool:
            for number, (mutant, fate) in enumerate(pool.map(lambda m: _judge(m, coverage, free), drawn), 1):
                print(f"[{number}/{len(drawn)}] {mutant.file}:{mutant.line} {fate}", flush=True)
                killed[_folder(mutant)] += fate.startswith("killed")
                if not fate.startswith("killed"):
                    survivors.append((mutant, fate))
    for mutant, fate in survivors:
        print(f"\n{mutant.file}:{mutant.line} {fate}: {mutant.change}\n{_difference(mutant)}", end="")
    print()
    for folder in sorted(total):
        print(f"{folder}: {killed[folder]} of {total[folder]}")
    print(f"seed {options.seed}; {num_equivalent} mutants that change nothing were left out")
    print(f"killed {killed.total()} of {len(drawn)}")
    return 0


def draw(folders: Sequence[str], sample: int, seed: int) -> tuple[list[Mutant], int]:
    """The sample, and how many equivalent mutants there are beside those it is drawn from.

    Raises:
        ValueError: for a folder that is not there.
    """
    known = {(file, code, change) for file, code, change, _ in equivalents()}
    every: list[Mutant] = []
    for folder in folders:
        files = sorted((ROOT / "pointseg" / folder).rglob("*.py"))
        if not files:
            raise ValueError(f"pointseg/{folder}: no such folder; choose of {', '.join(FOLDERS)}.")
        for path in files:
            every += mutants_of(ROOT, str(path.relative_to(ROOT)))
    others = [m for m in every if (m.file, m.code, m.change) not in known]
    chosen = random.Random(seed).sample(others, min(sample, len(others)))
    return chosen, len(every) - len(others)


def equivalents() -> list[tuple[str, str, str, str]]:
    """(file, code of the line, change, reason) of each mutant that changes nothing: four lines and a blank.

    Raises:
        ValueError: where an entry has not four lines.
    """
    if not EQUIVALENT.is_file():
        return []
    text = "\n".join(
        line for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    entries = [tuple(entry.strip().split("\n")) for entry in text.split("\n\n") if entry.strip()]
    for entry in entries:
        if len(entry) != 4:
            raise ValueError(
                f"{EQUIVALENT}: expected file, code, change and reason, a line each; got {entry}."
            )
    return entries  # type: ignore[return-value]


def _folder(mutant: Mutant) -> str:
    return mutant.file.split("/")[1]


def _difference(mutant: Mutant) -> str:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        source.splitlines(keepends=True), mutant.applied(source).splitlines(keepends=True), n=1
    )
    return "".join(list(lines)[3:])


@contextlib.contextmanager
def copies(number: int) -> Iterator[Queue[Path]]:
    """Copies of the tree, one for each job; each is taken out while it is used."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / "pointseg").rglob("*.so")]
    free: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for job in range(number):
            copy = Path(folder) / str(job)
            for name in {*listed.stdout.splitlines(), *compiled}:
                if (ROOT / name).is_file():
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, copy / name)
            free.put(copy)
        yield free


def _judge(mutant: Mutant, coverage: Coverage, free: Queue[Path]) -> tuple[Mutant, str]:
    """Run the tests of a mutant in a free copy; what became of it."""
    tests = coverage.tests_of(mutant)
    if not tests:
        return mutant, "survived: no test executes it"
    copy = free.get()
    file = copy / mutant.file
    source = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutant.applied(source), encoding="utf-8")
        limit = TIMEOUT_S + TIMEOUT_FACTOR * sum(coverage.seconds[test] for test in tests)
        began = time.monotonic()
        code = in_child(copy, [*tests, "-x"], limit)
        seconds = time.monotonic() - began
    finally:
        file.write_text(source, encoding="utf-8")
        free.put(copy)
    if code is None:
        return mutant, f"killed by the time limit of {limit:.0f} s"
    return mutant, f"survived {len(tests)} tests" if code == 0 else f"killed in {seconds:.0f} s"


def in_child(copy: Path, arguments: Sequence[str], limit_s: float, record: Path | None = None) -> int | None:
    """The exit code of pytest in a copy of the tree, in a process forked from this one; None out of time.

    Args:
        copy: the tree.
        arguments: tests and options.
        limit_s: seconds after which it is ended.
        record: where to write which lines each test executes.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setsid()
            code = _run_tests(copy, arguments, record)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            # What tests left running holds on to nothing of ours.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run_tests(copy: Path, arguments: Sequence[str], record: Path | None) -> int:
    os.chdir(copy)
    ours = {str(ROOT), str(ROOT / "scripts")}
    sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in ours)]
    # A file that changes within a second, by no byte in length, would be taken for its old bytecode.
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    output = os.open(copy / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import pytest

    for name in [name for name in sys.modules if name in ("mutations",)]:
        del sys.modules[name]
    plugins = [] if record is None else [Recorder(copy, record)]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=short"]
    code = int(pytest.main([*arguments, *options], plugins=plugins))
    import pointseg

    assert Path(pointseg.__file__).is_relative_to(copy), f"{pointseg.__file__} is not the copy's"
    return code


class Recorder:
    """A plugin of pytest that writes which lines of pointseg each test executes, and how long it takes."""

    def __init__(self, copy: Path, record: Path) -> None:
        import coverage

        self.copy, self.record = copy, record
        self.measuring = coverage.Coverage(data_file=None, include=[f"{copy}/pointseg/*"], config_file=False)
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.measuring.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.measuring.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.measuring.stop()
        data = self.measuring.get_data()
        lines: dict[str, dict[int, list[str]]] = {}
        for file in data.measured_files():
            # Executed at the import, before any test, is context "".
            of_file = {n: [c for c in found if c] for n, found in data.contexts_by_lineno(file).items()}
            name = str(Path(file).relative_to(self.copy))
            lines[name] = {n: found for n, found in of_file.items() if found}
        lines = {name: of_file for name, of_file in lines.items() if of_file}
        passed = {test: took for test, took in self.seconds.items() if test not in self.failed}
        self.record.write_text(json.dumps({"lines": lines, "seconds": passed}), encoding="utf-8")


def measure(free: Queue[Path], jobs: int, folders: Sequence[str], tests: tuple[str, ...]) -> Coverage:
    """What all tests execute, from the cache where neither the code nor the test has changed."""
    code = _digest([*(ROOT / "pointseg").rglob("*.py")])
    helpers = _digest([path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_")])
    CACHE.mkdir(parents=True, exist_ok=True)
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    others = tuple(tests for tests, folder in OF_ONE_FOLDER.items() if folder not in folders)
    files = [file for file in files if file.startswith(tests) and not file.startswith((*LEFT_OUT, *others))]
    kept = {file: CACHE / f"{_digest([ROOT / file], code, helpers, file)}.json" for file in files}
    missing = [file for file in files if not kept[file].is_file()]

    def one(file: str) -> None:
        copy = free.get()
        try:
            if in_child(copy, [file], 1800, kept[file]) not in (0, 5):
                print(f"{file} does not pass, so tests of it that fail are left out", flush=True)
        finally:
            free.put(copy)
        print(f"measured {file}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, missing))
    lines: dict[str, dict[int, list[str]]] = {}
    seconds: dict[str, float] = {}
    for file in files:
        if not kept[file].is_file():
            continue
        found = json.loads(kept[file].read_text(encoding="utf-8"))
        seconds |= found["seconds"]
        for name, of_file in found["lines"].items():
            for line, tests in of_file.items():
                passed = [test for test in tests if test in found["seconds"]]
                lines.setdefault(name, {}).setdefault(int(line), []).extend(passed)
    return Coverage(lines, seconds)


def _digest(paths: Sequence[Path], *more: str) -> str:
    found = hashlib.sha256(repr(more).encode())
    for path in sorted(paths):
        found.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return found.hexdigest()[:24]


if __name__ == "__main__":
    sys.exit(main())
