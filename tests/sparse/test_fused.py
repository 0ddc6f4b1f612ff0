"""At evaluation a convolution, its norm, shortcut and ReLU are one pass with the same result."""

import pytest
import torch
from oracle import random_coords

from pointseg.sparse import (
    Grid,
    SparseBatchNorm,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseTensor,
    convolve_normalised,
)


def layers(kind, bias):
    torch.manual_seed(0)
    grid = Grid(random_coords(120, seed=2))
    norm = SparseBatchNorm(6).double()
    bn = norm.bn
    for values in (bn.running_mean, bn.weight.data, bn.bias.data):
        values.normal_()
    bn.running_var.uniform_(0.5, 2)
    if kind == "up":
        conv, x = SparseConvTranspose3d(4, 6, 2, stride=2, bias=bias), grid.coarsen(2)
    else:
        conv, x = SparseConv3d(4, 6, 1 if kind == "pointwise" else 3, bias=bias), grid
    features = torch.randn(len(x), 4, dtype=torch.float64)
    return conv.double(), norm, SparseTensor(features, x), grid if kind == "up" else None


@pytest.mark.parametrize("kind", ["same", "up", "pointwise"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_one_pass_equals_layer_after_layer(kind, bias, with_shortcut, relu):
    conv, norm, x, onto = layers(kind, bias)
    norm.eval()
    with torch.no_grad():
        expected = norm(conv(x) if onto is None else conv(x, onto)).features
        shortcut = torch.randn_like(expected) if with_shortcut else None
        expected = expected if shortcut is None else expected + shortcut
        expected = expected.relu() if relu else expected
        grid = onto or x.grid
        got = convolve_normalised(
            conv,
            norm,
            x,
            onto=onto,
            shortcut=None if shortcut is None else SparseTensor(shortcut.clone(), grid),
            relu=relu,
        )
    assert got.grid is grid
    torch.testing.assert_close(got.features, expected)


def test_with_gradients_the_layers_run_one_by_one():
    conv, norm, x, _ = layers("same", bias=False)
    out = convolve_normalised(conv, norm.eval(), x)
    out.features.sum().backward()
    assert conv.kernel.grad is not None and norm.bn.weight.grad is not None


def test_in_training_the_statistics_move():
    conv, norm, x, _ = layers("same", bias=False)
    before = norm.bn.running_mean.clone()
    with torch.no_grad():
        convolve_normalised(conv, norm.train(), x)
    assert not torch.equal(norm.bn.running_mean, before)
