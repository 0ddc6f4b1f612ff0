"""scripts/patch_minkowski.py: all edits or none."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "patch_minkowski.py"


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("patch_minkowski", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "patch_minkowski", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path, script):
    """The texts to be edited and nothing else, each as often as it must occur."""
    for edit in script.EDITS:
        path = tmp_path / "src" / edit.path
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else ""
        path.write_text(before + f"{edit.old}\n" * edit.times)
    return tmp_path


def run(script, monkeypatch, folder):
    monkeypatch.setattr(sys, "argv", ["patch_minkowski.py", str(folder)])
    script.main()


def test_every_edit_is_made_once(script, source, monkeypatch, capsys):
    run(script, monkeypatch, source)
    hash_map = (source / "src/3rdparty/concurrent_unordered_map.cuh").read_text()
    assert hash_map.count("prefetch_to_device(") == 4
    assert hash_map.count("cudaMemPrefetchAsync(") == 2
    assert "unary_function" not in (source / "src/coordinate_map_functors.cuh").read_text()
    assert (source / "src/spmm.cu").read_text().startswith("#include <torch/extension.h>")
    assert "6 files" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["missing file", "other text"])
def test_a_source_that_differs_is_left_as_it_was(script, source, monkeypatch, change):
    path = source / "src/coordinate_map_gpu.cuh"
    path.unlink() if change == "missing file" else path.write_text("m_map = other();\n")
    before = {p: p.read_text() for p in source.rglob("*.c*") if p.is_file()}
    with pytest.raises(SystemExit, match=r"coordinate_map_gpu.cuh (is missing|has .* 0 times; expected 1)"):
        run(script, monkeypatch, source)
    assert {p: p.read_text() for p in before} == before


def test_a_second_run_says_that_the_source_was_changed(script, source, monkeypatch):
    run(script, monkeypatch, source)
    with pytest.raises(SystemExit, match="not the untouched source"):
        run(script, monkeypatch, source)
