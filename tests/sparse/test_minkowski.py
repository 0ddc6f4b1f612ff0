"""Our layers on every engine against MinkowskiEngine's own, in float64."""

import gc
import weakref

import pytest
import torch
from minkowski_network import LAYERS, needs_minkowski, rows_in, run_layer
from oracle import random_coords

from pointseg.sparse import ENGINES, Grid, SparseConv3d, SparseConvTranspose3d, SparseTensor, using_engine
from pointseg.sparse.backends.minkowski import MinkowskiBackend
from pointseg.sparse.engines import backend

CPU = torch.device("cpu")
HERE = [name for name in ENGINES if name == "minkowski" or backend(name).unavailable(CPU) is None]


def close(got, expected):
    assert got.dtype == expected.dtype
    assert ((got - expected).norm() / expected.norm()).item() < 1e-12


def our_layer(layer, channels):
    kind = SparseConvTranspose3d if layer.transposed else SparseConv3d
    options = {"stride": layer.stride, "dilation": layer.dilation, "bias": layer.bias}
    return kind(*channels, layer.kernel_size, **options).double()


@needs_minkowski
@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("sorted_rows", [True, False])
@pytest.mark.parametrize("channels", [(3, 6), (20, 34)])
def test_a_layer_is_that_of_minkowski_engine(name, layer, sorted_rows, channels):
    torch.manual_seed(0)
    fine = Grid(random_coords(300, extent=7, batches=3, seed=5, multiple=layer.base), layer.base)
    fine = fine.sorted()[0] if sorted_rows else fine
    coarse = fine.coarsen(layer.stride)
    source, target = (coarse, fine) if layer.transposed else (fine, coarse)
    module = our_layer(layer, channels)
    x = torch.randn(len(source), channels[0], dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(len(target), channels[1], dtype=torch.float64)
    with using_engine(name):
        given = SparseTensor(x, source)
        out = module(given, fine) if layer.transposed else module(given)
        out.features.backward(upstream)

    tensors = {"x": x.detach(), "upstream": upstream} | dict(module.state_dict())
    expected, grads = run_layer(layer, tensors, fine.coords, coarse.coords)
    close(out.features, expected)
    close(x.grad, grads.pop("x"))
    ours = dict(module.named_parameters())
    assert ours.keys() == grads.keys()
    for parameter, grad in grads.items():
        close(ours[parameter].grad, grad)


@needs_minkowski
def test_the_engine_never_asks_for_pairs(monkeypatch):
    grid = Grid(random_coords(100))
    kernel_map = grid.kernel_map(grid, 3)
    monkeypatch.setattr(type(kernel_map), "pairs", property(lambda self: pytest.fail("pairs were found")))
    x = torch.randn(len(grid), 4, requires_grad=True)
    with using_engine("minkowski"):
        down = SparseConv3d(4, 5, 2, stride=2)(SparseConv3d(4, 4, 3)(SparseTensor(x, grid)))
        SparseConvTranspose3d(5, 2, 2, stride=2)(down, grid).features.sum().backward()
    assert x.grad is not None and x.grad.any()


@needs_minkowski
@pytest.mark.parametrize("rows", [0, 1])
def test_scenes_of_no_or_one_voxel_pass(rows):
    grid = Grid(torch.zeros(rows, 4, dtype=torch.int32))
    x = torch.ones(rows, 2, requires_grad=True)
    layer = SparseConv3d(2, 3, 3)
    with using_engine("minkowski"):
        out = layer(SparseTensor(x, grid)).features
        out.sum().backward()
    torch.testing.assert_close(out, x @ layer.kernel[13])
    assert layer.kernel.grad.shape == (27, 2, 3)
    assert layer.kernel.grad[13].eq(1).all() if rows else not layer.kernel.grad.any()


@needs_minkowski
def test_two_grids_without_kinship_convolve():
    fine = Grid(random_coords(80, seed=1))
    other = Grid(fine.coarsen(2).coords.flip(0), 2)
    x, layer = torch.randn(len(other), 3), SparseConvTranspose3d(3, 4, 2, stride=2)
    with using_engine("minkowski"):
        got = layer(SparseTensor(x, other), fine).features
    with using_engine("reference"):
        expected = layer(SparseTensor(x, other), fine).features
    torch.testing.assert_close(got, expected)


@needs_minkowski
def test_rows_that_it_keeps_in_another_order_come_back_in_ours(monkeypatch):
    # As on a GPU, where its hash map renumbers voxels.
    from pointseg.sparse.backends import minkowski

    grid = Grid(random_coords(80, seed=1))
    x = torch.randn(len(grid), 3, dtype=torch.float64, requires_grad=True)
    layer = SparseConv3d(3, 4, 3, stride=2).double()

    def run():
        with using_engine("minkowski"):
            out = layer(SparseTensor(x, grid)).features
        return out, *torch.autograd.grad(out.square().sum(), (x, layer.kernel))

    expected = run()
    real = minkowski._Scene.rows

    def renumbered(self, voxels):
        if voxels not in self._rows:
            order = torch.randperm(len(voxels))
            manager_key, _ = self.manager.insert_and_map(
                voxels.coords[order], [voxels.stride] * 3, f"r{len(self._rows)}"
            )
            self._rows[voxels] = minkowski._Rows(manager_key, order, order.argsort())
        return real(self, voxels)

    monkeypatch.setattr(minkowski._Scene, "rows", renumbered)
    grid = Grid(grid.coords)
    for got, wanted in zip(run(), expected, strict=True):
        torch.testing.assert_close(got, wanted)


@needs_minkowski
def test_bfloat16_is_computed_in_float32_and_rounded_once():
    grid = Grid(random_coords(200, seed=2))
    x, layer = torch.randn(len(grid), 8), SparseConv3d(8, 6, 3)
    narrow = [t.bfloat16().float() for t in (x, layer.kernel.data)]
    with using_engine("minkowski"), torch.autocast("cpu", torch.bfloat16):
        got = layer(SparseTensor(x, grid)).features
    layer.kernel.data = narrow[1]
    with using_engine("minkowski"):
        wide = layer(SparseTensor(narrow[0], grid)).features
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, wide.bfloat16())


@needs_minkowski
def test_it_leaves_the_number_of_threads_alone():
    before = torch.get_num_threads()
    grid = Grid(random_coords(50))
    with using_engine("minkowski"):
        SparseConv3d(2, 2, 3)(SparseTensor(torch.randn(len(grid), 2), grid))
    assert torch.get_num_threads() == before


@needs_minkowski
def test_a_grid_dies_with_its_last_reference():
    gc.disable()
    try:
        grid = Grid(random_coords(30))
        with using_engine("minkowski"):
            SparseConv3d(2, 2, 2, stride=2)(SparseTensor(torch.randn(len(grid), 2), grid))
        watchers = [weakref.ref(grid), weakref.ref(grid.voxels.family["minkowski"].manager)]
        del grid
        assert [watcher() for watcher in watchers] == [None, None]
    finally:
        gc.enable()


def test_rows_are_matched_by_coordinate():
    coords = random_coords(20)
    order = torch.randperm(len(coords))
    assert torch.equal(coords[order][rows_in(coords[order], coords)], coords)


def test_what_it_cannot_run_on_is_said():
    assert "NVIDIA" in MinkowskiBackend().unavailable(torch.device("mps"))


def test_a_missing_engine_names_the_script_that_builds_it(monkeypatch):
    monkeypatch.setattr("pointseg.sparse.backends.minkowski.find_spec", lambda name: None)
    assert "scripts/install_minkowski.sh" in MinkowskiBackend().unavailable(CPU)
