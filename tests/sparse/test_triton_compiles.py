"""The kernels compile to machine code for GPUs, also where there is none; the interpreter accepts more.

``make test-triton`` runs this and the tests of the kernels with the Triton that CUDA builds of torch pin.
Every architecture takes as long as the next: all of them are compiled for in the long form
(``POINTSEG_LONG=1``).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

WORKER = Path(__file__).with_name("triton_compile_worker.py")
#: Compute capability -> the instruction that multiplies on it.
PRODUCTS = {"80": "mma.sync", "90": "wgmma", "120": "mma.sync"}
ARCHITECTURES = list(PRODUCTS) if os.environ.get("POINTSEG_LONG") == "1" else ["90"]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    done = subprocess.run(
        [sys.executable, WORKER, *ARCHITECTURES], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ") for line in done.stdout.splitlines())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_run_on_tensor_cores_unless_float32_is_to_be_exact(lines, architecture):
    products = {name: line.split()[0] for name, line in lines.items() if f"sm_{architecture} " in name}
    exact = {name for name in products if "exact" in name}
    sums = {name for name in products if "sum" in name}
    assert len(sums) == 2 and {products.pop(name) for name in sums} == {"none"}
    assert {products.pop(name) for name in exact} <= {"fma"}
    assert len(products) >= 10 and set(products.values()) == {PRODUCTS[architecture]}


def test_gathers_are_asynchronous_and_no_register_is_spilt(lines):
    for name, line in lines.items():
        assert "async" in line.split() or "sum" in name, name
        assert int(re.search(r"spilt=(\d+)", line)[1]) == 0, name


def test_as_many_gathers_are_in_flight_as_stages_ask_for(lines):
    """One stage is the product itself; with a single buffer each product waits for its own loads."""
    for name, line in lines.items():
        if "sum" not in name:
            asked = int(found[1]) if (found := re.search(r"staged(\d)", name)) else 3
            assert int(re.search(r"buffers=(\d+)", line)[1]) >= asked - 1, name
