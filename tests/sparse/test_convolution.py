"""Sparse convolution against dense conv3d, an explicit loop and numerical gradients."""

import pytest
import torch
from oracle import (
    convolve_by_triples,
    dense_convolution,
    dense_transposed_convolution,
    kernel_triples,
    random_coords,
)

from pointseg.sparse import Grid, SparseTensor, convolve


def random_weight(kernel_size, c_in, c_out, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(kernel_size**3, c_in, c_out, generator=generator, dtype=dtype)


def random_features(grid, channels, seed=0, dtype=torch.float64):
    return torch.randn(len(grid), channels, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(1, 1), (3, 5), (40, 34)])
def test_convolution_equals_dense_conv3d(kernel_size, stride, channels):
    grid = Grid(random_coords(150, seed=kernel_size))
    x, weight = random_features(grid, channels[0]), random_weight(kernel_size, *channels)
    target = grid.coarsen(stride)
    out = convolve(x, weight, grid.kernel_map(target, kernel_size))
    expected = dense_convolution(grid.coords, x, weight, target.coords, stride=stride)
    torch.testing.assert_close(out, expected)


def test_dilated_convolution_equals_dense_conv3d():
    grid = Grid(random_coords(150, seed=11))
    x, weight = random_features(grid, 4), random_weight(3, 4, 6)
    expected = dense_convolution(grid.coords, x, weight, grid.coords, dilation=2)
    torch.testing.assert_close(convolve(x, weight, grid.kernel_map(grid, 3, dilation=2)), expected)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_transposed_convolution_equals_dense_conv_transpose3d(kernel_size):
    fine = Grid(random_coords(150, seed=12))
    coarse = fine.coarsen(2)
    x, weight = random_features(coarse, 5), random_weight(kernel_size, 5, 7)
    out = convolve(x, weight, fine.kernel_map(coarse, kernel_size).transposed())
    expected = dense_transposed_convolution(coarse.coords, x, weight, fine.coords, stride=2)
    torch.testing.assert_close(out, expected)


def test_an_impulse_copies_the_kernel_mirrored():
    # out[o] reads in[o + tap]: a voxel at the origin reaches o = -tap, through the weight of that tap.
    block = torch.cartesian_prod(torch.tensor([0]), *[torch.arange(-1, 2)] * 3).int()
    grid = Grid(block)
    x = torch.zeros(27, 1)
    x[13] = 1.0
    weight = torch.arange(1.0, 28.0).reshape(27, 1, 1)
    out = convolve(x, weight, grid.kernel_map(grid, 3)).reshape(3, 3, 3)
    for tap_x, tap_y, tap_z in ((-1, 0, 0), (0, 1, 0), (1, -1, 1)):
        tap = (tap_x + 1) + 3 * (tap_y + 1) + 9 * (tap_z + 1)
        assert out[1 - tap_x, 1 - tap_y, 1 - tap_z] == tap + 1


@pytest.mark.parametrize(("kernel_size", "factor"), [(1, 1), (2, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("channels", [(2, 3), (34, 33)])
def test_gradients_are_exact(kernel_size, factor, transposed, channels):
    grid = Grid(random_coords(14, extent=3, seed=13))
    kernel_map = grid.kernel_map(grid.coarsen(factor), kernel_size)
    kernel_map = kernel_map.transposed() if transposed else kernel_map
    x = torch.randn(kernel_map.num_source, channels[0], dtype=torch.float64, requires_grad=True)
    weight = random_weight(kernel_size, *channels).requires_grad_()
    fast = channels[0] > 4
    assert torch.autograd.gradcheck(lambda a, b: convolve(a, b, kernel_map), (x, weight), fast_mode=fast)


@pytest.mark.parametrize("sorted_rows", [True, False])
def test_gradients_equal_those_of_the_loop(sorted_rows):
    grid = Grid(random_coords(60, extent=3, seed=14))
    grid = grid.sorted()[0] if sorted_rows else grid
    triples = kernel_triples(grid.coords, grid.coords, 3, 1)
    x, weight = random_features(grid, 6).requires_grad_(), random_weight(3, 6, 4).requires_grad_()
    upstream = random_features(grid, 4, seed=1)
    fast = convolve(x, weight, grid.kernel_map(grid, 3))
    slow = convolve_by_triples(x, weight, triples, len(grid))
    torch.testing.assert_close(fast, slow)
    for got, expected in zip(
        torch.autograd.grad(fast, (x, weight), upstream),
        torch.autograd.grad(slow, (x, weight), upstream),
        strict=True,
    ):
        torch.testing.assert_close(got, expected)


def test_a_gradient_is_only_computed_where_it_is_needed():
    grid = Grid(random_coords(20))
    weight = random_weight(3, 2, 2).requires_grad_()
    x = random_features(grid, 2)
    convolve(x, weight, grid.kernel_map(grid, 3)).sum().backward()
    assert x.grad is None and weight.grad is not None


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("channels", [(3, 8), (16, 16), (48, 40)])
def test_narrow_types_agree_with_float64(dtype, tolerance, channels):
    grid = Grid(random_coords(200, seed=15))
    kernel_map = grid.kernel_map(grid, 3)
    # Values that bfloat16 holds exactly, so that only the convolution itself can round.
    x, weight = random_features(grid, channels[0]).bfloat16(), random_weight(3, *channels).bfloat16()
    exact_inputs = (x.double().requires_grad_(), weight.double().requires_grad_())
    narrow_inputs = (x.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_())
    exact, narrow = convolve(*exact_inputs, kernel_map), convolve(*narrow_inputs, kernel_map)
    assert narrow.dtype == dtype
    exact.sum().backward()
    narrow.sum().backward()
    pairs = [(exact, narrow), *((e.grad, n.grad) for e, n in zip(exact_inputs, narrow_inputs, strict=True))]
    for expected, got in pairs:
        assert float((got.double() - expected).detach().norm() / expected.detach().norm()) < tolerance


def test_autocast_computes_in_the_autocast_type_and_returns_float32_gradients():
    grid = Grid(random_coords(30))
    x, weight = random_features(grid, 4, dtype=torch.float32), random_weight(3, 4, 4, dtype=torch.float32)
    x.requires_grad_(), weight.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = convolve(x, weight, grid.kernel_map(grid, 3))
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert x.grad.dtype == torch.float32 and weight.grad.dtype == torch.float32


def test_every_run_gives_the_same_bits():
    grid = Grid(random_coords(400, seed=16))
    x, weight = random_features(grid, 24, dtype=torch.float32), random_weight(3, 24, 40, dtype=torch.float32)

    def run():
        inputs = (x.clone().requires_grad_(), weight.clone().requires_grad_())
        out = convolve(*inputs, Grid(grid.coords).kernel_map(grid, 3))
        return [out, *torch.autograd.grad(out.square().sum(), inputs)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def test_permuted_rows_give_permuted_results():
    grid = Grid(random_coords(100, seed=17))
    order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))
    moved = Grid(grid.coords[order])
    x, weight = random_features(grid, 5), random_weight(3, 5, 3)
    out = convolve(x, weight, grid.kernel_map(grid, 3))
    torch.testing.assert_close(convolve(x[order], weight, moved.kernel_map(moved, 3)), out[order])


def test_one_voxel_meets_only_the_middle_tap():
    grid = Grid(torch.tensor([[0, 5, -5, 9]], dtype=torch.int32))
    x, weight = torch.tensor([[2.0]]), torch.arange(27.0).reshape(27, 1, 1)
    assert convolve(x, weight, grid.kernel_map(grid, 3)).tolist() == [[26.0]]


@pytest.mark.parametrize("channels", [(3, 4), (40, 40)])
def test_no_voxel_gives_no_row_and_zero_gradients(channels):
    grid = Grid(torch.zeros(0, 4, dtype=torch.int32))
    x = torch.zeros(0, channels[0], requires_grad=True)
    weight = random_weight(3, *channels, dtype=torch.float32).requires_grad_()
    out = convolve(x, weight, grid.kernel_map(grid, 3))
    out.sum().backward()
    assert out.shape == (0, channels[1]) and x.grad.shape == x.shape
    assert not weight.grad.any()


def test_a_target_without_neighbours_is_zero():
    source = Grid(torch.tensor([[0, 0, 0, 0]], dtype=torch.int32))
    target = Grid(torch.tensor([[0, 0, 0, 0], [0, 9, 9, 9]], dtype=torch.int32))
    out = convolve(torch.ones(1, 2), torch.ones(27, 2, 3), source.kernel_map(target, 3))
    assert out.tolist() == [[2.0] * 3, [0.0] * 3]


def test_shapes_that_do_not_fit_are_refused():
    grid = Grid(random_coords(10))
    kernel_map = grid.kernel_map(grid, 3)
    with pytest.raises(ValueError, match="Features must be"):
        convolve(torch.ones(3, 2), torch.ones(27, 2, 2), kernel_map)
    with pytest.raises(ValueError, match="27 taps, 2 input channels"):
        convolve(torch.ones(len(grid), 2), torch.ones(8, 2, 2), kernel_map)


def test_tensors_add_and_concatenate_only_on_one_grid():
    a, b = Grid(random_coords(10)), Grid(random_coords(10))
    x, y = SparseTensor(torch.ones(len(a), 2), a), SparseTensor(torch.ones(len(b), 2), b)
    assert (x + x).features.unique().tolist() == [2.0] and x.cat(x).num_channels == 4
    with pytest.raises(ValueError, match="only on one grid"):
        x + y
    with pytest.raises(ValueError, match="only on one grid"):
        x.cat(y)


def test_a_sparse_tensor_needs_a_row_per_voxel():
    with pytest.raises(ValueError, match="a row per voxel"):
        SparseTensor(torch.ones(3, 2), Grid(torch.zeros(1, 4, dtype=torch.int32)))
