"""Faults on purpose: does everything that was stopped or damaged go on, and end as if nothing had happened?

    python scripts/fault_injection.py --faults 20 --seed 0

Each fault meets one command of the chain (synthesize, prepare, train, evaluate, predict, submit): it is
killed at a random moment, asked to stop by a signal, denied space on the disk, given a damaged scene, or met
by a second writer. Then the same command runs again, undisturbed. What it leaves must be, bit for bit on a
CPU, what a command leaves that was never disturbed; a damaged input must have been refused by name. One line
a fault, and a count of outcomes at the end; the exit code is 1 when anything was lost or differs.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
RECIPE = """
data: {type: store, path: STORE, voxel_size_m: 0.2, features: [color, height]}
augment: [{type: flip}, {type: voxelize}, {type: sphere_crop, max_points: 300}]
model: {type: minkunet, variant: 14A, widths: [8, 8, 8, 8, 8, 8, 8, 8], stem_channels: 8, stem_kernel: 3}
optimizer: {type: sgd, lr: 0.1}
train: {steps: 8, batch_size: 1, val_every: 4, checkpoint_every: 2, log_every: 1, num_threads: 1}
evaluate: {max_tile_points: 20000}
"""


@dataclass(frozen=True)
class Command:
    """A verb in a folder of its own.

    Args:
        name: for people.
        words: the command line, given its output.
        damages: file of an input that can be damaged, or None.
    """

    name: str
    words: Callable[[Path], list[str]]
    damages: Path | None = None


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
    def start(cls, words: list[str], *, file_size: int | None = None) -> Child:
        """Start a command; ``file_size`` is the most bytes that a file of it may have."""
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        pid = os.fork()
        if pid == 0:
            os._exit(_command(words, writing, file_size))
        os.close(writing)
        return cls(pid, reading)

    def end(self) -> tuple[int, str]:
        """Wait for it; its exit code, negative for a signal, and what it said."""
        _, status = os.waitpid(self.pid, 0)
        # Workers of one that was killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with os.fdopen(self.pipe, encoding="utf-8", errors="replace") as stream:
            said = stream.read()
        return os.waitstatus_to_exitcode(status), said


def _command(words: list[str], output: int, file_size: int | None) -> int:
    """In the child: the command's exit code."""
    try:
        os.setsid()
        # In the background of a shell it is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if file_size is not None:
            # As on a full disk, what exceeds it cannot be written, by numpy and torch neither.
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
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


def digest(path: Path) -> dict[str, str]:
    """What an output holds: relative name -> hash, of what must not depend on when it was made."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = {}
    for file in files:
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
    return file.read_bytes()


def _of_tensors(value: object) -> bytes:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return b"".join(f"{key}:".encode() + _of_tensors(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return b"".join(map(_of_tensors, value))
    return repr(value).encode()


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
        self.commands = [synthesize, prepare, train, evaluate, predict, submit]
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
        """Where a command is to write; what was there is gone."""
        suffix = {"evaluate": ".json", "predict": ".ply", "submit": ".zip"}.get(command.name, "")
        path = self.folder / f"{command.name}-{name}{suffix}"
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def _refer(self, command: Command, out: Path) -> None:
        began = time.monotonic()
        code, said = Child.start(command.words(out)).end()
        if code:
            sys.exit(f"{command.name} fails undisturbed, exit {code}:\n{said}")
        self.references[command.name] = digest(out), time.monotonic() - began


def disturb(chain: Chain, command: Command, fault: str, rng: random.Random, number: int) -> tuple[str, str]:
    """One fault and the run after it; what happened and the outcome."""
    reference, seconds = chain.reference(command)
    out = chain.output(command, f"{number}")
    words = command.words(out)
    if fault.startswith("SIG"):
        moment = rng.uniform(0, 1.1 * seconds)
        child = Child.start(words)
        time.sleep(moment)
        os.kill(child.pid, getattr(signal, fault))
        code, _ = child.end()
        what = f"{fault} after {moment:.2f} of {seconds:.2f} s: exit {code}"
    elif fault == "full disk":
        size = rng.choice([0, 1, 100, 4096, rng.randrange(1, 200_000)])
        code, said = Child.start(words, file_size=size).end()
        what = f"no file above {size} bytes: exit {code}"
        if "Traceback" in said:
            return what, f"TRACEBACK\n{said}"
        if code == 0 and digest(out) != reference:
            return what, "DIFFERS without a word"
    elif fault == "scene gone on the way":
        child = Child.start([*words, "train.workers=1"])
        code, said = _lose_scene(child, out, command)
        what = f"a scene vanished after the first step: exit {code}"
        assert command.damages is not None
        # It may have read all that it needed before.
        if code and (code != 2 or command.damages.parent.name not in said or "Traceback" in said):
            return what, f"NOT NAMED\n{said}"
    elif fault == "damaged scene":
        assert command.damages is not None
        original = command.damages.read_bytes()
        at = rng.randrange(200, len(original))
        changed = bytes([*original[:at], original[at] ^ 1 << rng.randrange(8), *original[at + 1 :]])
        command.damages.write_bytes(rng.choice([original[:at], changed]))
        code, said = Child.start(words).end()
        command.damages.write_bytes(original)
        what = f"{command.damages.name} damaged at {at}: exit {code}"
        if code != 2 or command.damages.name not in said:
            return what, f"NOT REFUSED\n{said}"
    else:
        first = Child.start(words)
        limit = time.monotonic() + 60
        while not (out / ".lock").exists() and time.monotonic() < limit:
            time.sleep(0.005)
        code, said = Child.start(words).end()
        first_code, first_said = first.end()
        what = f"a second one beside it: exit {code}, the first: exit {first_code}"
        # The first may have ended before the second began.
        if first_code or not (code == 0 or (code == 2 and "writes this" in said)):
            return what, f"NOT REFUSED\n{first_said}{said}"
    again, said = Child.start(words).end()
    if again:
        return what, f"LOST: the run after it ends with {again}\n{said}"
    found = digest(out)
    if found != reference:
        names = sorted(n for n in {**found, **reference} if found.get(n) != reference.get(n))
        return what, f"DIFFERS: {', '.join(names[:5])}"
    # Beside a file of one's own nobody may clean up: another writer may be at work.
    for left in out.parent.glob(f".{out.name}.*"):
        left.unlink()
    shutil.rmtree(out, ignore_errors=True)
    return what, "equal"


def _lose_scene(child: Child, out: Path, command: Command) -> tuple[int, str]:
    """Exit code and words of a training whose scene vanishes after its first step; it is there again then."""
    assert command.damages is not None
    scene, aside = command.damages.parent, command.damages.parent.with_name("aside")
    log, limit = out / "metrics.jsonl", time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.002)
    scene.rename(aside)
    code, said = child.end()
    aside.rename(scene)
    return code, said


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Path(folder))
        common = ["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "full disk"]
        for number in range(options.faults):
            command = chain.commands[number % len(chain.commands)]
            more = ["damaged scene", "scene gone on the way"] if command.damages else []
            more += ["second writer"] if command.name in ("synthesize", "prepare", "train") else []
            fault = rng.choice([*common, *more])
            what, outcome = disturb(chain, command, fault, rng, number)
            kind, _, details = outcome.partition("\n")
            print(f"{number + 1:4} {command.name:10} {what}; after it: {kind}", flush=True)
            if details:
                print(details, flush=True)
            outcomes[kind.split(":")[0].split()[0]] += 1
    print(f"faults {options.faults}: " + ", ".join(f"{name} {n}" for name, n in sorted(outcomes.items())))
    return int(outcomes["equal"] != options.faults)


if __name__ == "__main__":
    sys.exit(main())
