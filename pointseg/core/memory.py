"""Memory of a CPU process: freed blocks are kept for the next ones."""

from __future__ import annotations

import ctypes
import os
import sys

#: Options of mallopt in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
#: Who has set one of these has decided already; MALLOC_TRIM_THRESHOLD_=131072 is glibc's own way.
_CHOSEN_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; whether that could be arranged (it is an ability of glibc).

    By default glibc takes every block above 32 MB anew from the kernel and gives it back when it is
    freed, and the kernel fills each page with zeros before it hands it out. A training step frees and
    takes gigabytes of such blocks; benchmarks/engine.md says what that costs. The price is memory: blocks
    of other sizes leave gaps.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _CHOSEN_BY_USER):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
