"""scripts/fuzz_readers.py in short: whatever lies in a file, its reader names it or reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"

#: What a reader does in place of reading -> what the script has to call it.
FAULTS = {
    "import os; os.kill(os.getpid(), 11)": "crash: exit code -11",
    "raise KeyError('x')": "foreign exception",
    "raise ValueError('no')": "not named: no",
    "x = b'x' * (200 << 20)": "memory: ",
    "x = bytearray(8 << 30)": "memory: MemoryError",
    "while True: pass": "hang: 1 CPU seconds",
}


def test_no_reader_is_led_astray() -> None:
    command = [sys.executable, SCRIPTS / "fuzz_readers.py", "--inputs", "300", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("inputs 300, clear error ")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_script_sees_what_a_reader_does(fault: str) -> None:
    code = f"""
import sys, tempfile
from pathlib import Path
import fuzz_readers
from fuzz_subjects import Subject

def read(file):
    if file.read_bytes() != b"whole":
        {fault}
    return 1

fuzz_readers._CPU_S = 1
fuzz_readers.subjects = lambda: [Subject("x", "x.bin", lambda file: file.write_bytes(b"whole"), read)]
sys.argv = ["fuzz_readers.py", "--inputs", "3"]
sys.exit(fuzz_readers.main())
"""
    environment = {**os.environ, "PYTHONPATH": f"{SCRIPTS}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f" x: {FAULTS[fault]}" in done.stdout, done.stdout + done.stderr
    # The others are read although one has ended its process.
    assert done.stdout.splitlines()[-1].startswith("inputs 3, ")
