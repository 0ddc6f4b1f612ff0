"""Damaged and foreign files for every reader: a clear error, or a reading, and never anything else.

    python scripts/fuzz_readers.py --inputs 10000 --seed 0

Every reader of the project gets small valid files that were damaged: bits, cuts, blocks of zeros, numbers at
which parsers err, other words, other values in JSON, other content in archives with sums that fit. They are
read in processes of their own, whose time and memory are bounded, so that a native decoder that crashes or
hangs is seen. What may come out is an error that names the file, or a reading; where the file carries a hash
(store, checkpoint, manifest) no reading of another content. All else is bad: another exception, an error
that does not name the file, a crash, a hang, memory out of proportion to the file. One line for each bad
input, with the number that makes it again (--only NUMBER); a table at the end; exit code 1 if any was bad.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import random
import resource
import select
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# One thread: children are forked, and a pool of threads does not survive that.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from fuzz_subjects import Subject, subjects

from pointseg.formats.submission import SubmissionCheck

#: CPU seconds of one reading, and seconds without a word from the child.
_CPU_S, _WALL_S = 10, 120
#: A reading may take this much, and so much more for each byte of the file.
_FREE_BYTES, _TIMES = 64 << 20, 20
#: What a child may ask for beyond what it had at its start.
_ROOM_BYTES = 4 << 30
_BATCH = 40
#: Bad outcomes, as the table names them.
BAD = ("foreign exception", "not named", "read as other", "crash", "hang", "memory")


#: Number of an input, what came of it, and what was said.
Outcome = tuple[int, str, str]


def digest(value: Any) -> str:
    """Fingerprint of anything that a reader returns."""
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous().numpy()
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield (
            np.ascontiguousarray(value).tobytes() if value.dtype != object else repr(value.tolist()).encode()
        )
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield repr(key).encode()
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield b"["
        for item in value:
            yield from _parts(item)
    else:
        yield repr(value).encode()


def judge(subject: Subject, file: Path, valid: str) -> tuple[str, str]:
    """The outcome of reading a file, and what was said."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = subject.read(file)
    except MemoryError as error:
        return "memory", repr(error)
    except (ValueError, OSError) as error:
        said = str(error)
        if "Traceback" in said:
            return "foreign exception", said
        # A store's own manifest speaks of the files beside it.
        is_named = file.name in said or str(file.parent) in said
        outcome = "clear error" if is_named else "not named"
    except Exception:
        return "foreign exception", traceback.format_exc(limit=-3)
    else:
        said = ""
        if isinstance(result, SubmissionCheck) and not result.is_valid:
            outcome = "clear error"
        else:
            is_same = digest(result) == valid
            outcome = "same" if is_same else "read as other" if subject.is_sealed else "read"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if grown > _FREE_BYTES + _TIMES * file.stat().st_size:
        return "memory", f"{grown >> 20} MB for {file.stat().st_size} bytes; {outcome} {said}"
    return outcome, said


class Fuzzer:
    """The readers with their valid files.

    Args:
        folder: where files are written.
        seed: of everything.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.subjects = subjects()
        self.valid: dict[str, tuple[bytes, str]] = {}
        for subject in self.subjects:
            file = folder / subject.file
            file.parent.mkdir(parents=True)
            subject.make(file)
            content = file.read_bytes()
            # Also imports what the children shall not pay for.
            self.valid[subject.name] = content, digest(subject.read(file))
            file.write_bytes(content)

    def drawn(self, count: int) -> dict[str, list[int]]:
        """Reader -> numbers of its inputs; each has one before any has two."""
        rng = random.Random(self.seed)
        weights = [subject.share for subject in self.subjects]
        chosen: dict[str, list[int]] = {subject.name: [] for subject in self.subjects}
        order = [*self.subjects, *rng.choices(self.subjects, weights, k=count)]
        for number, subject in enumerate(order[:count]):
            chosen[subject.name].append(number)
        return chosen

    def content(self, subject: Subject, number: int) -> bytes:
        """Input ``number``: the same whatever the others are."""
        rng = random.Random(f"{self.seed} {number}")
        data = self.valid[subject.name][0]
        for _ in range(rng.choice((1, 1, 1, 2))):
            data = rng.choice(subject.mutations)(data, rng) if data else data
        return data

    def outcomes(self, subject: Subject, numbers: list[int]) -> Iterator[Outcome]:
        """Number, outcome and what was said, of each input; children that crash are followed by others."""
        left = list(numbers)
        while left:
            batch = left[:_BATCH]
            done, ending = self._in_child(subject, batch)
            yield from done
            left = left[len(done) :]
            if len(done) < len(batch):
                # The file as it was, if the reader writes beside it.
                yield left.pop(0), *ending

    def _in_child(self, subject: Subject, numbers: list[int]) -> tuple[list[Outcome], tuple[str, str]]:
        """What came of the inputs that were read, and of the one at which the child ended, if it did."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            # Whatever happens, a child must not go on as its parent.
            try:
                _work(self, subject, numbers, writing)
            finally:
                os._exit(1)
        os.close(writing)
        received, hung = b"", False
        while True:
            if not select.select([reading], [], [], _WALL_S)[0]:
                hung = True
                os.killpg(pid, signal.SIGKILL)
            part = os.read(reading, 65536)
            if not part:
                break
            received += part
        os.close(reading)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        done = []
        for row in received.decode("utf-8", "replace").split("\0")[:-1]:
            number, outcome, said = row.split("\x01", 2)
            done.append((int(number), outcome, said))
        if hung or code == -signal.SIGPROF:
            return done, ("hang", f"{_CPU_S} CPU seconds" if not hung else f"{_WALL_S} seconds")
        return done, ("crash", f"exit code {code}")


def _work(fuzzer: Fuzzer, subject: Subject, numbers: list[int], writing: int) -> None:
    """In the child: read one input after the other and say what came of it; never returns."""
    os.setsid()
    # The kernel's own way to end it, which no native code can hold up.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    file = fuzzer.folder / subject.file
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for number in numbers:
        file.write_bytes(fuzzer.content(subject, number))
        signal.setitimer(signal.ITIMER_PROF, _CPU_S)
        outcome, said = judge(subject, file, fuzzer.valid[subject.name][1])
        signal.setitimer(signal.ITIMER_PROF, 0)
        text = said.replace("\0", "\\0").replace("\x01", "\\1").encode("utf-8", "backslashreplace")[-4000:]
        row = f"{number}\x01{outcome}\x01".encode() + text + b"\0"
        while row:
            row = row[os.write(writing, row) :]
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one input of those, and all that was said of it")
    options = parser.parse_args()
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), options.seed)
        drawn = fuzzer.drawn(options.inputs)
        for subject in fuzzer.subjects:
            counts: Counter[str] = Counter()
            numbers = [n for n in drawn[subject.name] if options.only in (None, n)]
            for number, outcome, said in fuzzer.outcomes(subject, numbers):
                counts[outcome] += 1
                if outcome in BAD or options.only is not None:
                    print(f"{number} {subject.name}: {outcome}: {said.strip()[-700:]}", flush=True)
            totals.update(counts)
            if numbers:
                listed = ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))
                print(f"{subject.name}: {listed}", flush=True)
    print(f"inputs {sum(totals.values())}, " + ", ".join(f"{o} {n}" for o, n in sorted(totals.items())))
    return int(any(totals[outcome] for outcome in BAD))


if __name__ == "__main__":
    sys.exit(main())
