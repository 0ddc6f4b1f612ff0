"""Whether there is memory for a piece of work, foretold from smaller sizes: better skipped than killed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path

import torch

#: What is asked for beyond the forecast.
_MARGIN = 1.1


class MemoryGuard:
    """Remembers what pieces of work took at some sizes, and refuses those that would not fit.

    Memory grows linearly with the voxels, from a start that does not: weights, their gradients.

    Args:
        device: where the work runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._seen: defaultdict[Hashable, dict[int, float]] = defaultdict(dict)

    def learn(self, work: Hashable, voxels: int, grown_mb: float | None) -> None:
        """Work of this kind took so much at this size."""
        if grown_mb is not None:
            self._seen[work][voxels] = grown_mb

    def is_sure(self, work: Hashable) -> bool:
        """Whether two sizes are known, so that a forecast can be made."""
        return len(self._seen[work]) > 1

    def forecast_mb(self, work: Hashable, voxels: int) -> float | None:
        """What the work will take, by the line through the two largest known sizes; None without two."""
        if not self.is_sure(work):
            return None
        (small, less), (large, more) = sorted(self._seen[work].items())[-2:]
        slope = max(0.0, (more - less) / (large - small))
        return more + slope * (voxels - large)

    def refusal(self, work: Hashable, voxels: int) -> str | None:
        """Why the work would not fit; None where it will, or nothing is known."""
        forecast = self.forecast_mb(work, voxels)
        free = free_mb(self.device)
        if forecast is None or free is None or forecast * _MARGIN <= free:
            return None
        return f"skipped: would take {forecast / 1e3:.1f} GB, {free / 1e3:.1f} GB are free"


def free_mb(device: torch.device) -> float | None:
    """Memory that can still be taken, in 10^6 bytes; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 1e6
    info = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text("ascii")) if info.is_file() else None
    limits = [int(found[1]) * 1024 / 1e6] if found else []
    # A container may have less than its machine.
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text("ascii"))
        limits.append((most - int((group / "memory.current").read_text("ascii"))) / 1e6)
    except (OSError, ValueError):
        pass
    return min(limits) if limits else None
