"""--debug shows where an error of a preparation comes from; without it there is one message."""

import subprocess
import sys
from pathlib import Path


def test_debug_shows_the_traceback_of_a_preparation(tmp_path: Path) -> None:
    for words, has_traceback in ((["prepare"], False), (["--debug", "prepare"], True)):
        command = [sys.executable, "-m", "pointseg", *words, "s3dis", str(tmp_path), str(tmp_path / "store")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2 and "expected the folders Area_1 to Area_6" in " ".join(
            done.stderr.split()
        )
        assert ("Traceback" in done.stderr) == has_traceback
