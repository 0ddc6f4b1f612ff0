"""Grid: what it accepts, how it coarsens, what it remembers."""

import gc
import weakref

import pytest
import torch
from host_waits import HostWaits
from oracle import coarse_coords, random_coords

from pointseg.sparse import Grid


def coords(*rows):
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, 4)


def test_a_voxel_that_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="unique; 1 of 3"):
        Grid(coords((0, 1, 2, 3), (0, 0, 0, 0), (0, 1, 2, 3)))


@pytest.mark.parametrize(
    "wrong", [torch.zeros(3, 3, dtype=torch.int32), torch.zeros(3, 4), torch.zeros(4, dtype=torch.int32)]
)
def test_coordinates_of_another_shape_or_type_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\(N, 4\) int32"):
        Grid(wrong)


def test_coordinates_that_are_no_multiples_of_the_stride_are_refused():
    with pytest.raises(ValueError, match="multiples of 2"):
        Grid(coords((0, 2, 3, 4)), stride=2)


def test_a_stride_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Grid(coords((0, 0, 0, 0)), stride=0)


def test_an_extent_that_overflows_the_keys_is_refused():
    far = 2**31 - 1
    with pytest.raises(ValueError, match="larger voxels"):
        Grid(coords((0, -far, -far, -far), (0, far, far, far)))


def test_a_wide_flat_extent_fits():
    far = 2**30
    assert len(Grid(coords((0, -far, -far, 0), (0, far, far, 0)))) == 2


def test_a_large_offset_costs_no_key_space():
    far = 2**31 - 1
    assert len(Grid(coords((far, far, far, far), (far, far - 1, far, far)))) == 2


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_coarse_voxels_are_the_floored_ones(factor):
    fine = Grid(random_coords(60, seed=1))
    coarse = fine.coarsen(factor)
    assert coarse.stride == factor
    assert {tuple(row) for row in coarse.coords.tolist()} == coarse_coords(fine.coords, factor)
    assert len(coarse) == len(coarse_coords(fine.coords, factor))


def test_coarsening_twice_by_two_is_coarsening_by_four():
    fine = Grid(random_coords(80, seed=2))
    assert torch.equal(fine.coarsen(2).coarsen(2).coords, fine.coarsen(4).coords)
    assert fine.coarsen(2).coarsen(2).stride == 4


def test_coarse_grids_are_sorted_by_batch_x_y_z():
    rows = Grid(random_coords(80, seed=3)).coarsen(2).coords.tolist()
    assert rows == sorted(rows)


def test_coarser_grids_and_maps_are_made_once():
    grid = Grid(random_coords(20))
    assert grid.coarsen(2) is grid.coarsen(2)
    assert grid.coarsen(1) is grid
    coarse = grid.coarsen(2)
    assert grid.kernel_map(coarse, 2) is grid.kernel_map(coarse, 2)
    assert grid.kernel_map(grid, 3) is not grid.kernel_map(grid, 3, dilation=2)


def test_sorting_a_grid_says_which_row_came_from_where():
    grid = Grid(random_coords(30, seed=4))
    ordered, order = grid.sorted()
    assert not grid.is_sorted and ordered.is_sorted
    assert torch.equal(grid.coords[order], ordered.coords)
    assert ordered.sorted() == (ordered, None)


def test_a_grid_dies_with_its_last_reference():
    gc.disable()
    try:
        grid = Grid(random_coords(10))
        grid.kernel_map(grid, 3)
        grid.kernel_map(grid.coarsen(2), 2)
        watcher = weakref.ref(grid)
        del grid
        assert watcher() is None
    finally:
        gc.enable()


def test_an_empty_grid_is_a_grid():
    grid = Grid(coords())
    assert len(grid) == 0 and len(grid.coarsen(2)) == 0
    assert grid.kernel_map(grid.coarsen(2), 2).num_pairs == 0
    assert grid.kernel_map(grid, 3).num_pairs == 0


def test_a_map_onto_a_finer_grid_is_refused():
    grid = Grid(random_coords(10))
    with pytest.raises(ValueError, match="transposed"):
        grid.coarsen(2).kernel_map(grid, 2)


def test_moving_to_the_same_device_keeps_the_grid():
    grid = Grid(random_coords(10))
    assert grid.to("cpu") is grid


@pytest.mark.parametrize("is_sorted", [True, False])
def test_all_coarser_grids_are_made_with_one_question(is_sorted):
    alone, together = (Grid(random_coords(150, extent=20, seed=5)) for _ in range(2))
    if is_sorted:
        alone, together = alone.sorted()[0], together.sorted()[0]
    with HostWaits() as waits:
        together.coarsen_by_two(3)
    assert waits.places.total() == 1
    with HostWaits() as waits:
        for _ in range(3):
            alone, made = alone.coarsen(2), together.coarsen(2)
            assert made.coords.tolist() == alone.coords.tolist() and made.stride == alone.stride
            together = made
    assert "grid.py:coarsen" in waits.places and waits.places["grid.py:coarsen"] == 3


def test_a_grid_is_checked_with_one_question():
    with HostWaits() as waits:
        grid = Grid(random_coords(50, extent=9, seed=5)).sorted()[0]
        before = waits.places.total()
        assert Grid(grid.coords).is_sorted
    assert waits.places.total() - before == 1


@pytest.mark.parametrize(
    ("rows", "is_sorted"),
    [
        ([[0, 0, 0, 0]], True),
        ([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]], True),
        ([[0, 0, 0, 1], [0, 0, 0, 0]], False),
        ([[0, 0, 1, 0], [0, 0, 0, 5]], False),
        ([[1, 0, 0, 0], [0, 9, 9, 9]], False),
        ([[0, 5, 0, 0], [0, -5, 9, 9]], False),
    ],
)
def test_rows_are_sorted_by_batch_then_x_y_z(rows, is_sorted):
    assert Grid(torch.tensor(rows, dtype=torch.int32)).is_sorted == is_sorted
