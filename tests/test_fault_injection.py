"""scripts/fault_injection.py in short: whatever is killed, starved or damaged ends as if undisturbed."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts/fault_injection.py"


def test_faults_are_survived() -> None:
    command = [sys.executable, SCRIPT, "--faults", "3", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "faults 3: equal 3"
