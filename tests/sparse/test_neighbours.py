"""The table of neighbours says what the loop over voxels says, in any order of rows."""

import pytest
import torch
from host_waits import HostWaits
from oracle import kernel_triples, random_coords

from pointseg.sparse import Grid
from pointseg.sparse.neighbours import exchanged_table, neighbour_table, pairs_of
from pointseg.sparse.voxels import Geometry, Voxels


def table_and_triples(kind, is_sorted):
    fine = Grid(random_coords(120, extent=5, seed=2))
    fine = fine.sorted()[0] if is_sorted else fine
    size, dilation, target = {
        "one": (1, 1, fine),
        "same": (3, 1, fine),
        "stem": (5, 1, fine),
        "even": (2, 1, fine),
        "dilated": (3, 2, fine),
        "down": (2, 1, fine.coarsen(2)),
        "down3": (3, 1, fine.coarsen(2)),
    }[kind]
    table = neighbour_table(Geometry(fine.voxels, target.voxels, size, dilation))
    return table, kernel_triples(fine.coords, target.coords, size, dilation), len(fine)


def as_triples(table):
    tap, target = (table >= 0).nonzero(as_tuple=True)
    return set(zip(tap.tolist(), table[tap, target].tolist(), target.tolist(), strict=True))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("kind", ["one", "same", "stem", "even", "dilated", "down", "down3"])
def test_the_table_equals_the_loop_over_voxels(kind, is_sorted):
    table, triples, _ = table_and_triples(kind, is_sorted)
    assert table.dtype == torch.int32 and as_triples(table) == triples


@pytest.mark.parametrize("kind", ["same", "even", "down", "down3"])
def test_exchanged_tables_hold_the_exchanged_triples(kind):
    table, triples, num_source = table_and_triples(kind, False)
    assert as_triples(exchanged_table(table, num_source)) == {(tap, t, s) for tap, s, t in triples}


@pytest.mark.parametrize("kind", ["same", "stem", "down"])
def test_pairs_come_by_tap_with_ascending_targets(kind):
    table, triples, _ = table_and_triples(kind, False)
    source, target, starts = pairs_of(table)
    expected = sorted((tap, t, s) for tap, s, t in triples)
    tap = torch.repeat_interleave(torch.arange(len(table)), torch.tensor(starts).diff())
    assert list(zip(tap.tolist(), target.tolist(), source.tolist(), strict=True)) == expected
    assert source.dtype == target.dtype == torch.int32


@pytest.mark.parametrize(("sources", "targets"), [(0, 0), (0, 3), (3, 0)])
def test_empty_sides_have_empty_tables(sources, targets):
    coords = torch.tensor([[0, 0, 0, 0], [0, 2, 2, 2], [0, 4, 4, 4]], dtype=torch.int32)
    source, target = (Voxels(coords[:count], None, 1) for count in (sources, targets))
    table = neighbour_table(Geometry(source, target, 3))
    assert table.shape == (27, targets) and (sources > 0 or bool((table == -1).all()))
    assert exchanged_table(table, sources).shape == (27, sources)
    assert pairs_of(table)[2] == (0,) * 28 or sources


def waits_for(action):
    with HostWaits() as waits:
        action()
    return waits.places.total()


def test_tables_wait_for_nothing_and_a_coarser_grid_for_its_size():
    fine = Grid(random_coords(120, extent=5, seed=2)).sorted()[0]
    assert waits_for(lambda: fine.coarsen(2)) == 1
    coarse = fine.coarsen(2)
    for kernel_map in (fine.kernel_map(fine, 3), fine.kernel_map(fine, 5), fine.kernel_map(coarse, 2)):
        assert waits_for(lambda m=kernel_map: m.neighbours) == 0
        assert waits_for(lambda m=kernel_map: m.transposed().neighbours) == 0


def test_pairs_of_a_table_wait_for_their_number_and_those_of_the_taps():
    fine = Grid(random_coords(120, extent=5, seed=2)).sorted()[0]
    table = fine.kernel_map(fine, 3).neighbours
    assert waits_for(lambda: pairs_of(table)) == 2


@pytest.mark.parametrize("kind", ["same", "down", "up"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_a_map_has_the_same_pairs_by_either_way(kind, is_sorted):
    fine = Grid(random_coords(200, extent=5, seed=4))
    fine = fine.sorted()[0] if is_sorted else fine
    kernel_map = fine.kernel_map(fine, 3) if kind == "same" else fine.kernel_map(fine.coarsen(2), 2)
    kernel_map = kernel_map.transposed() if kind == "up" else kernel_map
    source, target, starts = pairs_of(kernel_map.neighbours)
    assert torch.equal(source, kernel_map.source) and torch.equal(target, kernel_map.target)
    assert starts == kernel_map.starts
