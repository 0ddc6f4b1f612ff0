"""The GPU check runs from end to end without a GPU: tiny sizes, kernels in Triton's interpreter."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import spconv_unet
import torch
from gpu_check import peer_networks, peers
from gpu_check.goals import compare_with_goals
from gpu_check.main import main
from gpu_check.record import FULL, SMOKE, Recorder
from gpu_check.tile_sizes import tuning

from pointseg.bench.rooms import rooms
from pointseg.bench.workload import workload

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_section_of_the_check_reports(tmp_path):
    pytest.importorskip("triton")
    out = tmp_path / "check.json"
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check.sh", "--smoke", "--out", out],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable},
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


def test_a_check_that_is_cut_off_has_written_the_sections_before(tmp_path, capsys):
    out = tmp_path / "check.json"
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=60, out=out)
    with recorder.section("first"):
        recorder.add("first", "row", value=1.0)
    assert json.loads(out.read_text())["rows"] == [{"section": "first", "name": "row", "value": 1.0}]


def test_what_does_not_fit_and_what_a_peer_cannot_do_are_rows_and_no_failures(capsys):
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=60)
    with recorder.may_run("network", "2 million voxels", ours=True):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    with recorder.may_run("network", "spconv", ours=False):
        raise RuntimeError("no kernel image")
    assert [row["did_not_run"] for row in recorder.rows] == ["CUDA out of memory", "no kernel image"]
    with pytest.raises(RuntimeError), recorder.may_run("network", "triton", ours=True):
        raise RuntimeError("illegal memory access")
    assert recorder.failures == []


def test_a_peer_that_fails_or_is_not_here_is_one_row_with_one_line(capsys, monkeypatch):
    def broken(coords, x):
        if x.dtype == torch.float64:
            return None
        # In the first call, which gives the gradient something to go through, and not before.
        return lambda: (_ for _ in ()).throw(RuntimeError("no kernel image\nfor this device"))

    monkeypatch.setattr(peers, "PEERS", {"broken": broken, "absent": lambda *_: import_module("no_engine")})
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=60)
    coords = rooms(12)
    for dtype in (torch.float32, torch.float16, torch.float64):
        x = torch.ones(12, 4, dtype=dtype)
        assert peers.peers(recorder, coords, x, x) == []
    reasons = {row["name"]: row["reason"] for row in recorder.rows}
    assert len(recorder.rows) == 2 and recorder.failures == []
    assert reasons == {
        "convolutions of broken": "no kernel image",
        "convolutions of absent": "No module named 'no_engine'",
    }


def test_networks_of_peers_that_are_not_here_are_a_row_each(capsys, monkeypatch):
    monkeypatch.setattr(peer_networks, "PEERS", {"absent": "no_engine.pytorch"})
    recorder = Recorder(torch.device("cpu"), SMOKE, budget_s=60)
    peer_networks.measure_peer_networks(recorder)
    assert [row["reason"] for row in recorder.rows] == ["No module named 'no_engine'"]


def test_the_network_of_spconvs_layers_has_the_weights_of_pointcepts(monkeypatch):
    spconv = pytest.importorskip("spconv.pytorch")
    theirs = spconv_unet.build(
        spconv, 3, 5, base=32, channels=peer_networks.WIDTHS, layers=peer_networks.BLOCKS
    )
    ours = peer_networks.spunet(spconv, peer_networks.WIDTHS, peer_networks.BLOCKS)

    def shapes(network):
        names = [name for name, _ in network.named_parameters() if not name.startswith("final")]
        return sorted(tuple(network.get_parameter(name).shape) for name in names)

    assert shapes(ours) == shapes(theirs)


def test_goals_are_compared_with_the_rows_that_are_there(capsys):
    recorder = Recorder(torch.device("cpu"), FULL, budget_s=60)
    ms = {
        "100000 voxels, bf16, triton: step": 15.0,
        "2000000 voxels, bf16, triton: step": 330.0,
        "500000 voxels, bf16, triton: step": 50.0,
        "500000 voxels, float32, minkowski: step": 300.0,
    }
    for name, value in ms.items():
        recorder.add("network", name, ms=value)
    recorder.add("training", "end to end, bf16", **{"steps/s": 20.0, "batches/s alone": 15.0})
    compare_with_goals(recorder)
    goals = {row["name"]: (row["value"], row["met"]) for row in recorder.rows if row["section"] == "goal"}
    assert goals == {
        "bf16 step of 100,000 voxels, ms": (15.0, True),
        "bf16 steps in one of float32, minkowski, 500000 voxels": (6.0, True),
        "step of 2,000,000 voxels in steps of 100,000": (22.0, False),
        "batches made in a step, end to end, bf16": (0.75, False),
    }


def test_slow_calls_are_timed_three_times(monkeypatch):
    recorder = Recorder(torch.device("cpu"), FULL, budget_s=60)
    monkeypatch.setattr(recorder, "_once", lambda function: calls.append(1) or 2_000.0)
    calls = []
    assert recorder.time_ms(lambda: None) == {"ms": 2_000.0, "min_ms": 2_000.0}
    assert len(calls) == 3


@pytest.mark.parametrize("by_user", [None, "0", "1"])
def test_tile_sizes_are_measured_where_the_check_and_the_user_let_them(by_user, monkeypatch):
    if by_user is None:
        monkeypatch.delenv("POINTSEG_TUNE", raising=False)
    else:
        monkeypatch.setenv("POINTSEG_TUNE", by_user)
    with tuning(False):
        assert os.environ["POINTSEG_TUNE"] == "0"
    with tuning(True):
        assert os.environ.get("POINTSEG_TUNE") == by_user
    assert os.environ.get("POINTSEG_TUNE") == by_user


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
