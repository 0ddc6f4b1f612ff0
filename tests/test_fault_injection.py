"""scripts/fault_injection.py in short: whatever is killed, starved or damaged ends as if undisturbed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts/fault_injection.py"


IS_LONG = os.environ.get("POINTSEG_LONG") == "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--faults", "3", "--seed", "5"],
        ["--faults", "1", "--seed", "0", "--commands", "predict", "--fault", "read-only folder"],
        ["--faults", "1", "--seed", "1", "--commands", "two ranks", "--fault", "rank killed"],
        *([["--faults", "2", "--seed", "1", "--commands", "study"]] if IS_LONG else []),
    ],
    ids=lambda options: " ".join(options[4:]) or "mixed",
)
def test_faults_are_survived(options: list[str]) -> None:
    """The longer ones, of which each takes minutes, with ``POINTSEG_LONG=1``."""
    done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"faults {options[1]}: equal {options[1]}"
