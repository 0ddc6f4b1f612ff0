"""How many CPUs there are for this process."""

from __future__ import annotations

import os


def num_cores() -> int:
    """The CPUs that this process may use; those of the machine where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
