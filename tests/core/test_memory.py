"""Freed memory is kept for the next block."""

import platform
import subprocess
import sys

import pytest

from pointseg.core.memory import keep_freed_memory

_FAULTS = """
import resource, sys
import torch
from pointseg.core.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(20):
    torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an ability of glibc")
def test_blocks_are_not_taken_from_the_kernel_again_and_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("keep", "default")
    )
    # Aligned blocks fit into what one of them left only after a while.
    assert kept < given_back / 4


def test_a_user_s_own_setting_of_malloc_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert not keep_freed_memory()
