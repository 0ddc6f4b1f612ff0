"""Whole MinkUNets against networks made of MinkowskiEngine's layers alone, with the same state dict."""

import pytest
import torch
from minkowski_network import needs_minkowski, rows_in, sparse_tensor
from oracle import random_coords

from pointseg.bench.minkowski_network import PlainMinkUNet
from pointseg.models.minkunet import BLOCKS, WIDTHS, MinkUNetConfig
from pointseg.sparse import ENGINES, Grid, SparseTensor, using_engine
from pointseg.sparse.engines import backend

CPU = torch.device("cpu")
HERE = [name for name in ENGINES if name == "minkowski" or backend(name).unavailable(CPU) is None]
NARROW = (4, 6, 8, 10, 8, 6, 5, 7)


def both_networks(variant, widths, *, stem):
    """Ours and theirs in float64 with one state dict; all of its keys agree."""
    torch.manual_seed(0)
    ours = MinkUNetConfig(variant=variant, widths=widths, stem_channels=stem).build(3).double()
    for name, parameter in ours.named_parameters():
        if ".bn." in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    theirs = PlainMinkUNet(3, widths, BLOCKS[variant], stem=stem).double()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def relative(got, expected):
    return ((got - expected).norm() / expected.norm()).item()


@needs_minkowski
@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(
    ("variant", "widths", "count"),
    [
        ("14A", NARROW, 3000),
        ("34C", NARROW, 3000),
        pytest.param("34C", WIDTHS["34C"], 1500, marks=pytest.mark.slow),
    ],
    ids=["14A narrow", "34C narrow", "34C"],
)
def test_a_training_step_is_that_of_minkowski_engine(name, variant, widths, count):
    ours, theirs = both_networks(variant, widths, stem=32 if widths == WIDTHS[variant] else 4)
    coords = random_coords(count, extent=24, batches=2, seed=7)
    features = torch.randn(len(coords), 3, dtype=torch.float64)
    upstream = torch.randn(len(coords), ours.out_channels, dtype=torch.float64)
    with using_engine(name):
        got = ours(SparseTensor(features, Grid(coords))).features
        got.backward(upstream)
    out = theirs(sparse_tensor(features, coords))
    expected = out.F[rows_in(out.C, coords)]
    expected.backward(upstream)

    assert relative(got, expected) < 1e-12
    grads = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    worst = {key: relative(p.grad, grads[key]) for key, p in ours.named_parameters()}
    assert {key: error for key, error in worst.items() if error >= 1e-12} == {}
    # The running statistics of the batch norms too.
    states = ours.state_dict(), theirs.state_dict()
    assert all(relative(states[0][k], states[1][k]) < 1e-12 for k in states[0] if "running" in k)


@needs_minkowski
@pytest.mark.parametrize("name", HERE)
def test_evaluation_is_that_of_minkowski_engine(name):
    ours, theirs = (network.eval() for network in both_networks("14A", NARROW, stem=4))
    coords = random_coords(2000, extent=20, batches=2, seed=8)
    features = torch.randn(len(coords), 3, dtype=torch.float64)
    with torch.no_grad(), using_engine(name):
        got = ours(SparseTensor(features, Grid(coords))).features
        out = theirs(sparse_tensor(features, coords))
    assert relative(got, out.F[rows_in(out.C, coords)]) < 1e-12
