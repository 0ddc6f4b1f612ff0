"""spconv computes on our kernel maps what plain torch computes."""

import pytest
import torch
from oracle import random_coords

from pointseg.sparse import Grid
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.backends.spconv import SpconvBackend

pytest.importorskip("spconv.pytorch", reason="needs `pip install spconv`")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def maps():
    grid = Grid(random_coords(300))
    down = grid.kernel_map(grid.coarsen(2), 2)
    return {
        "3^3": grid.kernel_map(grid, 3),
        "5^3": grid.kernel_map(grid, 5),
        "down": down,
        "up": down.transposed(),
        "nothing": Grid(torch.zeros(0, 4, dtype=torch.int32)).kernel_map(Grid(random_coords(9)), 3),
    }


@pytest.mark.parametrize("name", ["3^3", "5^3", "down", "up", "nothing"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_and_both_gradients_equal_plain_torch(name, dtype):
    kernel_map = maps()[name]
    torch.manual_seed(0)
    features = torch.randn(kernel_map.num_source, 4).to(dtype)
    weight = torch.randn(kernel_map.num_taps, 4, 6).to(dtype)
    grad = torch.randn(kernel_map.num_target, 6).to(dtype)
    needs = {"needs_features": True, "needs_weight": True}
    ours, theirs = ReferenceBackend(), SpconvBackend()
    tolerance = {"rtol": 1e-5, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 5e-2}
    forward = [engine.forward(features, weight, kernel_map) for engine in (theirs, ours)]
    torch.testing.assert_close(*forward, **tolerance)
    backward = [engine.backward(grad, features, weight, kernel_map, **needs) for engine in (theirs, ours)]
    for found, wanted in zip(*backward, strict=True):
        torch.testing.assert_close(found, wanted, **tolerance)


def test_gradients_that_are_not_needed_are_not_given():
    kernel_map = maps()["3^3"]
    x, w, g = (
        torch.randn(kernel_map.num_source, 2),
        torch.randn(27, 2, 3),
        torch.randn(kernel_map.num_target, 3),
    )
    assert SpconvBackend().backward(g, x, w, kernel_map, needs_features=False, needs_weight=False) == (
        None,
        None,
    )


def test_several_threads_of_a_cpu_are_refused():
    kernel_map = maps()["3^3"]
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="more than one thread"):
        SpconvBackend().forward(torch.randn(kernel_map.num_source, 2), torch.randn(27, 2, 3), kernel_map)
