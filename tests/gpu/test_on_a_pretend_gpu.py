"""On a pretend GPU nothing mixes devices or races, and the host waits where the table says and nowhere else.

    python tests/gpu/test_on_a_pretend_gpu.py

writes the table, waits.json, anew: look at its difference before it is committed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
TABLE = HERE / "waits.json"
#: What runs together in a process: loading everything takes longer than most of it.
GROUPS = {"all": ("training", "verbs", "images", "methods"), "kernels": ("triton", "gpu_check")}
#: Of these, without the long form (``POINTSEG_LONG=1``): a method for each way in which a loss or head works
#: on a device, and no second smoke test of the GPU check, which tests/scripts runs.
SHORT = {"all": ("training", "verbs", "images", "some_methods"), "kernels": ("triton",)}
IS_LONG = os.environ.get("POINTSEG_LONG") == "1"
#: Once in a run, not in a step: weights go up, checkpoints come down.
ONCE = (
    "training/state.py",
    "training/initial.py",
    "runs/",
    "losses/prior.py",
    "convert/",
    "submission/",
    "evaluation/",
    "view/",
)
#: Plain torch learns how many pairs a tap has. The kernels for GPUs do not ask.
PLAIN_ENGINE = "sparse/neighbours.py:pairs_of"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="the pretend GPU is made by g++"),
    pytest.mark.skipif(torch.version.cuda is not None, reason="a CUDA build of torch has a GPU of its own"),
]


def make_guard(folder: Path) -> Path:
    """The library by which torch believes in a GPU."""
    library, of_torch = folder / "guard.so", Path(torch.__file__).parent
    libraries = [f"-L{of_torch / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{of_torch / 'lib'}"]
    source = HERE / "pretend" / "guard.cpp"
    command = ["g++", "-O1", "-shared", "-fPIC", "-std=c++20", f"-I{of_torch / 'include'}", source]
    subprocess.run([*command, "-o", library, *libraries], check=True)
    return library


def what_ran(groups: tuple[str, ...], folder: Path) -> dict[str, dict]:
    """Name -> what the pretend GPU saw, in a process where it is there from the beginning."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POINTSEG", "TRITON"))}
    done = subprocess.run(
        [sys.executable, HERE / "worker.py", folder, *groups],
        env=kept | {"PRETEND_CUDA_LIB": str(make_guard(folder)), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    return {line["name"]: line for line in lines}


def waits_of(seen: dict) -> dict[str, dict[str, int]]:
    """Thread -> place -> times, of what happens again and again.

    How many batches are made ahead where a run is stopped is a matter of luck.
    """
    return {
        thread: {
            place: count
            for place, count in sorted(places.items())
            if not place.startswith(ONCE) and not place.startswith(PLAIN_ENGINE)
        }
        for thread, places in sorted(seen["waits"].items())
        if not (seen["name"] == "resumed" and thread == "prefetch")
    }


@pytest.mark.parametrize("group", GROUPS)
def test_a_pretend_gpu_finds_nothing_and_waits_as_the_table_says(group, tmp_path):
    seen = what_ran((GROUPS if IS_LONG else SHORT)[group], tmp_path)
    table = json.loads(TABLE.read_text())[group]
    expected = table if IS_LONG else {name: table[name] for name in seen}
    assert len(seen) >= (len(table) if IS_LONG else len(SHORT[group]))
    assert {name: line["findings"] for name, line in seen.items() if line["findings"]} == {}
    assert {name: waits_of(line) for name, line in seen.items()} == expected
    assert seen.get("resumed", {"gave": True})["gave"] is True
    assert seen.get("gpu_check --smoke", {"gave": []})["gave"] == []


def test_a_step_waits_for_nothing_a_batch_three_times_and_a_scene_three_times():
    table = json.loads(TABLE.read_text())
    for name in ("Triton", "Triton in bf16 on cuda:1"):
        waits = table["kernels"][name]
        # The first step of all decides on the host, and each is logged here.
        assert waits.keys() == {"main", "prefetch"}
        assert all(
            place.startswith(("training/step.py:read", "training/step.py:_move")) for place in waits["main"]
        )
        # Two batches, of which the thread that makes them asks for the rows with a class and for the grids.
        of_batches = {
            place: n for place, n in waits["prefetch"].items() if place.startswith(("sparse", "scans/p"))
        }
        assert sum(of_batches.values()) == 2 * 3, of_batches
    for recipe in ("spunet", "minkunet34c", "lground"):
        (waits,) = table["all"][f"12 scenes of {recipe}"].values()
        # And once for the labelled rows of the batch.
        assert 0 < sum(waits.values()) <= 3 * 12 + 1, waits


if __name__ == "__main__":
    written = {}
    for name, its_groups in GROUPS.items():
        with tempfile.TemporaryDirectory() as temporary:
            ran = what_ran(its_groups, Path(temporary))
            written[name] = {thing: waits_of(line) for thing, line in ran.items()}
    TABLE.write_text(json.dumps(written, indent=1) + "\n")
