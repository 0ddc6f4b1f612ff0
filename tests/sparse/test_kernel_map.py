"""The law of kernel maps: source = target + tap * step, each triple once."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import kernel_triples, random_coords, taps

from pointseg.sparse import Grid, tap_offsets
from pointseg.sparse.kernel_map import TapPairs
from pointseg.sparse.neighbours import exchanged_table, pairs_of


def triples(kernel_map):
    found = []
    for tap in range(kernel_map.num_taps):
        source, target = kernel_map.tap(tap)
        found += [(tap, s, t) for s, t in zip(source.tolist(), target.tolist(), strict=True)]
    return found


def check(kernel_map, expected):
    found = triples(kernel_map)
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert kernel_map.num_pairs == len(expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 60),
    kernel_size=st.sampled_from([1, 2, 3, 4, 5]),
    dilation=st.sampled_from([1, 1, 2, 3]),
    level=st.sampled_from([1, 2]),
    factor=st.sampled_from([1, 2, 3]),
    in_order=st.booleans(),
)
def test_maps_obey_the_law(seed, count, kernel_size, dilation, level, factor, in_order):
    source = Grid(random_coords(count, extent=4, seed=seed)).coarsen(level)
    if not in_order:
        source = Grid(source.coords[torch.randperm(len(source))], source.stride)
    target = source.coarsen(factor)
    expected = kernel_triples(source.coords, target.coords, kernel_size, dilation * source.stride)
    check(source.kernel_map(target, kernel_size, dilation), expected)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_maps_between_two_given_grids_obey_the_law(kernel_size):
    source, target = Grid(random_coords(50, seed=5)), Grid(random_coords(40, seed=6, multiple=2), stride=2)
    expected = kernel_triples(source.coords, target.coords, kernel_size, 1)
    check(source.kernel_map(target, kernel_size), expected)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
def test_taps_are_numbered_x_fastest(kernel_size):
    assert tap_offsets(kernel_size) == taps(kernel_size)


def test_rows_of_a_tap_ascend():
    grid, _ = Grid(random_coords(80, seed=7)).sorted()
    for kernel_map in (grid.kernel_map(grid, 3), grid.kernel_map(grid.coarsen(2), 2)):
        for tap in range(kernel_map.num_taps):
            source, target = kernel_map.tap(tap)
            assert bool((source.diff() > 0).all()) and bool((target.diff() > 0).all())


def test_target_rows_ascend_on_an_unsorted_grid_too():
    grid = Grid(random_coords(80, seed=8))
    kernel_map = grid.kernel_map(grid, 3)
    assert all(bool((kernel_map.tap(t)[1].diff() > 0).all()) for t in range(27))


def test_transposing_exchanges_the_sides():
    grid = Grid(random_coords(80, seed=9))
    kernel_map = grid.kernel_map(grid.coarsen(2), 3)
    transposed = kernel_map.transposed()
    assert {(k, t, s) for k, s, t in triples(kernel_map)} == set(triples(transposed))
    assert (transposed.num_source, transposed.num_target) == (kernel_map.num_target, kernel_map.num_source)
    assert all(bool((transposed.tap(t)[1].diff() > 0).all()) for t in range(27))


def test_a_mirrored_map_is_its_own_transpose_with_taps_reversed():
    grid = Grid(random_coords(80, seed=10))
    kernel_map = grid.kernel_map(grid, 3)
    assert kernel_map.mirrored and not grid.kernel_map(grid.coarsen(2), 3).mirrored
    assert {(26 - k, t, s) for k, s, t in triples(kernel_map)} == set(triples(kernel_map))


def test_neighbours_do_not_wrap_around_the_edge_of_the_extent():
    # (0, 0, 3) and (0, 1, 0) would be neighbours in z if keys had no margin.
    grid = Grid(torch.tensor([[0, 0, 0, 3], [0, 0, 1, 0]], dtype=torch.int32))
    assert grid.kernel_map(grid, 3).num_pairs == 2


def test_scenes_of_a_batch_do_not_touch():
    grid = Grid(torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.int32))
    assert grid.kernel_map(grid, 3).num_pairs == 2


@pytest.mark.parametrize("by_table", [False, True])
def test_the_transpose_of_a_transpose_is_the_map_itself(by_table):
    grid = Grid(random_coords(300, extent=12))
    down = grid.kernel_map(grid.coarsen(2), 2)
    up = down.transposed()
    assert up.transposed() is down
    # Made anew where nobody keeps the original: the same pairs in the same order.
    if by_table:
        pairs = pairs_of(exchanged_table(exchanged_table(down.neighbours, down.num_source), down.num_target))
        found = TapPairs(*pairs)
    else:
        found = up._transposed.pairs
    assert torch.equal(found.source, down.source) and torch.equal(found.target, down.target)
    assert found.starts == down.starts


def test_a_transposed_map_does_not_keep_the_original():
    grid = Grid(random_coords(50, extent=6))
    down = grid.kernel_map(grid.coarsen(2), 2)
    up, gone = down.transposed(), weakref.ref(down)
    expected = down.pairs
    del grid, down
    assert gone() is None
    assert torch.equal(up.transposed().source, expected.source)
