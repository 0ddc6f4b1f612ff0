"""scripts/fuzz_readers.py in short: whatever lies in a file, its reader names it or reads it."""

import os
import subprocess
import sys
from pathlib import Path

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
    command = [sys.executable, SCRIPTS / "fuzz_readers.py", "--inputs", "200", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("inputs 200, clear error ")


def test_the_script_sees_what_a_reader_does() -> None:
    code = f"""
import sys
import fuzz_readers
from fuzz_subjects import Subject

def reader(fault):
    def read(file):
        if file.read_bytes() != b"whole":
            exec(fault)
        return 1
    return read

def make(file):
    file.write_bytes(b"whole")

faults = {list(FAULTS)}
fuzz_readers._CPU_S = 1
fuzz_readers.subjects = lambda: [
    Subject(f"reader {{i}}", f"{{i}}/x.bin", make, reader(fault)) for i, fault in enumerate(faults)
]
sys.argv = ["fuzz_readers.py", "--inputs", "12"]
sys.exit(fuzz_readers.main())
"""
    environment = {**os.environ, "PYTHONPATH": f"{SCRIPTS}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=environment
    )
    assert done.returncode == 1, done.stdout + done.stderr
    for number, said in enumerate(FAULTS.values()):
        assert f"reader {number}: {said}" in done.stdout, done.stdout + done.stderr
    # The others are read although some have ended their process.
    assert done.stdout.splitlines()[-1].startswith("inputs 12, ")
