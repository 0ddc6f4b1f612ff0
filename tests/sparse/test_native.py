"""The C kernels: every instruction set of this processor, any number of threads, any number of channels."""

import itertools

import pytest
import torch
from oracle import kernel_triples, random_coords

from pointseg.sparse import Grid
from pointseg.sparse.backends import native as native_module
from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.bfloat16 import bfloat16_instructions, explain_bfloat16
from pointseg.sparse.backends.block_products import BlocksBackend
from pointseg.sparse.backends.native import NativeBackend
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.kernel_map import search_pairs
from pointseg.sparse.native_library import instruction_sets

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


def test_bfloat16_is_summed_in_float32_and_rounded_once_where_nothing_is_quicker(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    kernel_map = some_map("same")
    x, weight, grad = tensors(kernel_map, 24, 24, torch.bfloat16)
    got = results(NativeBackend(), kernel_map, x, weight, grad)
    exact = results(ReferenceBackend(), kernel_map, x.double(), weight.double(), grad.double())
    for a, b in zip(got, exact, strict=True):
        assert a.dtype == torch.bfloat16
        # Half a unit in the last place, and what float32 sums add to it.
        torch.testing.assert_close(a.double(), b, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("capability", ["amx_bf16", "avx512_bf16"])
@pytest.mark.parametrize("kind", ["same", "down", "up"])
@pytest.mark.parametrize("channels", [(64, 64), (70, 96), (96, 63), (3, 64)])
def test_bfloat16_products_where_the_processor_has_them_are_right(monkeypatch, capability, kind, channels):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    multiplied = []

    class Watched(BlocksBackend):
        def forward(self, *arguments):
            multiplied.append("forward")
            return super().forward(*arguments)

        def backward(self, *arguments, **options):
            multiplied.append("backward")
            return super().backward(*arguments, **options)

    monkeypatch.setattr(native_module, "BlocksBackend", Watched)
    kernel_map = some_map(kind)
    x, weight, grad = tensors(kernel_map, *channels, torch.bfloat16)
    got = results(NativeBackend(), kernel_map, x, weight, grad)
    # Narrow layers stay in the C kernels, the backward pass where the forward pass is.
    assert multiplied == (["backward", "forward"] if min(channels) >= 64 else [])
    exact = results(ReferenceBackend(), kernel_map, x.double(), weight.double(), grad.double())
    for a, b in zip(got, exact, strict=True):
        assert a.dtype == torch.bfloat16
        assert (a.double() - b).norm() <= 2**-8 * b.norm()
        torch.testing.assert_close(a.double(), b, rtol=2**-6, atol=2**-8 * float(b.abs().max()))


def test_bfloat16_products_come_with_the_epilogue(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    kernel_map = some_map("same")
    x, weight, grad = tensors(kernel_map, 64, 64, torch.bfloat16)
    epilogue = Epilogue(torch.linspace(-50, 50, 64), 10 * grad, relu=True)
    got = NativeBackend().forward(x, weight, kernel_map, epilogue)
    exact = ReferenceBackend().forward(x.double(), weight.double(), kernel_map)
    exact = (exact + torch.linspace(-50, 50, 64).double() + 10 * grad.double()).relu()
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), exact, rtol=2**-6, atol=2**-8 * float(exact.max()))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "AMX"),
        ({"amx_bf16": False, "avx512_bf16": True}, "AVX-512 BF16"),
        ({"avx512_f": True, "avx512_bw": True, "avx512_bf16": False}, None),
        ({"architecture": "arm64", "bf16": True}, None),
    ],
)
def test_the_processor_decides_on_bfloat16(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bfloat16_instructions() == NativeBackend().bfloat16 == expected
    assert (expected or "computed in float32") in explain_bfloat16(expected)


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
