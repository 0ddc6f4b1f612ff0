"""The backends agree with each other, whatever the size of a block."""

import pytest
import torch
from oracle import random_coords

from pointseg.sparse import Grid
from pointseg.sparse.backends.block_products import BlocksBackend
from pointseg.sparse.backends.blocks import block_plan
from pointseg.sparse.backends.reference import ReferenceBackend


def some_map(kind):
    grid = Grid(random_coords(2500, extent=9, seed=3)).sorted()[0]
    if kind == "same":
        return grid.kernel_map(grid, 3)
    down = grid.kernel_map(grid.coarsen(2), 2)
    return down if kind == "down" else down.transposed()


@pytest.mark.parametrize("kind", ["same", "down", "up"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
def test_blocks_agree_with_the_reference(kind, dtype, needs):
    kernel_map = some_map(kind)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(kernel_map.num_source, 6, generator=generator).to(dtype)
    # 600 output channels make blocks of the smallest size, so that there is more than one.
    weight = torch.randn(kernel_map.num_taps, 6, 600, generator=generator).to(dtype)
    grad = torch.randn(kernel_map.num_target, 600, generator=generator).to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-2

    def close(got, expected):
        assert got.dtype == expected.dtype == dtype
        assert ((got - expected).double().norm() / expected.double().norm()).item() < tolerance

    blocks, reference = BlocksBackend(), ReferenceBackend()
    close(blocks.forward(x, weight, kernel_map), reference.forward(x, weight, kernel_map))
    arguments = {"needs_features": needs[0], "needs_weight": needs[1]}
    got = blocks.backward(grad, x, weight, kernel_map, **arguments)
    expected = reference.backward(grad, x, weight, kernel_map, **arguments)
    for need, a, b in zip(needs, got, expected, strict=True):
        if need:
            close(a, b)
        else:
            assert a is None and b is None


@pytest.mark.parametrize("rows", [1, 7, 1000, 10_000])
def test_blocks_hold_every_pair_once(rows):
    kernel_map = some_map("same")
    pairs = [
        (piece.tap, s, t)
        for block in block_plan(kernel_map, rows)
        for piece in block.pieces
        for s, t in zip(piece.source.tolist(), piece.target.tolist(), strict=True)
    ]
    expected = [
        (tap, s, t)
        for tap in range(27)
        for s, t in zip(*(side.tolist() for side in kernel_map.tap(tap)), strict=True)
    ]
    assert sorted(pairs) == sorted(expected)


def test_pairs_of_a_block_fall_into_its_rows():
    for block in block_plan(some_map("same"), 500):
        for piece in block.pieces:
            assert block.rows.start <= piece.target.min() and piece.target.max() < block.rows.stop


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu_and_repeats_its_bits():
    kernel_map = some_map("same")
    x, weight = torch.randn(kernel_map.num_source, 8), torch.randn(27, 8, 16)
    coords = Grid(random_coords(2500, extent=9, seed=3)).sorted()[0].coords.cuda()
    on_device = Grid(coords)
    cuda_map = on_device.kernel_map(on_device, 3)
    runs = [ReferenceBackend().forward(x.cuda(), weight.cuda(), cuda_map).cpu() for _ in range(2)]
    assert torch.equal(*runs)
    torch.testing.assert_close(runs[0], BlocksBackend().forward(x, weight, kernel_map), atol=1e-2, rtol=1e-2)
