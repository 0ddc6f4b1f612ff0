"""Every engine against numbers that MinkowskiEngine computed in float64, kept in tests/fixtures.

scripts/make_minkowski_golden.py wrote them; MinkowskiEngine is not needed to read them.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import ENGINES, Grid, SparseConv3d, SparseConvTranspose3d, SparseTensor, using_engine
from pointseg.sparse.engines import backend

FIXTURES = Path(__file__).parents[1] / "fixtures"
CPU = torch.device("cpu")
HERE = [name for name in ENGINES if backend(name).unavailable(CPU) is None]


@cache
def golden(name):
    with np.load(FIXTURES / f"minkowski_{name}.npz", allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def part(arrays, prefix):
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def close(got, expected):
    assert ((got - expected).norm() / expected.norm()).item() < 1e-12


KINDS = sorted({key.split("/")[0] for key in golden("layers")})


def our_layer(kind, stored, stride):
    """The layer that a kind is named for, with the stored weights."""
    c_in, c_out = stored["kernel"].shape[-2:]
    taps = 1 if stored["kernel"].ndim == 2 else len(stored["kernel"])
    dilation = next((n for n in (2, 3) if f"dilation {n}" in kind), 1)
    make = SparseConvTranspose3d if "transposed" in kind else SparseConv3d
    options = {"stride": stride, "dilation": dilation, "bias": "bias" in stored}
    layer = make(c_in, c_out, round(taps ** (1 / 3)), **options).double()
    layer.load_state_dict({key: stored[key] for key in ("kernel", "bias") if key in stored}, strict=True)
    return layer


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_computes_what_minkowski_engine_did(name, kind):
    stored = part(golden("layers"), f"{kind}/")
    fine = Grid(stored["fine"], 2 if "coarse grid" in kind else 1)
    stride = next((n for n in (2, 3) if f"stride {n}" in kind), 2 if kind == "four" else 1)
    coarse = fine if stride == 1 else Grid(stored["coarse"], fine.stride * stride)
    # The layer's own coarse grid is sorted as the stored one is.
    assert torch.equal(coarse.coords, fine.coarsen(stride).coords)
    layer, x = our_layer(kind, stored, stride), stored["x"].clone().requires_grad_()
    with using_engine(name):
        out = (
            layer(SparseTensor(x, fine.coarsen(stride)), fine)
            if "transposed" in kind
            else layer(SparseTensor(x, fine))
        )
        out.features.backward(stored["upstream"])
    close(out.features, stored["out"])
    close(x.grad, stored["grad_x"])
    for key, parameter in layer.named_parameters():
        close(parameter.grad, stored[f"grad_{key}"])


@pytest.mark.parametrize("name", HERE)
def test_a_network_computes_what_minkowski_engine_did(name):
    stored = golden("network")
    network = MinkUNetConfig(variant="14A", widths=(3, 4, 3, 4, 3, 4, 3, 4), stem_channels=3).build(3)
    network.double().load_state_dict(part(stored, "state/"), strict=True)
    x = stored["x"].clone().requires_grad_()
    with using_engine(name):
        out = network(SparseTensor(x, Grid(stored["coords"]))).features
        out.backward(stored["upstream"])
    close(out, stored["out"])
    close(x.grad, stored["grad_x"])
    norms = part(stored, "norm/")
    assert norms.keys() == dict(network.named_parameters()).keys()
    for key, parameter in network.named_parameters():
        assert parameter.grad.norm().item() == pytest.approx(norms[key].item(), rel=1e-12)


def test_the_stored_numbers_are_small_and_of_every_kind():
    sizes = [path.stat().st_size for path in FIXTURES.glob("minkowski_*.npz")]
    assert len(sizes) == 2 and sum(sizes) < 300_000
    assert len(KINDS) == 23
