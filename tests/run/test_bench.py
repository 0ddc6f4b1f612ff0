"""The verbs bench and doctor: rows that people script against, and a table that fits a terminal."""

import io
import json

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.run.bench.main import BenchOptions, bench
from pointseg.run.bench.measure import take_turns
from pointseg.run.doctor import doctor
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
    assert findings["bfloat16"] in (None, "AMX", "AVX-512 BF16")
    assert json.loads((tmp_path / "doctor.json").read_text()) == findings
    text = console.export_text()
    assert "bfloat16 on this processor: " in text or not findings["instruction_sets"]
    assert "auto takes this one" in text and all(name in text for name in ENGINES)
