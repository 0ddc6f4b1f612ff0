"""Products in 16 bits: few shapes, whatever the maps are."""

import pytest
import torch
from oracle import random_coords
from torch.utils._python_dispatch import TorchDispatchMode

from pointseg.sparse import Grid, convolve, using_engine
from pointseg.sparse.backends.fixed_shapes import ROWS, multiply_rows, product_rows


class Products(TorchDispatchMode):
    """Collects the shapes of all matrix products."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            self.shapes.add(tuple(tuple(a.shape) for a in args if a.ndim == 2)[-2:])
        return function(*args, **(kwargs or {}))


def shapes_of_steps(dtype):
    """Shapes of the products of a forward and a backward pass over maps of several sizes."""
    with using_engine("torch"), Products() as products:
        for seed, count in enumerate((50, 300, 401, 800, 1200, 1203, 1999)):
            grid = Grid(random_coords(count, extent=7, seed=seed))
            x = torch.randn(len(grid), 8).to(dtype).requires_grad_()
            weight = torch.randn(27, 8, 12).to(dtype).requires_grad_()
            out = convolve(x, weight, grid.kernel_map(grid, 3))
            torch.autograd.grad(out, (x, weight), torch.ones_like(out))
    return products.shapes


def test_products_in_16_bits_have_few_shapes_whatever_the_maps():
    shapes = shapes_of_steps(torch.bfloat16)
    # Forward, gradient of the features, gradient of the weight.
    assert 0 < len(shapes) <= 3 * len(ROWS)
    assert {rows for left, right in shapes for rows in (*left, *right)} <= {8, 12, *ROWS}
    # The same maps have many more sizes.
    assert len(shapes_of_steps(torch.float32)) > 3 * len(ROWS)


@pytest.mark.parametrize("count", [1, 64, 65, 1000, 4096, 4097, 20_000])
def test_a_product_has_room_for_all_rows_and_few_more(count):
    assert product_rows(count, torch.float32) == count
    padded = product_rows(count, torch.bfloat16)
    assert count <= padded <= max(64, count * 2)


def test_rows_beyond_the_last_do_not_reach_the_gradient_of_the_weight():
    """What lay in the buffers before, such as NaN of other rows, is not summed."""
    grid = Grid(random_coords(300, extent=5, seed=1))
    kernel_map = grid.kernel_map(grid, 3)
    x = torch.randn(len(grid), 8).bfloat16()
    # Only the middle tap meets every row; the first has fewer, and is computed with what is left of others.
    middle = torch.zeros(27, 8, 8).bfloat16().requires_grad_()
    unmet = sorted(set(range(len(grid))) - set(kernel_map.tap(0)[0].tolist()))
    x[unmet[0]] = torch.nan
    with using_engine("torch"):
        out = convolve(x, middle, kernel_map)
        (grad,) = torch.autograd.grad(out, middle, torch.ones_like(out))
    assert bool(grad[13].isnan().any()) and not bool(grad[0].isnan().any())


@pytest.mark.parametrize("count", [48, 64, 100])
def test_what_lies_behind_the_last_row_is_not_seen(count):
    # 600 channels are no whole number of the blocks that oneDNN multiplies.
    padded = product_rows(count, torch.bfloat16)
    rows = torch.full((padded, 600), float("nan"), dtype=torch.bfloat16)
    rows[:count] = torch.randn(count, 600)
    weight = torch.randn(6, 600).bfloat16().T
    out = torch.full((padded + 8, 6), float("nan"), dtype=torch.bfloat16)
    expected = (rows[:count].float() @ weight.float()).bfloat16()
    multiply_rows(rows, weight, out, 5, count)
    torch.testing.assert_close(out[5 : 5 + count], expected, rtol=0.02, atol=0.2)
