"""The GPU check runs from end to end without a GPU: tiny sizes, kernels in Triton's interpreter."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from pointseg.run.bench.rooms import rooms
from pointseg.run.bench.workload import workload
from pointseg.run.gpu_check.main import main
from pointseg.run.gpu_check.record import SMOKE, Recorder

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_section_of_the_check_reports(tmp_path):
    pytest.importorskip("triton")
    out = tmp_path / "check.json"
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check.sh", "--smoke", "--out", out],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["failures"] == [] and found["is_smoke"] is True
    sections = {row["section"] for row in found["rows"]}
    assert sections >= {"correctness", "ceiling", "network", "training", "points", "convolution"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_check_says_so(capsys):
    assert main([]) == 2
    assert "No CUDA device" in capsys.readouterr().out


def test_a_section_that_fails_lets_the_others_report(capsys):
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=60)
    with recorder.section("first"):
        raise ValueError("this GPU is a toaster")
    with recorder.section("second"):
        recorder.add("second", "row", value=1.0)
    assert len(recorder.rows) == 1
    assert "toaster" in recorder.failures[0]


def test_nothing_begins_after_the_time_is_up(capsys):
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=0)
    assert not recorder.has_time("2 million voxels")
    assert recorder.rows[0]["reason"] == "out of time"


@pytest.mark.parametrize("count", [10, 1000])
def test_rooms_have_as_many_voxels_as_asked_for(count):
    coords = rooms(count)
    assert coords.shape == (count, 4) and len(torch.unique(coords, dim=0)) == count


def test_the_work_of_a_layer_is_counted_over_pairs():
    from pointseg.sparse import Grid, SparseConv3d

    coords = rooms(200)
    layer = torch.nn.Sequential(SparseConv3d(3, 5, 3))
    grid = Grid(coords)
    pairs = grid.kernel_map(grid, 3).num_pairs
    work = workload(layer, coords)
    assert work.flop == 2 * pairs * 3 * 5
    assert work.bytes == 2 * 200 * 3 + 2 * 200 * 5 + 2 * 27 * 3 * 5 + 4 * pairs
