"""Time and memory of engines that take turns, so that a slow moment of the machine meets all of them."""

from __future__ import annotations

import ctypes
import gc
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

Work = Callable[[], object]


@dataclass
class Timing:
    """What was measured of one piece of work.

    Args:
        seconds: one for each round.
        peak_mb: largest memory of the process (CPU) or of torch (CUDA) while it ran, in 10^6 bytes; None
            where the system does not tell.
        grown_mb: how much of it the work itself took.
        failure: why there is no time: memory ran out.
    """

    seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    grown_mb: float | None = None
    failure: str | None = None

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def min_s(self) -> float:
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """Largest over smallest time."""
        return max(self.seconds) / min(self.seconds)


def take_turns(works: Mapping[str, Work], rounds: int, device: torch.device) -> dict[str, Timing]:
    """Run every piece of work once to warm up and then once in each round; none again that ran out of memory.

    Args:
        works: name -> what to run.
        rounds: how often.
        device: where it runs.
    """
    timings = {name: warm_up(work, device) for name, work in works.items()}
    for _ in range(rounds):
        for name, work in works.items():
            if timings[name].failure is None:
                timings[name].seconds.append(_seconds(work, device))
    return timings


def warm_up(work: Work, device: torch.device) -> Timing:
    """Run once for the memory that it takes; a Timing without seconds."""
    try:
        peak_mb, grown_mb = _peak_mb(work, device)
    except (MemoryError, torch.OutOfMemoryError) as error:
        return Timing(failure=f"out of memory ({str(error).splitlines()[0]})")
    except RuntimeError as error:
        # What torch raises where the CPU's allocator finds no memory.
        if "allocate memory" not in str(error):
            raise
        return Timing(failure="out of memory")
    return Timing(peak_mb=peak_mb, grown_mb=grown_mb)


def gemm_gflops(device: torch.device, size: int = 2048, rounds: int = 5) -> float:
    """Rate of a large float32 matrix product, in 1e9 operations a second: the limit of any convolution."""
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    timing = take_turns({"mm": lambda: a @ b}, rounds, device)["mm"]
    return 2 * size**3 / timing.min_s / 1e9


def _seconds(work: Work, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_mb(work: Work, device: torch.device) -> tuple[float | None, float | None]:
    """Largest memory while the work ran, and how much more that is than before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / 1e6
        work()
        peak = torch.cuda.max_memory_allocated(device) / 1e6
        return peak, peak - before
    if not _reset_peak():
        work()
        return None, None
    before = _status_mb("VmRSS")
    work()
    peak = _status_mb("VmHWM")
    return peak, peak - before


def _reset_peak() -> bool:
    """Give freed memory back and start the process's high-water mark anew (Linux)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        return False
    return True


def _status_mb(entry: str) -> float:
    found = re.search(rf"{entry}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024 / 1e6
