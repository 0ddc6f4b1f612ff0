"""`make mutants`: small wrong changes of the code, drawn by a seed, and which of them no test notices.

    python scripts/mutants.py --sample 60 --seed 1 [--jobs 2] [--folders scans formats]

The last line is `killed K of N`. Mutants that are known to change nothing, tests/mutants_equivalent.txt with
the reason, are left out and counted apart.

For each mutant only the tests run that execute its line, up to the first that fails: those of its own module
and folder first, quickest first. What survives a budget of time is judged once more by all the others, and by
the tests whose work is done in processes that they start. Which tests execute a line is measured with
coverage, again where a test or what it executes has changed, and kept in build/mutants. Everything happens in
copies of the tree.

Why no public tool: mutmut 3.8 mutates bodies of functions alone, not the defaults of options and the
constants that decide so much here, and draws no sample by a seed. cosmic-ray 8.7 starts one command, all
tests, for every mutant: here only those that execute the line run, in a process that has loaded everything
and forks; the function that is mutated gets its new code there.
"""

from __future__ import annotations

import argparse
import difflib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from mutants_coverage import Coverage, folder_of, measure
from mutants_run import ROOT, copies, in_child
from mutations import Mutant, mutants_of

FOLDERS = ("losses", "evaluation", "training", "scans", "formats", "optim", "runs")
EQUIVALENT = ROOT / "tests" / "mutants_equivalent.txt"


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
    with copies(options.jobs) as free:
        coverage = measure(free, options.jobs, options.folders, tuple(options.tests))
        killed = Counter[str]()
        total = Counter(folder_of(mutant) for mutant in drawn)
        survivors = []
        with ThreadPoolExecutor(options.jobs) as pool:
            for number, (mutant, fate) in enumerate(pool.map(lambda m: _judge(m, coverage, free), drawn), 1):
                print(f"[{number}/{len(drawn)}] {mutant.file}:{mutant.line} {fate}", flush=True)
                killed[folder_of(mutant)] += fate.startswith("killed")
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


def _difference(mutant: Mutant) -> str:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    lines = difflib.unified_diff(
        source.splitlines(keepends=True), mutant.applied(source).splitlines(keepends=True), n=1
    )
    return "".join(list(lines)[3:])


def _judge(mutant: Mutant, coverage: Coverage, free: Queue[Path]) -> tuple[Mutant, str]:
    """Run the tests of a mutant in a free copy; what became of it."""
    first, others = coverage.tests_of(mutant)
    if not first:
        return mutant, "survived: no test executes it"
    copy = free.get()
    file = copy / mutant.file
    source = file.read_text(encoding="utf-8")
    began = time.monotonic()
    mutated = mutant.applied(source)
    try:
        file.write_text(mutated, encoding="utf-8")
        for tests in filter(None, (first, others)):
            limit_s = coverage.limit_s(tests)
            code = in_child(copy, [*tests, "-x"], limit_s, texts=(source, mutated))
            if code is None or code == -signal.SIGXCPU:
                return mutant, f"killed by the limit of {limit_s} s"
            if code:
                return mutant, f"killed in {time.monotonic() - began:.0f} s"
    finally:
        file.write_text(source, encoding="utf-8")
        free.put(copy)
    return mutant, f"survived {len(first) + len(others)} tests in {time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
