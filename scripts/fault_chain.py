"""The commands that scripts/fault_injection.py disturbs, and what each leaves when nobody disturbs it."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One thread: children are forked, and a pool of threads does not survive that.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch._dynamo  # Importing it takes seconds, which every child would pay.

from pointseg.cli import app
from pointseg.runs.checkpoint import load_checkpoint

#: Files of a RUN that tell when and where, not what.
NOT_COMPARED = {"environment.json", "log.txt", "config.yaml", ".lock"}
#: Of a row of metrics.jsonl likewise.
TIMES = {"seconds_per_step", "seconds", "samples_per_second", "time"}
#: Columns of results.csv likewise; the command has the folder in it.
COSTS = {"seconds", "cpu_seconds", "memory_mb", "command"}
#: capset(2): the version of its header for 64 capabilities.
_CAPABILITIES_V3 = 0x20080522
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
RECIPE = """
data: {type: store, path: STORE, voxel_size_m: 0.1, features: [color, height]}
augment: [{type: flip}, {type: voxelize}, {type: sphere_crop, max_points: 4000}]
model: {type: minkunet, variant: 14A, widths: [8, 8, 8, 8, 8, 8, 8, 8], stem_channels: 8, stem_kernel: 3}
optimizer: {type: sgd, lr: 0.1}
train: {steps: 8, batch_size: 1, val_every: 4, checkpoint_every: 2, log_every: 1, num_threads: 1}
evaluate: {max_tile_points: 20000}
"""
STUDY = """
name: faults
recipe: recipe.yaml
budgets: {short: 4}
seeds: [0]
methods: {cross_entropy: null, weighted: null}
validations: 2
"""


@dataclass(frozen=True)
class Command:
    """A verb in a folder of its own.

    Args:
        name: for people.
        words: the command line, given its output.
        damages: file of an input that can be damaged, or None.
        launcher: words for Python that start pointseg otherwise than by calling it, or none.
    """

    name: str
    words: Callable[[Path], list[str]]
    damages: Path | None = None
    launcher: tuple[str, ...] = ()

    def start(self, out: Path, more: tuple[str, ...] = (), **limits: Any) -> Child:
        """Start it; ``limits`` are those of :meth:`Child.start`."""
        return Child.start([*self.words(out), *more], launcher=self.launcher, **limits)


@dataclass
class Child:
    """A command that was started in a process of its own.

    Args:
        pid: of the process.
        pipe: where what it says comes out: a file of its own would be denied space with all others.
    """

    pid: int
    pipe: int

    @classmethod
    def start(
        cls,
        words: list[str],
        *,
        launcher: tuple[str, ...] = (),
        file_size: int | None = None,
        obeys_modes: bool = False,
    ) -> Child:
        """Start a command.

        Args:
            words: of pointseg.
            launcher: see :class:`Command`.
            file_size: the most bytes that a file of it may have.
            obeys_modes: that a folder is read-only holds for it too, though it be root.
        """
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        pid = os.fork()
        if pid == 0:
            os._exit(_command(words, launcher, writing, file_size, obeys_modes))
        os.close(writing)
        return cls(pid, reading)

    def workers(self) -> list[int]:
        """Processes that it has started for its work and that run."""
        try:
            born = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            words = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in born}
        except FileNotFoundError:
            return []
        return [pid for pid, line in words.items() if b"pointseg" in line or b"pointseg.study.work" in line]

    def has_ended(self) -> bool:
        """Whether it has, without waiting for it."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> tuple[int, str]:
        """Wait for it; its exit code, negative for a signal, and what it said."""
        _, status = os.waitpid(self.pid, 0)
        # Workers of one that was killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with os.fdopen(self.pipe, encoding="utf-8", errors="replace") as stream:
            said = stream.read()
        return os.waitstatus_to_exitcode(status), said


def _command(
    words: list[str], launcher: tuple[str, ...], output: int, file_size: int | None, obeys_modes: bool
) -> int:
    """In the child: the command's exit code."""
    try:
        os.setsid()
        # In the background of a shell, and under nohup, they are ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if file_size is not None:
            # As on a full disk, what exceeds it cannot be written, by numpy and torch neither.
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
        if obeys_modes:
            _lay_down_capabilities()
        if launcher:
            os.execv(sys.executable, [sys.executable, *launcher, "-m", "pointseg", *words])  # noqa: S606
        sys.argv = ["pointseg", *words]
        app(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _lay_down_capabilities() -> None:
    """Without them root may do what the modes of files say, and no more."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def digest(path: Path) -> dict[str, str]:
    """What an output holds: relative name -> hash, of what must not depend on when it was made."""
    if (path / "results").is_dir():
        # Of a study: its numbers; runs and records hold times.
        files = [path / "results" / "results.csv"]
    else:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = {}
    for file in filter(Path.is_file, files):
        name = str(file.relative_to(path))
        is_older = name.startswith("checkpoints/last.") and file.name != "last.pt"
        if file.name in NOT_COMPARED or "tensorboard" in name or is_older:
            continue
        found[name] = hashlib.sha256(_content(file)).hexdigest()[:16]
    return found


def _content(file: Path) -> bytes:
    if file.suffix == ".pt":
        return _of_tensors(load_checkpoint(file))
    if file.name == "metrics.jsonl":
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        return json.dumps([{k: v for k, v in row.items() if k not in TIMES} for row in rows]).encode()
    if file.suffix == ".json":
        data = json.loads(file.read_text())
        return json.dumps({k: v for k, v in data.items() if k not in TIMES}).encode()
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as stream:
            table = [{k: v for k, v in row.items() if k not in COSTS} for row in csv.DictReader(stream)]
        return json.dumps(table).encode()
    return file.read_bytes()


def _of_tensors(value: object) -> bytes:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return b"".join(f"{key}:".encode() + _of_tensors(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return b"".join(map(_of_tensors, value))
    return repr(value).encode()


def ends_differ(run: Path, reference: Path) -> list[str]:
    """What of the end of a training differs that went on with another number of processes.

    Its step, batches a step, and what has learned. BatchNorm's running statistics are not compared: a process
    follows those of its own micro-batches.
    """
    ours, theirs = (load_checkpoint(path / "checkpoints" / "last.pt") for path in (run, reference))
    differing = [name for name in ("step", "batches_per_step") if ours[name] != theirs[name]]
    for name, weight in ours["weights"].items():
        if name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked"):
            continue
        # Sums over processes and over micro-batches have their rounding each.
        if not torch.allclose(weight, theirs["weights"][name], rtol=1e-4, atol=1e-6):
            differing.append(name)
    return differing


class Chain:
    """The commands, each with inputs that an undisturbed run of the one before has made.

    Args:
        folder: where everything is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        raw, store, trained = folder / "raw", folder / "store", folder / "trained"
        recipe = folder / "recipe.yaml"
        recipe.write_text(RECIPE.replace("STORE", str(store)))
        self.references: dict[str, tuple[dict[str, str], float]] = {}
        scene = store / "scenes" / "scene0000_00" / "rgb.npy"
        synthesize = Command(
            "synthesize",
            lambda out: ["synthesize", str(out), "--scenes", "3", "--workers", "1", "--split-files"],
        )
        prepare = Command(
            "prepare",
            lambda out: [
                "prepare",
                "scannet",
                str(raw),
                str(out),
                "--labels",
                "scannet200",
                "--workers",
                "1",
            ],
        )
        train = Command(
            "train", lambda out: ["train", str(recipe), "--out", str(out), "--device", "cpu"], scene
        )
        evaluate = Command(
            "evaluate", lambda out: ["evaluate", str(trained), "--device", "cpu", "--json", str(out)]
        )
        predict = Command(
            "predict",
            lambda out: ["predict", str(trained), str(self.mesh), "-o", str(out), "--device", "cpu"],
        )
        submit = Command(
            "submit",
            lambda out: ["submit", str(trained), "-o", str(out), "--split", "val", "--device", "cpu"],
        )
        two = Command("two ranks", train.words, launcher=TWO_PROCESSES)
        study_file = folder / "study.yaml"
        study_file.write_text(STUDY)
        options = ["--jobs", "2", "--threads", "1", "--device", "cpu"]
        study = Command(
            "study",
            lambda out: [
                *("study", str(study_file), "--out", str(out / "runs"), "--results", str(out / "results")),
                *options,
            ],
        )
        self.commands = [synthesize, prepare, train, evaluate, predict, submit]
        #: What `two ranks` began goes on so, with the same batches a step.
        self.one_process = Command("one process", lambda out: [*train.words(out), "train.accumulate=2"])
        #: Start Python anew several times a run, which takes longer than what they do.
        self.slow_commands = [two, study]
        # The inputs of all the others; what those give is made when one of them is disturbed.
        for command, out in ((synthesize, raw), (prepare, store), (train, trained)):
            self._refer(command, out)

    def reference(self, command: Command) -> tuple[dict[str, str], float]:
        """What a command leaves undisturbed, and the seconds that it takes."""
        if command.name not in self.references:
            self._refer(command, self.output(command, "reference"))
        return self.references[command.name]

    @property
    def mesh(self) -> Path:
        return next((self.folder / "raw" / "scans").glob("*/*_vh_clean_2.ply"))

    def output(self, command: Command, name: str) -> Path:
        """Where a command is to write, files in a folder of theirs; what was there is gone."""
        suffix = {"evaluate": ".json", "predict": ".ply", "submit": ".zip"}.get(command.name, "")
        folder = self.folder / "files" if suffix else self.folder
        folder.mkdir(exist_ok=True)
        path = folder / f"{command.name}-{name}{suffix}"
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def _refer(self, command: Command, out: Path) -> None:
        began = time.monotonic()
        code, said = command.start(out).end()
        if code:
            sys.exit(f"{command.name} fails undisturbed, exit {code}:\n{said}")
        self.references[command.name] = digest(out), time.monotonic() - began
