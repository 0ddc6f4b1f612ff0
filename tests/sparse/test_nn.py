"""Layers: parameter layout of MinkowskiEngine, target grids, batch norm of tiny batches."""

import copy

import pytest
import torch
from oracle import random_coords

from pointseg.sparse import (
    Grid,
    SparseBatchNorm,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseReLU,
    SparseTensor,
)


def sparse(channels, *, count=40, seed=0):
    grid = Grid(random_coords(count, seed=seed))
    return SparseTensor(torch.randn(len(grid), channels, generator=torch.Generator().manual_seed(seed)), grid)


def test_kernels_have_the_layout_of_minkowski_engine():
    assert SparseConv3d(4, 6, 3).kernel.shape == (27, 4, 6)
    assert SparseConv3d(4, 6, 1).kernel.shape == (4, 6)
    assert SparseConv3d(4, 6, 1, stride=2).kernel.shape == (1, 4, 6)
    assert SparseConvTranspose3d(4, 6, 2, stride=2, bias=True).bias.shape == (1, 6)
    assert next(iter(SparseBatchNorm(3).state_dict())) == "bn.weight"


def test_initial_values_lie_within_the_fan():
    for layer, fan in ((SparseConv3d(8, 32, 3), 8), (SparseConvTranspose3d(8, 32, 3), 32)):
        bound = (fan * 27) ** -0.5
        assert 0.9 * bound < layer.kernel.abs().max().item() <= bound


def test_a_strided_layer_lands_on_the_coarser_grid():
    x = sparse(3)
    out = SparseConv3d(3, 5, 2, stride=2)(x)
    assert out.grid is x.grid.coarsen(2) and out.features.shape == (len(out.grid), 5)


def test_a_transposed_layer_lands_on_the_grid_it_is_given():
    x = sparse(3)
    down = SparseConv3d(3, 4, 2, stride=2)(x)
    up = SparseConvTranspose3d(4, 2, 2, stride=2)(down, x.grid)
    assert up.grid is x.grid and up.features.shape == (len(x.grid), 2)


def test_every_fine_voxel_takes_the_tap_of_its_place_in_the_coarse_one():
    grid = Grid(torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.int32))
    layer = SparseConvTranspose3d(1, 1, 2, stride=2)
    layer.kernel.data = torch.arange(8.0).reshape(8, 1, 1)
    coarse = SparseTensor(torch.ones(1, 1), grid.coarsen(2))
    assert layer(coarse, grid).features.flatten().tolist() == [0.0, 1.0, 6.0]


def test_a_transposed_layer_refuses_a_grid_of_another_stride():
    x = sparse(3)
    with pytest.raises(ValueError, match="got stride 1"):
        SparseConvTranspose3d(3, 2, 2, stride=2)(x, x.grid)


def test_pointwise_layers_agree_with_their_matrix():
    x = sparse(3)
    layer = SparseConv3d(3, 5, 1, bias=True)
    torch.testing.assert_close(layer(x).features, x.features @ layer.kernel + layer.bias)
    transposed = SparseConvTranspose3d(3, 5, 1)
    torch.testing.assert_close(transposed(x, x.grid).features, x.features @ transposed.kernel)


def test_a_bias_is_added_once():
    x = sparse(3)
    layer, without = SparseConv3d(3, 5, 3, bias=True), SparseConv3d(3, 5, 3)
    without.kernel.data = layer.kernel.data
    layer.bias.data = torch.arange(5.0).reshape(1, 5)
    torch.testing.assert_close(layer(x).features, without(x).features + torch.arange(5.0))


@pytest.mark.parametrize("wrong", [{"kernel_size": 0}, {"stride": 0}, {"dilation": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        SparseConv3d(2, 2, **{"kernel_size": 3, **wrong})


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_without_variance_is_normalised_with_running_statistics(rows):
    norm = SparseBatchNorm(2)
    norm.bn.running_mean.fill_(3.0)
    grid = Grid(torch.zeros(rows, 4, dtype=torch.int32))
    out = norm(SparseTensor(torch.full((rows, 2), 3.0), grid))
    assert out.features.tolist() == [[0.0, 0.0]] * rows
    assert norm.bn.running_mean.tolist() == [3.0, 3.0]


def test_a_batch_is_normalised_over_all_voxels():
    out = SparseBatchNorm(4)(sparse(4)).features
    torch.testing.assert_close(out.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)


def test_relu_clips_at_zero():
    assert SparseReLU()(sparse(3)).features.min().item() == 0.0


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("channels", [24, 48])
def test_a_pointwise_convolution_in_bfloat16_is_that_of_float64(autocast, channels):
    grid = Grid(random_coords(200, seed=5))
    layer = SparseConv3d(40, channels, 1)
    x = torch.randn(len(grid), 40).bfloat16()
    upstream = torch.randn(len(grid), channels).bfloat16()
    layer.kernel.data = layer.kernel.data.bfloat16().float()

    def step(layer, x, upstream):
        x = x.clone().requires_grad_()
        out = layer(SparseTensor(x, grid)).features
        return out, *torch.autograd.grad(out, (x, layer.kernel), upstream)

    exact = step(copy.deepcopy(layer).double(), x.double(), upstream.double())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        got = step(layer if autocast else layer.bfloat16(), x, upstream)
    assert got[0].dtype == got[1].dtype == torch.bfloat16
    for a, b in zip(got, exact, strict=True):
        assert (a.double() - b).norm() < 2**-7 * b.norm()
