"""The verbs bench and doctor: rows that people script against, and a table that fits a terminal."""

import io
import json

import pytest
import torch
from minkowski_network import needs_minkowski
from rich.console import Console
from typer.testing import CliRunner

from pointseg.bench import memory
from pointseg.bench.cases import Case
from pointseg.bench.main import _table, bench
from pointseg.bench.measure import take_turns
from pointseg.bench.memory import MemoryGuard
from pointseg.bench.minkowski_network import OWN
from pointseg.bench.options import BenchOptions
from pointseg.cli import app
from pointseg.doctor import doctor, unused_gpu
from pointseg.sparse import ENGINES

QUIET = Console(quiet=True)
KEYS = {"engine", "dtype", "phase", "voxels", "median_s", "min_s", "peak_mb", "max_error"}


def test_a_network_is_measured_with_every_engine_and_compared_with_float64(tmp_path):
    path, picture = tmp_path / "rows.json", tmp_path / "rows.png"
    options = BenchOptions(engines=("torch", "reference"), voxels=(400,), variant="14A", repeats=1)
    bench("network", options, json_path=path, plot_path=picture, console=QUIET)
    rows = json.loads(path.read_text())
    assert {(row["engine"], row["phase"]) for row in rows} == {
        (engine, phase) for engine in ("torch", "reference") for phase in ("forward", "forward_backward")
    }
    for row in rows:
        assert row.keys() >= KEYS
        assert row["voxels"] == 400 and 0 < row["min_s"] <= row["median_s"]
        assert row["max_error"] < (1e-4 if row["phase"] == "forward" else 0.2)
    assert picture.stat().st_size > 5000


def test_sizes_types_and_channels_are_lists():
    options = BenchOptions(
        engines=("torch",), voxels=(300, 600), dtypes=("float32", "float64"), channels=(4, 8), repeats=1
    )
    rows = bench("conv", options, console=QUIET)
    assert len(rows) == 2 * 2 * 2 * 2
    exact = [row["max_error"] for row in rows if row["dtype"] == "float64"]
    assert max(exact) < 1e-13


def test_maps_have_no_backward_pass():
    rows = bench("maps", BenchOptions(engines=("torch",), voxels=(500,), repeats=1), console=QUIET)
    assert [row["phase"] for row in rows] == ["forward"]


def test_engines_take_turns():
    order = []
    take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, torch.device("cpu"))
    assert order == ["a", "b", "a", "b", "a", "b"]


def test_an_engine_or_type_that_cannot_be_measured_is_named():
    result = CliRunner().invoke(app, ["bench", "conv", "--engines", "cudnn", "--device", "cpu"])
    assert result.exit_code == 2 and "unknown engine 'cudnn'" in result.stderr
    with pytest.raises(ValueError, match="unknown type 'int8'"):
        bench("conv", BenchOptions(dtypes=("int8",)), console=QUIET)


def test_the_doctor_explains_every_engine(tmp_path):
    console = Console(record=True, width=100, file=io.StringIO())
    findings = doctor(json_path=tmp_path / "doctor.json", console=console)
    assert findings["engines"].keys() == ENGINES.keys()
    assert findings["engines"][findings["auto"]] is None
    assert findings["bfloat16"] in (None, "AMX")
    assert json.loads((tmp_path / "doctor.json").read_text()) == findings
    text = console.export_text()
    assert "bfloat16 on this processor: " in text or not findings["instruction_sets"]
    assert "auto takes this one" in text and all(name in text for name in ENGINES)


def test_the_table_fits_80_columns():
    times = {"median_s": 123.45678, "min_s": 120.12345, "spread": 1.25, "peak_mb": 12345.0, "of_gemm": 0.75}
    row = {"engine": OWN, "phase": "forward_backward", "gflop": 1.0, "max_error": 1e-12, "skipped": None}
    case = Case("MinkUNet34C", 2_000_000, 1.0, lambda *_: torch.zeros(1), None)
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(_table(case, "float32", [row | times]))
    shown = console.export_text()
    assert "…" not in shown and "minkowski-own" in shown and "120.1235" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_large_rooms_are_compared_with_float64_on_a_smaller_one():
    console = Console(record=True, width=120, file=io.StringIO())
    options = BenchOptions(engines=("torch",), voxels=(300, 900), variant="14A", repeats=1, parity_voxels=500)
    rows = bench("network", options, console=console)
    assert [row["error_voxels"] for row in rows] == [300, 300, 500, 500]
    assert all(0 < row["max_error"] < 0.2 for row in rows)
    assert console.export_text().count("errors are those of a room of 500 voxels") == 1


def test_work_that_would_not_fit_is_skipped_with_the_reason(monkeypatch, tmp_path):
    guard = MemoryGuard(torch.device("cpu"))
    monkeypatch.setattr(memory, "free_mb", lambda device: 4000.0)
    guard.learn("net", 100, 1500.0)
    assert guard.refusal("net", 10_000) is None, "one size tells nothing"
    guard.learn("net", 200, 2000.0)
    assert guard.forecast_mb("net", 400) == 3000.0 and guard.refusal("net", 400) is None
    assert guard.refusal("net", 800) == "skipped: would take 5.0 GB, 4.0 GB are free"
    assert guard.refusal("another net", 800) is None

    # With no memory at all two sizes are measured and the third is not.
    monkeypatch.setattr(memory, "free_mb", lambda device: -1.0)
    console, picture = Console(record=True, width=120, file=io.StringIO()), tmp_path / "rows.png"
    options = BenchOptions(engines=("torch",), voxels=(900, 300, 600), variant="14A", repeats=1, parity=False)
    rows = bench("network", options, plot_path=picture, console=console)
    assert [row["voxels"] for row in rows if row["skipped"]] == [900, 900]
    assert all((row["median_s"] is None) == bool(row["skipped"]) for row in rows)
    assert "torch, forward: skipped: would take" in console.export_text()
    assert picture.stat().st_size > 5000


def test_work_that_runs_out_of_memory_does_not_end_the_others():
    def hungry():
        raise MemoryError("no more")

    timings = take_turns({"hungry": hungry, "modest": lambda: None}, 2, torch.device("cpu"))
    assert timings["hungry"].failure == "out of memory (no more)" and not timings["hungry"].seconds
    assert timings["modest"].failure is None and len(timings["modest"].seconds) == 2
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        take_turns({"wrong": lambda: torch.ones(2, 3) @ torch.ones(2, 3)}, 1, torch.device("cpu"))


@needs_minkowski
def test_minkowski_engine_is_measured_with_its_own_layers_too():
    options = BenchOptions(
        engines=("minkowski", OWN, "torch"), voxels=(1500,), dtypes=("float64",), variant="14A", repeats=1
    )
    rows = bench("network", options, console=QUIET)
    assert {row["engine"] for row in rows} == {"minkowski", OWN, "torch"}
    # Weights, rows and gradients are those of our network, to the last digits.
    assert max(row["max_error"] for row in rows) < 1e-12


def test_a_network_that_minkowski_engine_has_not_is_refused_by_name():
    with pytest.raises(ValueError, match=r"minkowski-own cannot run here: its examples have no network like"):
        bench("network", BenchOptions(engines=(OWN,), variant="SpUNet"), console=QUIET)
    with pytest.raises(ValueError, match="unknown engine 'minkowski-own'; `bench conv` knows"):
        bench("conv", BenchOptions(engines=(OWN,)), console=QUIET)


@pytest.mark.parametrize(("cuda", "word"), [(None, "is a CPU build"), ("13.0", "sees no GPU")])
def test_the_doctor_says_why_a_gpu_is_not_used(tmp_path, monkeypatch, cuda, word):
    driver = tmp_path / "version"
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert unused_gpu(driver=driver) is None
    driver.write_text("NVRM version")
    assert word in unused_gpu(driver=driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert unused_gpu(driver=driver) is None
