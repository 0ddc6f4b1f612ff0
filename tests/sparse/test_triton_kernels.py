"""The Triton kernels, run by Triton's interpreter, against a loop over triples in float64."""

import weakref
from importlib.util import find_spec

import pytest
import torch
from host_waits import HostWaits
from oracle import convolve_by_triples, kernel_triples, random_coords, weight_gradient_by_triples

from pointseg.sparse import Grid, engines, proof

pytest.importorskip("triton")

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.triton.backend import TritonBackend
from pointseg.sparse.backends.triton.launch import (
    INTERPRETED,
    launch_convolution,
    launch_weight_gradient,
    parts_of,
    splits_of,
)
from pointseg.sparse.backends.triton.plan import PADDING, arrange, tap_table
from pointseg.sparse.backends.triton.tuning import forward_tiles, weight_tiles
from pointseg.sparse.neighbours import pairs_of

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}
OTHERWISE = "spconv_triton" if find_spec("spconv_triton") else "reference"
pytestmark = pytest.mark.skipif(not INTERPRETED, reason="kernels were compiled; see scripts/gpu_check.py")


@pytest.fixture(autouse=True)
def uninitialised_memory_is_nan():
    """A row or channel that a kernel forgets to write shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


def a_map(kind, count=70):
    """A kernel map, and the same as triples."""
    fine = Grid(random_coords(count, extent=4, seed=3)).sorted()[0]
    coarse = fine.coarsen(2)
    if kind in ("same", "stem", "dilated"):
        size, dilation = {"same": (3, 1), "stem": (5, 1), "dilated": (3, 2)}[kind]
        kernel_map = fine.kernel_map(fine, size, dilation)
        return kernel_map, kernel_triples(fine.coords, fine.coords, size, dilation)
    size = 3 if kind == "down3" else 2
    triples = kernel_triples(fine.coords, coarse.coords, size, 1)
    down = fine.kernel_map(coarse, size)
    if kind == "up":
        return down.transposed(), {(tap, target, source) for tap, source, target in triples}
    return down, triples


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_close(got, expected, dtype=torch.float32):
    assert got.dtype == dtype
    difference = (got.double() - expected).norm() / expected.norm()
    assert difference.item() < TOLERANCE[dtype]


CASES = [
    ("same", 8, 16, torch.float32),
    ("same", 40, 24, torch.bfloat16),
    ("same", 40, 24, torch.float16),
    ("same", 1, 1, torch.float32),
    ("stem", 3, 32, torch.bfloat16),
    ("stem", 9, 16, torch.float32),
    ("dilated", 16, 20, torch.float32),
    ("down", 20, 150, torch.float32),
    ("down3", 5, 33, torch.float16),
    ("up", 33, 7, torch.float32),
    ("up", 64, 32, torch.bfloat16),
]


@pytest.mark.parametrize(("kind", "channels", "out_channels", "dtype"), CASES)
def test_kernels_equal_the_loop_over_triples(kind, channels, out_channels, dtype):
    kernel_map, triples = a_map(kind, 40 if kind == "stem" else 70)
    x = random(kernel_map.num_source, channels, dtype=dtype)
    weight = random(kernel_map.num_taps, channels, out_channels, seed=1, dtype=dtype)
    grad = random(kernel_map.num_target, out_channels, seed=2, dtype=dtype)
    out = TritonBackend().forward(x, weight, kernel_map)
    grad_x, grad_weight = TritonBackend().backward(
        grad, x, weight, kernel_map, needs_features=True, needs_weight=True
    )
    assert_close(out, convolve_by_triples(x.double(), weight.double(), triples, len(grad)), dtype)
    turned = {(tap, target, source) for tap, source, target in triples}
    assert_close(
        grad_x, convolve_by_triples(grad.double(), weight.double().mT, turned, kernel_map.num_source), dtype
    )
    expected = weight_gradient_by_triples(x.double(), grad.double(), triples, kernel_map.num_taps)
    assert_close(grad_weight, expected, dtype)


@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_only_the_gradients_that_are_needed_are_made(needs):
    kernel_map, _ = a_map("down")
    x, weight = random(kernel_map.num_source, 4), random(8, 4, 5)
    grad = random(kernel_map.num_target, 5)
    made = TritonBackend().backward(
        grad, x, weight, kernel_map, needs_features=needs[0], needs_weight=needs[1]
    )
    assert tuple(result is not None for result in made) == needs


def test_float64_is_as_exact_as_ever():
    kernel_map, triples = a_map("same")
    x, weight = random(kernel_map.num_source, 3).double(), random(27, 3, 4).double()
    expected = convolve_by_triples(x, weight, triples, kernel_map.num_target)
    torch.testing.assert_close(TritonBackend().forward(x, weight, kernel_map), expected)


TILES = forward_tiles(40, 150, 4)


@pytest.mark.parametrize(("tile", "splits"), [*((tile, 1) for tile in TILES), (TILES[-1], 4)])
def test_neither_tiles_nor_splits_change_the_convolution(tile, splits, monkeypatch):
    kernel_map, triples = a_map("same", 90)
    monkeypatch.setattr("pointseg.sparse.backends.triton.launch.splits_of", lambda *_: splits)
    x, weight = random(kernel_map.num_source, 40), random(27, 40, 150)
    monkeypatch.setattr("pointseg.sparse.backends.triton.launch.choose_tile", lambda *_, **__: tile)
    expected = convolve_by_triples(x.double(), weight.double(), triples, kernel_map.num_target)
    assert_close(TritonBackend().forward(x, weight, kernel_map), expected)


PARTS = [1, 2, 7, 1]


@pytest.mark.parametrize(("tile", "parts"), list(zip(weight_tiles(40, 72, 4), PARTS, strict=True)))
def test_neither_tiles_nor_parts_change_the_weight_gradient(tile, parts, monkeypatch):
    kernel_map, triples = a_map("down")
    x, grad = random(kernel_map.num_source, 40), random(kernel_map.num_target, 72)
    monkeypatch.setattr("pointseg.sparse.backends.triton.launch.choose_tile", lambda *_, **__: tile)
    out = torch.empty(8, 40, 72)
    launch_weight_gradient(x, grad, tap_table(kernel_map), out, parts=parts)
    assert_close(out, weight_gradient_by_triples(x.double(), grad.double(), triples, 8))


def test_few_programs_share_their_taps_and_many_do_not():
    # 504 rows of 256 channels in tiles of 64 x 128 are 16 programs; an H100 has 132 multiprocessors.
    assert splits_of(16, 27) == 8
    assert splits_of(100, 27) == 2
    assert splits_of(200, 27) == splits_of(100_000, 27) == splits_of(1, 1) == 1
    assert splits_of(1, 8) == 4


def test_parts_of_a_weight_gradient_are_bounded_by_rows_and_by_programs():
    assert parts_of(500, 27) == 1
    assert parts_of(10_000_000, 27) == 38
    assert parts_of(10_000_000, 27 * 64) == 1


def test_a_backward_pass_asks_for_no_size(monkeypatch):
    """Pairs would: the host waits for the number of each tap's."""
    kernel_map, _ = a_map("down")
    x, weight = random(kernel_map.num_source, 4), random(8, 4, 5)
    monkeypatch.setattr(type(kernel_map), "pairs", property(lambda self: pytest.fail("pairs were made")))
    TritonBackend().forward(x, weight, kernel_map)
    TritonBackend().backward(
        random(kernel_map.num_target, 5), x, weight, kernel_map, needs_features=True, needs_weight=True
    )


@pytest.mark.parametrize("kind", ["same", "down"])
def test_a_sorted_table_is_the_only_one_that_a_map_keeps(kind):
    kernel_map, _ = a_map(kind)
    unsorted = kernel_map.neighbours
    exchanged = kernel_map.transposed().neighbours
    seen = weakref.ref(unsorted)
    copy, pairs = unsorted.clone(), [t.clone() for t in pairs_of(unsorted)[:2]]
    del unsorted
    tap_table(kernel_map)
    assert seen() is None
    assert torch.equal(kernel_map.neighbours, copy)
    assert all(torch.equal(*both) for both in zip(pairs, pairs_of(kernel_map.neighbours)[:2], strict=True))
    fresh, _ = a_map(kind)
    tap_table(fresh)
    assert torch.equal(fresh.transposed().neighbours, exchanged)


def test_a_tap_without_pairs_has_a_zero_gradient():
    grid = Grid(torch.tensor([[0, 0, 0, 0], [0, 4, 4, 4]], dtype=torch.int32))
    kernel_map = grid.kernel_map(grid, 3)
    out = torch.empty(27, 5, 6)
    launch_weight_gradient(random(2, 5), random(2, 6), tap_table(kernel_map), out)
    assert out[13].abs().min() > 0
    assert not out[torch.arange(27) != 13].any()


def test_a_row_without_neighbours_is_zero():
    fine = Grid(torch.tensor([[0, 2, 2, 2], [0, 9, 9, 9]], dtype=torch.int32))
    target = Grid(torch.tensor([[0, 2, 2, 2], [0, 40, 40, 40]], dtype=torch.int32))
    out = TritonBackend().forward(random(2, 5), random(8, 5, 6), fine.kernel_map(target, 2))
    assert out[0].any() and not out[1].any()


@pytest.mark.parametrize(("sources", "targets"), [(0, 0), (0, 2), (2, 0)])
def test_empty_grids_give_empty_or_zero_results(sources, targets):
    coords = torch.tensor([[0, 0, 0, 0], [0, 2, 2, 2]], dtype=torch.int32)
    kernel_map = Grid(coords[:sources]).kernel_map(Grid(coords[:targets], stride=2), 2)
    x, weight = random(sources, 4), random(8, 4, 5)
    out = TritonBackend().forward(x, weight, kernel_map)
    assert out.shape == (targets, 5) and (sources > 0 or not out.any())
    grad_x, grad_weight = TritonBackend().backward(
        random(targets, 5), x, weight, kernel_map, needs_features=True, needs_weight=True
    )
    assert grad_x.shape == (sources, 4) and not grad_x.any()
    assert grad_weight.shape == (8, 4, 5) and not grad_weight.any()


@pytest.mark.parametrize("widths", [(32, 16), (20, 3), (3, 20)])
def test_two_tensors_convolve_as_their_concatenation(widths):
    kernel_map, triples = a_map("same")
    first, second = (random(kernel_map.num_source, c, seed=c) for c in widths)
    weight = random(27, sum(widths), 24)
    got = launch_convolution(first, second, weight, tap_table(kernel_map))
    joined = torch.cat([first, second], dim=1).double()
    assert_close(got, convolve_by_triples(joined, weight.double(), triples, kernel_map.num_target))


@pytest.mark.parametrize("parts", ["bias residual relu", "bias", "residual relu"])
@pytest.mark.parametrize("splits", [1, 2])
def test_the_epilogue_is_that_of_the_layers_behind(parts, splits, monkeypatch):
    monkeypatch.setattr("pointseg.sparse.backends.triton.launch.splits_of", lambda *_: splits)
    kernel_map, triples = a_map("down")
    x, weight = random(kernel_map.num_source, 6), random(8, 6, 20)
    made = {
        "bias": random(20, seed=6),
        "residual": random(kernel_map.num_target, 20, seed=7),
        "relu": True,
    }
    epilogue = Epilogue(**{name: made[name] for name in parts.split()})
    expected = convolve_by_triples(x.double(), weight.double(), triples, kernel_map.num_target)
    expected = expected + made["bias"] if "bias" in parts else expected
    expected = expected + made["residual"] if "residual" in parts else expected
    expected = expected.relu() if "relu" in parts else expected
    assert_close(TritonBackend().forward(x, weight, kernel_map, epilogue), expected)


def test_nan_passes_through_the_relu():
    kernel_map, _ = a_map("down")
    x = torch.full((kernel_map.num_source, 4), torch.nan)
    out = TritonBackend().forward(x, random(8, 4, 5), kernel_map, Epilogue(relu=True))
    assert out.isnan().all()


def test_features_may_be_columns_of_a_wider_tensor():
    kernel_map, _ = a_map("same")
    wide, weight = random(kernel_map.num_source, 50), random(27, 20, 16)
    part = wide[:, 10:30]
    table = tap_table(kernel_map)
    expected = launch_convolution(part.contiguous(), None, weight, table)
    assert torch.equal(launch_convolution(part, None, weight, table), expected)


def test_a_run_repeats_its_bits():
    kernel_map, _ = a_map("same")
    x, weight = random(kernel_map.num_source, 20), random(27, 20, 16)
    once, again = (TritonBackend().forward(x, weight, kernel_map) for _ in range(2))
    assert torch.equal(once, again)


@pytest.mark.parametrize("kind", ["same", "stem", "down", "up"])
def test_a_table_holds_every_pair_once(kind):
    kernel_map, triples = a_map(kind)
    table = tap_table(kernel_map)
    tap, column = (table.table >= 0).nonzero(as_tuple=True)
    found = zip(tap.tolist(), table.table[tap, column].tolist(), table.rows[column].tolist(), strict=True)
    assert sorted(found) == sorted(triples)
    assert table.table.shape[1] % PADDING == 0
    assert sorted(table.rows.tolist()) == list(range(kernel_map.num_target))


@pytest.mark.parametrize("size", [16, 64, 128])
def test_tiles_name_the_taps_of_their_rows(size):
    table = tap_table(a_map("same", 300)[0])
    tiles = table.tiles(size)
    for tile, (taps, count) in enumerate(zip(tiles.taps.tolist(), tiles.counts.tolist(), strict=True)):
        present = (table.table[:, tile * size : (tile + 1) * size] >= 0).any(dim=1)
        assert taps[:count] == present.nonzero().squeeze(1).tolist()


def test_sorted_rows_skip_more_taps_than_unsorted_ones():
    # A floor and a wall, as in a room: most rows have one of a few neighbourhoods.
    floor = torch.cartesian_prod(torch.tensor([0]), torch.arange(24), torch.arange(24), torch.tensor([0]))
    wall = torch.cartesian_prod(torch.tensor([0]), torch.arange(24), torch.tensor([0]), torch.arange(1, 24))
    grid = Grid(torch.cat([floor, wall]).int()).sorted()[0]
    kernel_map = grid.kernel_map(grid, 3)
    table = tap_table(kernel_map)
    work = int(table.tiles(16).counts.sum()) * 16
    present = torch.zeros(27, -(-len(grid) // 16) * 16, dtype=torch.bool)
    for tap in range(27):
        present[tap, kernel_map.tap(tap)[1].long()] = True
    unsorted_work = int(present.view(27, -1, 16).any(dim=2).sum()) * 16
    assert work < 1.25 * kernel_map.num_pairs
    assert work < 0.8 * unsorted_work


@pytest.mark.parametrize(
    ("capability", "interpret", "chosen"),
    [((9, 0), "0", "triton"), ((7, 5), "0", OTHERWISE), ((9, 0), "1", "reference")],
)
def test_auto_takes_triton_on_a_gpu_that_can_run_it(monkeypatch, capability, interpret, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(proof, "unproven", lambda *_: None)
    monkeypatch.setenv("TRITON_INTERPRET", interpret)
    engines._choose.cache_clear()
    try:
        assert engines.current_engine("cuda") == chosen
    finally:
        engines._choose.cache_clear()


def test_a_table_is_arranged_without_waiting_for_the_device():
    kernel_map, _ = a_map("stem")
    neighbours = kernel_map.neighbours
    with HostWaits() as waits:
        arrange(neighbours).tiles(64)
    assert waits.places.total() == 0
