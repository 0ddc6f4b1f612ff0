"""The kernels compile to machine code for GPUs, also where there is none; the interpreter accepts more."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

WORKER = Path(__file__).with_name("triton_compile_worker.py")


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    done = subprocess.run(
        [sys.executable, WORKER, "80", "90"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ") for line in done.stdout.splitlines())


@pytest.mark.parametrize(("architecture", "instruction"), [("80", "mma.sync"), ("90", "wgmma")])
def test_products_run_on_tensor_cores_unless_float32_is_to_be_exact(lines, architecture, instruction):
    products = {name: line.split()[0] for name, line in lines.items() if f"sm_{architecture}" in name}
    assert products.pop(f"sm_{architecture} sum") == "none"
    assert {products.pop(f"sm_{architecture} exact {kernel}") for kernel in ("forward", "weight")} == {"fma"}
    assert len(products) == 9 and set(products.values()) == {instruction}


def test_gathers_are_asynchronous_and_no_register_is_spilt(lines):
    for name, line in lines.items():
        assert "async" in line.split() or name.endswith("sum"), name
        assert int(re.search(r"spilt=(\d+)", line)[1]) == 0, name
