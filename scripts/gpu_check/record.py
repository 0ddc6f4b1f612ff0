"""Recorder: sections that may fail alone, their rows, the clock that ends them, and the JSON of it all."""

from __future__ import annotations

import contextlib
import json
import platform
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

#: Milliseconds of timed calls after which three are enough.
_LONG_MS = 3_000.0


@dataclass(frozen=True)
class Scale:
    """How large things are.

    Args:
        is_smoke: tiny sizes that a CPU gets through in a minute; the numbers mean nothing.
        single_voxels: voxels of single convolutions.
        channels: channels of single convolutions.
        network_voxels: voxels of whole networks.
        points: points of voxelisation and augmentation.
        matrix: edge of the square matrices whose product gives the ceiling.
        copy_mib: size of the copy that gives the bandwidth.
        repeats: timed calls.
    """

    is_smoke: bool
    single_voxels: tuple[int, ...]
    channels: tuple[int, ...]
    network_voxels: tuple[int, ...]
    points: tuple[int, ...]
    matrix: int
    copy_mib: int
    repeats: int


FULL = Scale(
    is_smoke=False,
    single_voxels=(100_000, 1_000_000),
    channels=(32, 64, 96, 128, 256),
    network_voxels=(100_000, 500_000, 1_000_000, 2_000_000),
    points=(1_000_000, 10_000_000),
    matrix=8192,
    copy_mib=2048,
    repeats=10,
)
SMOKE = Scale(
    is_smoke=True,
    single_voxels=(12,),
    channels=(8,),
    network_voxels=(12,),
    points=(2_000,),
    matrix=128,
    copy_mib=1,
    repeats=1,
)


@dataclass
class Recorder:
    """Collects rows and failures.

    Args:
        device: where everything runs.
        scale: sizes.
        budget_s: seconds after which no further measurement begins.
        out: file that is written after each section, so that a check which is cut off leaves what it has.
    """

    device: torch.device
    scale: Scale
    budget_s: float
    out: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextlib.contextmanager
    def may_run(self, section: str, name: str, *, ours: bool) -> Iterator[None]:
        """What does not fit in memory is a row without numbers, and so is what goes wrong in a peer."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            self.add(section, name, did_not_run=str(error).split(". ")[0])
            torch.cuda.empty_cache()
        except Exception as error:
            if ours:
                raise
            self.add(section, name, did_not_run=reason_of(error))

    @contextlib.contextmanager
    def section(self, title: str) -> Iterator[None]:
        """One part of the check: what goes wrong in it is reported, and the next one runs."""
        print(f"\n== {title}", flush=True)
        began = time.perf_counter()
        try:
            yield
        except Exception:
            self.fail(f"{title}: {traceback.format_exc(limit=-3).strip()}")
        print(f"   ({time.perf_counter() - began:.1f} s)", flush=True)
        if self.out is not None:
            self.write(self.out)

    def fail(self, text: str) -> None:
        """Note a failure; the check ends with exit code 1."""
        self.failures.append(text)
        print(f"FAILED {text}", flush=True)

    def add(self, section: str, name: str, **values: Any) -> None:
        """A row of the table."""
        self.rows.append({"section": section, "name": name, **values})
        shown = "  ".join(f"{key} {_shown(value)}" for key, value in values.items())
        print(f"{section:12s} {name:44s} {shown}", flush=True)

    def has_time(self, what: str) -> bool:
        """Whether a further measurement may begin; says so if not."""
        if time.perf_counter() - self.began < self.budget_s:
            return True
        self.add("skipped", what, reason="out of time")
        return False

    def time_ms(self, function: Callable[[], object], *, repeats: int | None = None) -> dict[str, float]:
        """Median and minimum milliseconds of a call, after two to warm up; slow ones are timed thrice."""
        for _ in range(0 if self.scale.is_smoke else 2):
            function()
        times: list[float] = []
        for _ in range(repeats or self.scale.repeats):
            times.append(self._once(function))
            if len(times) >= 3 and sum(times) > _LONG_MS:
                break
        return {"ms": statistics.median(times), "min_ms": min(times)}

    def _once(self, function: Callable[[], object]) -> float:
        if self.device.type != "cuda":
            began = time.perf_counter()
            function()
            return 1e3 * (time.perf_counter() - began)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.device)
        first.record()
        function()
        last.record()
        last.synchronize()
        return first.elapsed_time(last)

    def write(self, path: Path) -> None:
        """Everything as JSON."""
        content = {
            "environment": environment(self.device),
            "is_smoke": self.scale.is_smoke,
            "seconds": time.perf_counter() - self.began,
            "ceilings": self.ceilings,
            "rows": self.rows,
            "failures": self.failures,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def reason_of(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def environment(device: torch.device) -> dict[str, Any]:
    """Hardware and versions."""
    found: dict[str, Any] = {
        "device": platform.processor() or platform.machine(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "command": " ".join(sys.argv),
    }
    for package in (
        *("triton", "spconv", "spconv-triton", "MinkowskiEngine", "warpconvnet", "fvdb-core", "flex_gemm"),
        "numpy",
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "device": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }
    return found


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
