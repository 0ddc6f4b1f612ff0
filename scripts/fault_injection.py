"""Faults on purpose: does everything that was stopped or damaged go on, and end as if nothing had happened?

    python scripts/fault_injection.py --faults 20 --seed 0

Each fault meets one command of the chain (synthesize, prepare, train, evaluate, predict, submit, and in one
of twenty a training of two processes or a study): it is killed at a random moment, asked to stop by a signal,
denied space on the disk, given a folder that is read-only or a damaged scene, met by a second writer, or it
loses a process. Then the same command runs again, undisturbed. What it leaves must be, bit for bit on a CPU,
what a command leaves that was never disturbed; a damaged input must have been refused by name. One line a
fault, and a count of outcomes at the end; the exit code is 1 when anything was lost or differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from fault_chain import Chain, Command, digest, ends_differ

COMMON = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "full disk", "read-only folder")
OF_RANKS = ("rank killed", "rank killed", "rank killed", "SIGTERM", "SIGINT", "SIGHUP")
OF_A_STUDY = ("SIGKILL", "SIGKILL", "run killed", "run killed", "SIGTERM", "SIGINT")
#: Seconds in which a training has to end that has lost one of its processes, and in which anything has to.
LIMIT_S, PATIENCE_S = 60, 300
#: One in so many faults meets a command that starts Python anew several times.
SLOW_EVERY = 20


class BadOutcomeError(Exception):
    """Something was lost, differs or was not said; its text is the outcome."""


def faults_of(command: Command) -> tuple[str, ...]:
    """What can happen to a command; what is named twice happens twice as often."""
    if command.name == "two ranks":
        return OF_RANKS
    if command.name == "study":
        return OF_A_STUDY
    more: tuple[str, ...] = ("damaged scene", "scene gone on the way") if command.damages else ()
    return (
        *COMMON,
        *more,
        *(("second writer",) if command.name in ("synthesize", "prepare", "train") else ()),
    )


def disturb(chain: Chain, command: Command, fault: str, rng: random.Random, number: int) -> tuple[str, str]:
    """One fault and the run after it; what happened and the outcome."""
    reference, _ = chain.reference(command)
    out = chain.output(command, f"{number}")
    strike = _STRIKES.get(fault, _signalled)
    what, resumed = fault, command
    try:
        what = strike(chain, command, out, rng, fault)
        if command.name == "two ranks" and rng.random() < 0.5:
            resumed = chain.one_process
            what += "; goes on with one process"
        again, said = resumed.start(out).end()
        if again:
            raise BadOutcomeError(f"LOST: the run after it ends with {again}\n{said}")
        found = digest(out)
        if resumed is not command:
            differing = ends_differ(out, chain.folder / "two ranks-reference")
        else:
            differing = sorted(n for n in {**found, **reference} if found.get(n) != reference.get(n))
        if differing:
            raise BadOutcomeError(f"DIFFERS: {', '.join(differing[:5])}")
    except BadOutcomeError as outcome:
        return what, str(outcome)
    # Beside a file of one's own nobody may clean up: another writer may be at work.
    for left in out.parent.glob(f".{out.name}.*"):
        left.unlink()
    shutil.rmtree(out, ignore_errors=True)
    return what, "equal"


def _signalled(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    seconds = chain.reference(command)[1]
    moment = rng.uniform(0, 1.1 * seconds)
    child = command.start(out)
    time.sleep(moment)
    os.kill(child.pid, getattr(signal, fault))
    code, _ = child.end()
    return f"{fault} after {moment:.2f} of {seconds:.2f} s: exit {code}"


def _process_killed(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    """One of the processes that a command has started is killed at some moment of its life."""
    child, limit = command.start(out), time.monotonic() + PATIENCE_S
    wanted = 2 if fault == "rank killed" else 1
    while len(born := child.workers()) < wanted and time.monotonic() < limit:
        if child.has_ended():
            raise BadOutcomeError(f"NOT TRIED: it ended before it had {wanted} processes\n{child.end()[1]}")
        time.sleep(0.01)
    # Half of the whole is over before they are there.
    moment = rng.uniform(0, chain.reference(command)[1] / 2)
    time.sleep(moment)
    victim = rng.choice(born)
    is_there = _kill(victim)
    began = time.monotonic()
    code, said = child.end()
    took = time.monotonic() - began
    what = f"{fault} {moment:.2f} s after its start: exit {code}, {took:.1f} s later"
    if not is_there:
        return f"{what} (it had ended by then)"
    if fault == "rank killed" and took > LIMIT_S:
        raise BadOutcomeError(f"TOO LATE: {took:.0f} s\n{said}")
    if code == 0 and not _is_whole(chain, command, out):
        raise BadOutcomeError(f"NOT SAID: it ends with 0\n{said}")
    return what


def _is_whole(chain: Chain, command: Command, out: Path) -> bool:
    """Whether a process was killed that had done all its work."""
    return digest(out) == chain.reference(command)[0]


def _kill(pid: int) -> bool:
    """Whether it was there to be killed."""
    try:
        # Of one that nobody has waited for yet, only the exit code is left.
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return False
    return True


def _full_disk(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    size = rng.choice([0, 1, 100, 4096, rng.randrange(1, 200_000)])
    code, said = command.start(out, file_size=size).end()
    if "Traceback" in said:
        raise BadOutcomeError(f"TRACEBACK: no file above {size} bytes\n{said}")
    if code == 0 and not _is_whole(chain, command, out):
        raise BadOutcomeError(f"DIFFERS: without a word, no file above {size} bytes")
    return f"no file above {size} bytes: exit {code}"


def _read_only(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    """A folder of modes r-x, for a process without capabilities: modes do not bind root otherwise."""
    is_file = bool(out.suffix)
    if not is_file:
        out.mkdir()
    folder = out.parent if is_file else out
    before = set(folder.iterdir())
    folder.chmod(0o555)
    try:
        code, said = command.start(out, obeys_modes=True).end()
    finally:
        folder.chmod(0o755)
    if code != 2 or out.name not in said or "Traceback" in said:
        raise BadOutcomeError(f"NOT REFUSED: exit {code}\n{said}")
    if set(folder.iterdir()) != before:
        raise BadOutcomeError("WRITTEN: in a folder that is read-only")
    return "its folder is read-only: exit 2"


def _damaged_scene(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    assert command.damages is not None
    original = command.damages.read_bytes()
    at = rng.randrange(200, len(original))
    changed = bytes([*original[:at], original[at] ^ 1 << rng.randrange(8), *original[at + 1 :]])
    command.damages.write_bytes(rng.choice([original[:at], changed]))
    code, said = command.start(out).end()
    command.damages.write_bytes(original)
    if code != 2 or command.damages.name not in said:
        raise BadOutcomeError(f"NOT REFUSED: exit {code}\n{said}")
    return f"{command.damages.name} damaged at {at}: exit {code}"


def _lost_scene(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    """A scene vanishes after the first step of a training; it is there again then."""
    assert command.damages is not None
    child = command.start(out, ("train.workers=1",))
    scene, aside = command.damages.parent, command.damages.parent.with_name("aside")
    log, limit = out / "metrics.jsonl", time.monotonic() + PATIENCE_S
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.002)
    scene.rename(aside)
    code, said = child.end()
    aside.rename(scene)
    # It may have read all that it needed before.
    if code and (code != 2 or scene.name not in said or "Traceback" in said):
        raise BadOutcomeError(f"NOT NAMED: exit {code}\n{said}")
    return f"a scene vanished after the first step: exit {code}"


def _second_writer(chain: Chain, command: Command, out: Path, rng: random.Random, fault: str) -> str:
    first, limit = command.start(out), time.monotonic() + PATIENCE_S
    while not (out / ".lock").exists() and time.monotonic() < limit:
        time.sleep(0.005)
    code, said = command.start(out).end()
    first_code, first_said = first.end()
    # The first may have ended before the second began.
    if first_code or not (code == 0 or (code == 2 and "writes this" in said)):
        raise BadOutcomeError(f"NOT REFUSED: exit {code}, the first: exit {first_code}\n{first_said}{said}")
    return f"a second one beside it: exit {code}, the first: exit {first_code}"


_STRIKES: dict[str, Callable[[Chain, Command, Path, random.Random, str], str]] = {
    "full disk": _full_disk,
    "read-only folder": _read_only,
    "damaged scene": _damaged_scene,
    "scene gone on the way": _lost_scene,
    "second writer": _second_writer,
    "rank killed": _process_killed,
    "run killed": _process_killed,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", help="only these, with commas, in turn: 'train,two ranks,study'")
    parser.add_argument("--fault", help="only this one, such as 'rank killed'")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Path(folder))
        for number in range(options.faults):
            command = _command(chain, options.commands, number)
            fault = options.fault or rng.choice(faults_of(command))
            what, outcome = disturb(chain, command, fault, rng, number)
            kind, _, details = outcome.partition("\n")
            print(f"{number + 1:4} {command.name:10} {what}; after it: {kind}", flush=True)
            if details:
                print(details, flush=True)
            outcomes[kind.split(":")[0]] += 1
            kinds[command.name, fault] += 1
    for (name, fault), count in sorted(kinds.items()):
        print(f"{name:10} {fault:22} {count}")
    print(f"faults {options.faults}: " + ", ".join(f"{name} {n}" for name, n in sorted(outcomes.items())))
    return int(outcomes["equal"] != options.faults)


def _command(chain: Chain, names: str | None, number: int) -> Command:
    """Each in its turn, the slow ones seldom."""
    if names is not None:
        by_name = {command.name: command for command in (*chain.commands, *chain.slow_commands)}
        wanted = names.split(",")
        return by_name[wanted[number % len(wanted)]]
    turn, rest = divmod(number, SLOW_EVERY)
    if rest == SLOW_EVERY - 1:
        return chain.slow_commands[turn % len(chain.slow_commands)]
    return chain.commands[(number - turn) % len(chain.commands)]


if __name__ == "__main__":
    sys.exit(main())
