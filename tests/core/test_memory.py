"""Freed memory is kept for the next block."""

import platform
import subprocess
import sys

import pytest

from pointseg.core.memory import keep_freed_memory

_FAULTS = """
import resource
import torch
from pointseg.core.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(9_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
assert keep_freed_memory()
# Aligned blocks fit into what one of them left only after a while.
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an ability of glibc")
def test_blocks_are_not_taken_from_the_kernel_again_and_again() -> None:
    done = subprocess.run([sys.executable, "-c", _FAULTS], capture_output=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 4


def test_a_user_s_own_setting_of_malloc_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert not keep_freed_memory()
