"""What one child of a study does: train one run to its end, or continue to, then measure it.

    python -m pointseg.study.work RUN

reads ``RUN/job.json``. Its standard input is a pipe that its parent holds open and never writes to: where it
ends, the parent is gone, however it went, and the child saves and stops as after SIGTERM.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from pointseg.config import load_config
from pointseg.core.durable import write_json, write_text
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_newest
from pointseg.runs.folder import RunFolder, compare
from pointseg.study.measure import measure
from pointseg.training.train import TrainingResult, train

#: Files of a RUN folder beside those of the training; RECORD has two suffixes.
JOB, RECORD, COSTS, CODE, LOCK = "job.json", "record", "costs.json", "code.txt", "lock"
#: Exit codes of a child.
FINISHED, FAILED, STOPPED = 0, 1, 130
#: Seconds that a child without a parent gets to save.
_GRACE_S = 60.0


def work(folder: Path | str) -> int:
    """Train and measure the run whose job lies in ``folder``; its exit code.

    Raises:
        ValueError: for anything that a person has to mend, see train and measure.
    """
    folder = Path(folder)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    experiment = load_config(Experiment, None, data=job["experiment"])
    with _alone(folder):
        begun_by = _begun_by(folder, experiment, job)
        result = _train(experiment, folder, job, continues=begun_by is not None)
        if not result.is_finished:
            return STOPPED
        facts = {**job["facts"], **json.loads((folder / COSTS).read_text(encoding="utf-8"))}
        if begun_by not in (None, facts["code_hash"]):
            facts |= {"code_hash": begun_by, "accepted_code": facts["code_hash"]}
        measure(folder, device=job["device"], facts=facts).write(folder, RECORD)
        return FINISHED


def write_job(
    folder: Path, experiment: Experiment, facts: Mapping[str, Any], *, device: str, accept_code: bool
) -> None:
    """Say what :func:`work` is to do in a folder.

    Args:
        folder: RUN folder.
        experiment: what is trained.
        facts: what its record shall say beside its numbers; ``code_hash`` among it.
        device: where.
        accept_code: continue what other code has begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "experiment": experiment.model_dump(mode="json"),
        "facts": dict(facts),
        "device": device,
        "accept_code": accept_code,
    }
    write_json(folder / JOB, job)


def _begun_by(folder: Path, experiment: Experiment, job: Mapping[str, Any]) -> str | None:
    """Fingerprint of the code that has begun what is to be continued; None to start over."""
    run, marker = RunFolder(folder), folder / CODE
    begun_by = marker.read_text(encoding="utf-8") if marker.is_file() else None
    accepted = begun_by == job["facts"]["code_hash"] or job["accept_code"]
    if begun_by and accepted and run.recent and not compare(run.read_experiment(), experiment):
        return begun_by
    write_text(marker, job["facts"]["code_hash"])
    for leftover in (COSTS, f"{RECORD}.json", f"{RECORD}.npz"):
        (folder / leftover).unlink(missing_ok=True)
    return None


def _train(
    experiment: Experiment, folder: Path, job: Mapping[str, Any], *, continues: bool
) -> TrainingResult:
    """To the end, or until it is asked to stop; what it cost is kept where it has come to the end."""
    began = time.process_time()
    first = int(load_newest(RunFolder(folder))[0]["step"]) if continues else 0
    resume = None if continues else False
    result = train(experiment, folder, resume=resume, device=job["device"], console=Console(width=120))
    if result.is_finished and not (folder / COSTS).is_file():
        seconds = time.process_time() - began
        write_json(folder / COSTS, _costs(seconds, result.step - first, result.step))
    return result


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder: one whose parent was killed may still be saving."""
    with (folder / LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _costs(cpu_seconds: float, own_steps: int, steps: int) -> dict[str, Any]:
    """Of the process that finished the run; its processor time stands for the steps before it as well."""
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes.
    peak_mb = peak_kb / (1024**2 if sys.platform == "darwin" else 1024)
    if torch.cuda.is_available():
        peak_mb = torch.cuda.max_memory_allocated() / 1024**2 or peak_mb
    return {
        "cpu_seconds": round(cpu_seconds * steps / own_steps, 1) if own_steps > 0 else None,
        "memory_mb": round(peak_mb),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _stop_with_parent() -> None:
    """Wait for the end of standard input, then ask this process to stop, and end it if it does not."""
    # Not through sys.stdin, whose lock the interpreter wants when it ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(STOPPED)


def main() -> None:
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        sys.exit(work(sys.argv[1]))
    except (ValueError, OSError) as error:
        print(f"pointseg: {error}", flush=True)
        sys.exit(FAILED)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
