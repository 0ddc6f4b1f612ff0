"""A concatenation that is convolved need not be made: same numbers, and no tensor of all its channels."""

import pytest
import torch
from oracle import random_coords
from torch.utils._python_dispatch import TorchDispatchMode

from pointseg.models.blocks import BasicBlock
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.recompute import recomputed
from pointseg.sparse import Grid, SparseConv3d, SparseTensor, using_engine
from pointseg.sparse.backends.base import JoiningBackend
from pointseg.sparse.engines import backend

#: Widths of the two tensors; no other tensor of a test has their sum as its width.
WIDTHS = (20, 9)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(params=["reference", "triton"])
def joining(request):
    """Name of an engine that reads two tensors."""
    reason = backend(request.param).unavailable(torch.device("cpu"))
    if reason is not None:
        pytest.skip(reason)
    return request.param


class ShapesMade(TorchDispatchMode):
    """``shapes``: of all floating tensors that operations return."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, torch.Tensor) and made.is_floating_point():
                self.shapes.add(tuple(made.shape))
        return result


def two(dtype=torch.float32):
    grid = Grid(random_coords(40, extent=4, seed=1)).sorted()[0]
    generator = torch.Generator().manual_seed(2)
    parts = [torch.randn(len(grid), width, generator=generator).to(dtype) for width in WIDTHS]
    return grid, [part.requires_grad_() for part in parts]


def a_step(layer, parts, grid, *, made, through=None):
    """Output and gradients of a layer on two tensors; on their concatenation where it is ``made``."""
    first, second = (SparseTensor(part, grid) for part in parts)
    x = SparseTensor(torch.cat(parts, dim=1), grid) if made else first.cat(second)
    out = (through or layer)(x).features
    wanted = [*parts, *layer.parameters()]
    return [out, *torch.autograd.grad((out * out.detach().cos()).sum(), wanted)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_on_two_tensors_equals_the_block_on_their_concatenation(joining, dtype, training):
    torch.manual_seed(0)
    block = BasicBlock(sum(WIDTHS), 12).to(dtype).train(training)
    grid, parts = two(dtype)
    with using_engine(joining):
        got = a_step(block, parts, grid, made=False)
        expected = a_step(block, parts, grid, made=True)
    for a, b in zip(got, expected, strict=True):
        assert ((a - b).norm() / b.norm()).item() < TOLERANCE[dtype]


@pytest.mark.parametrize("with_gradients", [True, False])
def test_no_tensor_of_all_channels_is_made(joining, with_gradients):
    block = BasicBlock(sum(WIDTHS), 12).train(with_gradients)
    grid, parts = two()
    with using_engine(joining), ShapesMade() as watched, torch.set_grad_enabled(with_gradients):
        x = SparseTensor(parts[0], grid).cat(SparseTensor(parts[1], grid))
        out = block(x).features
        if with_gradients:
            out.sum().backward()
    assert (len(grid), 12) in watched.shapes
    assert (len(grid), sum(WIDTHS)) not in watched.shapes


def test_an_engine_that_reads_one_tensor_gets_one_made_once():
    assert not isinstance(backend("torch"), JoiningBackend)
    block = BasicBlock(sum(WIDTHS), 12)
    grid, parts = two()
    with using_engine("torch"):
        x = SparseTensor(parts[0], grid).cat(SparseTensor(parts[1], grid))
        block(x)
        assert x.features is x.features
        expected = a_step(block, parts, grid, made=True)
        for a, b in zip(a_step(block, parts, grid, made=False), expected, strict=True):
            assert torch.equal(a, b)


def test_only_the_gradients_that_are_needed_are_made(joining):
    grid, parts = two()
    parts[0].requires_grad_(False)
    layer = SparseConv3d(sum(WIDTHS), 5, 3).requires_grad_(False)
    with using_engine(joining):
        layer(SparseTensor(parts[0], grid).cat(SparseTensor(parts[1], grid))).features.sum().backward()
    assert parts[0].grad is None and parts[1].grad is not None and layer.kernel.grad is None


def test_tensors_of_two_types_are_joined_in_the_wider_one():
    grid, (first, second) = two()
    joined = SparseTensor(first.bfloat16(), grid).cat(SparseTensor(second, grid))
    assert joined.parts[0].dtype == torch.float32 and joined.num_channels == sum(WIDTHS)


def test_under_autocast_both_are_cast():
    grid, parts = two()
    layer = SparseConv3d(sum(WIDTHS), 5, 3)
    with using_engine("reference"), torch.autocast("cpu", torch.bfloat16):
        out = layer(SparseTensor(parts[0], grid).cat(SparseTensor(parts[1], grid))).features
    assert out.dtype == torch.bfloat16


def test_a_recomputed_block_keeps_the_two_and_not_their_concatenation():
    torch.manual_seed(0)
    block = BasicBlock(sum(WIDTHS), 12).double()
    grid, parts = two(torch.float64)
    kept = set()

    def keep(tensor):
        kept.add(tuple(tensor.shape))
        return tensor

    # An engine that needs the concatenation makes it for each pass and lets it go.
    with using_engine("torch"):
        expected = a_step(block, parts, grid, made=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            recomputed(block, SparseTensor(parts[0], grid).cat(SparseTensor(parts[1], grid)))
        got = a_step(block, parts, grid, made=False, through=lambda x: recomputed(block, x))
    assert kept == {(len(grid), width) for width in WIDTHS}
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_never_makes_the_concatenation_of_a_skip():
    torch.manual_seed(0)
    network = MinkUNetConfig(variant="14A", widths=(7, 8, 9, 10, 14, 12, 10, 5), stem_channels=6).build(3)
    grid = Grid(random_coords(60, extent=6, seed=4)).sorted()[0]
    levels = [len(grid.coarsen(stride)) for stride in (8, 4, 2, 1)]
    joined = set(zip(levels, (14 + 9, 12 + 8, 10 + 7, 5 + 6), strict=True))
    x = SparseTensor(torch.randn(len(grid), 3), grid)
    with using_engine("reference"), ShapesMade() as watched:
        network(x).features.sum().backward()
        with torch.no_grad():
            network.eval()(x)
    assert set(zip(levels, (14, 12, 10, 5), strict=True)) <= watched.shapes
    assert not joined & watched.shapes
    with using_engine("torch"), ShapesMade() as watched, torch.no_grad():
        network(x)
    assert joined <= watched.shapes
