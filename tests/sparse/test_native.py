"""The C kernels: every instruction set of this processor, any number of threads, any number of channels."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from oracle import kernel_triples, random_coords

from pointseg.sparse import Grid
from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.bfloat16 import bfloat16_instructions, explain_bfloat16
from pointseg.sparse.backends.native import NativeBackend
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.kernel_map import search_pairs
from pointseg.sparse.native_library import bfloat16_sets, instruction_sets

SETS = list(instruction_sets())
pytestmark = pytest.mark.skipif(not SETS, reason="the C extension was not built; a C compiler builds it")


def some_map(kind, count=700):
    grid = Grid(random_coords(count, extent=6, seed=3)).sorted()[0]
    if kind == "same":
        return grid.kernel_map(grid, 3)
    down = grid.kernel_map(grid.coarsen(2), 2)
    return down if kind == "down" else down.transposed()


def tensors(kernel_map, c_in, c_out, dtype):
    generator = torch.Generator().manual_seed(c_in * 1000 + c_out)
    x = torch.randn(kernel_map.num_source, c_in, generator=generator).to(dtype)
    weight = torch.randn(kernel_map.num_taps, c_in, c_out, generator=generator).to(dtype)
    return x, weight, torch.randn(kernel_map.num_target, c_out, generator=generator).to(dtype)


def results(engine, kernel_map, x, weight, grad):
    both = engine.backward(grad, x, weight, kernel_map, needs_features=True, needs_weight=True)
    return engine.forward(x, weight, kernel_map), *both


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("kind", ["same", "down", "up"])
@pytest.mark.parametrize("channels", [(1, 1), (3, 32), (9, 17), (7, 8), (13, 100), (48, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_instruction_set_agrees_with_plain_torch(instruction_set, kind, channels, dtype):
    kernel_map = some_map(kind)
    inputs = tensors(kernel_map, *channels, dtype)
    got = results(NativeBackend(instruction_set), kernel_map, *inputs)
    expected = results(ReferenceBackend(), kernel_map, *(t.double() for t in inputs))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == dtype and a.shape == b.shape
        torch.testing.assert_close(a.double(), b, rtol=1e-10 if dtype == torch.float64 else 1e-3, atol=1e-3)
        assert (a.double() - b).norm() <= b.norm() * (1e-13 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("extent", [15, 30, 200])
def test_rows_in_many_blocks_close_together_far_apart_and_alone(instruction_set, extent):
    """Neighbours that are read in one stretch, one by one, and taps under which nothing lies."""
    grid = Grid(random_coords(3000, extent=extent, seed=3)).sorted()[0]
    kernel_map = grid.kernel_map(grid, 3)
    assert kernel_map.num_target > 2048
    inputs = tensors(kernel_map, 20, 33, torch.float32)
    got = results(NativeBackend(instruction_set), kernel_map, *inputs)
    expected = results(ReferenceBackend(), kernel_map, *(t.double() for t in inputs))
    for a, b in zip(got, expected, strict=True):
        assert (a.double() - b).norm() <= b.norm() * 1e-6


@pytest.mark.parametrize("channels", [(3, 8), (40, 600)])
def test_results_do_not_depend_on_the_number_of_threads(channels):
    kernel_map = some_map("same", 2500)
    inputs = tensors(kernel_map, *channels, torch.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(results(NativeBackend(), kernel_map, *inputs))
    finally:
        torch.set_num_threads(before)
    for one, other in itertools.pairwise(found):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


NARROW_SETS = list(bfloat16_sets())


@pytest.mark.parametrize("narrow_set", [None, *NARROW_SETS])
@pytest.mark.parametrize("kind", ["same", "down", "up"])
@pytest.mark.parametrize("channels", [(3, 32), (32, 32), (33, 70), (64, 96), (96, 63), (128, 160)])
def test_bfloat16_is_summed_in_float32_and_rounded_once(narrow_set, kind, channels):
    kernel_map = some_map(kind)
    x, weight, grad = tensors(kernel_map, *channels, torch.bfloat16)
    got = results(NativeBackend(bfloat16_set=narrow_set), kernel_map, x, weight, grad)
    exact = results(ReferenceBackend(), kernel_map, x.double(), weight.double(), grad.double())
    for a, b in zip(got, exact, strict=True):
        assert a.dtype == torch.bfloat16 and a.shape == b.shape
        # Half a unit in the last place, and what float32 sums add to it.
        torch.testing.assert_close(a.double(), b, rtol=2**-8, atol=3e-4)


@pytest.mark.parametrize("narrow_set", NARROW_SETS)
def test_bfloat16_rows_in_many_blocks_and_threads_are_those_of_float32(narrow_set):
    """Several blocks of rows and of columns, more pairs than one product has, groups of taps and slices."""
    # Thinly spread: several blocks of rows, and few pairs.
    grid = Grid(random_coords(2500, extent=30, seed=3)).sorted()[0]
    kernel_map = grid.kernel_map(grid, 3)
    inputs = tensors(kernel_map, 40, 300, torch.bfloat16)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3, 40):
            torch.set_num_threads(threads)
            found.append(results(NativeBackend(bfloat16_set=narrow_set), kernel_map, *inputs))
    finally:
        torch.set_num_threads(before)
    exact = results(NativeBackend(), kernel_map, *(t.float() for t in inputs))
    for got in found:
        assert all(torch.equal(a, b) for a, b in zip(got, found[0], strict=True))
        for a, b in zip(got, exact, strict=True):
            assert (a.float() - b).norm() <= 2**-8 * b.norm()


@pytest.mark.parametrize("narrow_set", NARROW_SETS)
def test_bfloat16_products_come_with_the_epilogue(narrow_set):
    kernel_map = some_map("same")
    x, weight, grad = tensors(kernel_map, 64, 72, torch.bfloat16)
    bias = torch.linspace(-50, 50, 72)
    engine = NativeBackend(bfloat16_set=narrow_set)
    exact = ReferenceBackend().forward(x.double(), weight.double(), kernel_map)
    for epilogue, finished in (
        (Epilogue(bias, grad, relu=True), (exact + bias.double() + grad.double()).relu()),
        (Epilogue(bias), exact + bias.double()),
        (Epilogue(residual=grad), exact + grad.double()),
        (Epilogue(relu=True), exact.relu()),
    ):
        got = engine.forward(x, weight, kernel_map, epilogue)
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.double(), finished, rtol=2**-8, atol=3e-4)


@pytest.mark.parametrize("narrow_set", NARROW_SETS)
@pytest.mark.parametrize(
    "value", [torch.nan, -torch.nan, torch.inf, -torch.inf, 3e38, -0.0, 2**-130, 1 + 3 * 2**-8, 1 + 2**-8]
)
def test_bfloat16_products_round_as_torch_does(narrow_set, value):
    grid = Grid(torch.zeros(1, 4, dtype=torch.int32))
    weight = torch.zeros(1, 32, 32, dtype=torch.bfloat16)
    x, residual = torch.zeros(1, 32, dtype=torch.bfloat16), torch.zeros(1, 32, dtype=torch.bfloat16)
    epilogue = Epilogue(torch.full((32,), value), residual)
    got = NativeBackend(bfloat16_set=narrow_set).forward(x, weight, grid.kernel_map(grid, 1), epilogue)
    assert torch.equal(got.nan_to_num(7), torch.full((1, 32), value).bfloat16().nan_to_num(7))


@pytest.mark.parametrize("narrow_set", NARROW_SETS)
def test_bfloat16_of_an_empty_grid_is_empty(narrow_set):
    grid = Grid(torch.empty(0, 4, dtype=torch.int32))
    kernel_map = grid.kernel_map(grid, 3)
    inputs = tensors(kernel_map, 40, 50, torch.bfloat16)
    out, grad_x, grad_w = results(NativeBackend(bfloat16_set=narrow_set), kernel_map, *inputs)
    assert out.shape == (0, 50) and grad_x.shape == (0, 40)
    assert grad_w.shape == (27, 40, 50) and not grad_w.any()


def test_the_processor_decides_on_bfloat16():
    """What the system says it has is what the engine takes."""
    info = Path("/proc/cpuinfo")
    if not info.is_file() or "flags" not in (told := info.read_text(encoding="utf-8")):
        pytest.skip("only Linux on x86-64 tells in /proc/cpuinfo what the processor has")
    expected = "AMX" if re.search(r"^flags.* amx_bf16\b", told, re.MULTILINE) else None
    assert bfloat16_instructions() == expected


def test_the_doctor_says_whether_bfloat16_is_quicker():
    assert "computed in float32" in explain_bfloat16(None)
    assert "AMX" in explain_bfloat16("AMX")


def test_a_set_for_bfloat16_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"This machine runs .*portable.*; got 'avx2'"):
        NativeBackend(bfloat16_set="avx2")


def test_half_precision_goes_to_plain_torch():
    kernel_map = some_map("down")
    x, weight, grad = tensors(kernel_map, 4, 4, torch.float16)
    got = results(NativeBackend(), kernel_map, x, weight, grad)
    exact = results(ReferenceBackend(), kernel_map, x.double(), weight.double(), grad.double())
    for a, b in zip(got, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-2, atol=1e-2)


def test_outputs_without_a_pair_are_zero_and_the_epilogue_reaches_them():
    far = torch.tensor([[0, 0, 0, 0], [0, 100, 0, 0]], dtype=torch.int32)
    source, target = Grid(far[:1]), Grid(far)
    kernel_map = source.kernel_map(target, 3)
    x, weight = torch.ones(1, 2), torch.ones(27, 2, 3)
    assert NativeBackend().forward(x, weight, kernel_map).tolist() == [[2.0] * 3, [0.0] * 3]
    epilogue = Epilogue(torch.tensor([1.0, -1.0, 0.0]), torch.full((2, 3), 0.5), relu=True)
    assert NativeBackend().forward(x, weight, kernel_map, epilogue).tolist() == [
        [3.5, 1.5, 2.5],
        [1.5, 0.0, 0.5],
    ]


def test_an_empty_grid_has_an_empty_result_and_zero_gradients():
    grid = Grid(torch.empty(0, 4, dtype=torch.int32))
    x, weight, grad = tensors(grid.kernel_map(grid, 3), 5, 6, torch.float32)
    out, grad_x, grad_w = results(NativeBackend(), grid.kernel_map(grid, 3), x, weight, grad)
    assert out.shape == (0, 6) and grad_x.shape == (0, 5)
    assert not grad_w.any()


def test_a_nan_is_not_hidden_by_the_relu():
    grid = Grid(torch.zeros(1, 4, dtype=torch.int32))
    kernel_map = grid.kernel_map(grid, 3)
    out = NativeBackend().forward(
        torch.full((1, 1), torch.nan), torch.ones(27, 1, 1), kernel_map, Epilogue(relu=True)
    )
    assert bool(out.isnan().all())


def test_an_instruction_set_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"This machine runs .*portable.*; got 'mmx'"):
        NativeBackend("mmx")


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("factor", [1, 2])
def test_maps_in_c_are_those_of_the_search(kernel_size, dilation, factor):
    grid = Grid(random_coords(300, extent=5, batches=3, seed=kernel_size)).sorted()[0]
    target = grid.coarsen(factor)
    kernel_map = grid.kernel_map(target, kernel_size, dilation)
    searched = search_pairs(kernel_map.geometry)
    assert kernel_map.starts == searched.starts
    assert torch.equal(kernel_map.source, searched.source)
    assert torch.equal(kernel_map.target, searched.target)
    expected = kernel_triples(grid.coords, target.coords, kernel_size, dilation)
    assert kernel_map.num_pairs == len(expected)


def test_a_library_of_other_sources_is_not_called_and_that_is_said():
    """Its sums would be wrong without a word; convolution goes on in plain torch."""
    program = """
import torch
import pointseg.sparse.native_library as library
library._CONTRACT = -1
from pointseg.sparse.engines import backend, current_engine, using_engine
print(backend("native").unavailable(torch.device("cpu")))
with using_engine("auto"):
    print(current_engine(torch.device("cpu")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "built from other sources" in done.stdout and "pip install --no-deps -e ." in done.stdout
    assert done.stdout.split()[-1] == "torch"
    assert done.stderr.count("native is not used") == 1
