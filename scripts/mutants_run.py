"""Tests that run in a copy of the tree, in a process that has imported torch and forks."""

from __future__ import annotations

import compileall
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import Queue

from mutants_patch import forget, load, patch

ROOT = Path(__file__).resolve().parents[1]
#: A mutant may wait forever: seconds in which none of its processes computes anything, however busy the
#: machine is with other work.
IDLE_S = 60.0


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
        for copy in (Path(folder) / str(job) for job in range(number)):
            for name in {*listed.stdout.splitlines(), *compiled}:
                if (ROOT / name).is_file():
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, copy / name)
            # By the hash of the text: a mutant is younger by less than a second, and no byte longer.
            compileall.compile_dir(
                copy / "pointseg", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH
            )
            free.put(copy)
        # All are alike, and what was loaded from one serves all.
        load(Path(folder) / "0")
        yield free


def in_child(
    copy: Path,
    arguments: Sequence[str],
    limit_s: int,
    *,
    texts: tuple[str, str] | None = None,
    plugin: Callable[[], object] | None = None,
    idle_s: float = IDLE_S,
) -> int | None:
    """The exit code of pytest in a copy of the tree, in a process forked from this one.

    It is -SIGXCPU where the limit of time was computed through, and None where it waited for too long.

    Args:
        copy: the tree.
        arguments: tests and options.
        limit_s: seconds of a processor after which it is ended.
        texts: of a module, loaded and to be.
        plugin: makes a plugin of pytest, in that process.
        idle_s: seconds after which it is ended where it computes nothing.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 10))
            if texts is not None and not patch(*texts):
                forget()
            code = _run_tests(copy, arguments, plugin)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    computed, since = 0, time.monotonic()
    while time.monotonic() < since + idle_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            # What tests left running holds on to nothing of ours.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > since + idle_s / 4 and (now := _computed(child)) != computed:
            computed, since = now, time.monotonic()
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _computed(group: int) -> int:
    """Ticks of a processor that the living processes of a group have used."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # Behind the name, which may hold anything: state, parent, group, ..., user time, system time.
            words = (process / "stat").read_text().rpartition(")")[2].split()
            if int(words[2]) == group:
                total += int(words[11]) + int(words[12])
    return total


def _run_tests(copy: Path, arguments: Sequence[str], plugin: Callable[[], object] | None) -> int:
    os.chdir(copy)
    ours = {str(ROOT), str(ROOT / "scripts")}
    sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in ours)]
    os.environ["PYTHONPATH"] = str(copy)
    output = os.open(copy / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import pytest

    plugins = [] if plugin is None else [plugin()]
    # The tests of mutants import those of the copy.
    for name in ("mutations", "mutants_run", "mutants_coverage", "mutants_patch"):
        sys.modules.pop(name, None)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=short"]
    # Plugins of pytest are loaded before it.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = int(pytest.main([*arguments, *options], plugins=plugins))
    import pointseg

    assert Path(pointseg.__file__).is_relative_to(copy.parent), f"{pointseg.__file__} is not the copy's"
    return code
