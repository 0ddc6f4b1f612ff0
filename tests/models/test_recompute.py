"""Activation checkpointing changes the memory of a step and nothing else."""

from collections import Counter

import pytest
import torch
from oracle import random_coords

from pointseg.core.distributed import Processes
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import Grid, SparseTensor, using_engine
from pointseg.sparse.engines import backend


def a_step(checkpointing: bool, dtype: torch.dtype | None = None):
    """Output, gradients and buffers after one forward and backward pass, and the tensors it kept."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3)
    network.checkpoint_activations = checkpointing
    grid = Grid(random_coords(400, extent=8, seed=1))
    x = torch.randn(len(grid), 3, generator=torch.Generator().manual_seed(2))
    kept = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t),
        torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        out = network(SparseTensor(x, grid)).features
    out.float().square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    return [out, *gradients, *network.buffers()], sum(kept)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_outputs_gradients_and_running_statistics_have_the_same_bits(dtype):
    plain, _ = a_step(False, dtype)
    again, _ = a_step(True, dtype)
    assert len(plain) == len(again)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


def test_the_insides_of_blocks_are_not_kept():
    assert a_step(True)[1] < 0.6 * a_step(False)[1]


def test_norms_that_are_synchronised_between_gpus_predict_the_same():
    """torch synchronises them on GPUs alone, so more of it cannot run here."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3).eval()
    grid = Grid(random_coords(100, extent=8, seed=1))
    x = SparseTensor(torch.randn(len(grid), 3), grid)
    names = list(network.state_dict())
    with torch.no_grad():
        expected = network(x).features
        synchronised, notice = Processes(0, 2, torch.device("cuda")).synchronise_norms(network)
        got = synchronised(x).features
    norms = [m for m in synchronised.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert notice == "" and list(synchronised.state_dict()) == names
    assert norms and all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in norms)
    torch.testing.assert_close(got, expected)


def test_what_is_computed_again_uses_the_engine_of_the_first_pass(monkeypatch):
    """The backward pass runs when the block that set the engine has ended, on a GPU in another thread."""
    network = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8).build(3)
    network.checkpoint_activations = True
    calls = Counter()
    for name in ("reference", "native", "torch"):
        kind = type(backend(name))
        real = kind.forward

        def counted(*arguments, _name=name, _real=real, **options):
            calls[_name] += 1
            return _real(*arguments, **options)

        monkeypatch.setattr(kind, "forward", counted)
    grid = Grid(random_coords(100, extent=8, seed=1))
    with using_engine("reference"):
        out = network(SparseTensor(torch.randn(len(grid), 3), grid)).features
    first = calls["reference"]
    out.square().mean().backward()
    # Of each of the eight blocks one convolution at least is computed a second time.
    assert calls["reference"] >= first + 8
    assert set(calls) == {"reference"}
