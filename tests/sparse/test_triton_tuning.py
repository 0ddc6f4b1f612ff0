"""The choice of tile sizes and its file."""

import json

import pytest

pytest.importorskip("triton")

import torch
from triton.runtime.errors import OutOfResources, PTXASError

from pointseg.sparse.backends.triton import tuning
from pointseg.sparse.backends.triton.tuning import (
    Tile,
    choose_tile,
    forward_tiles,
    load_choices,
    weight_tiles,
)

SMALL, LARGE = Tile(16, 16, 16, 4, 2), Tile(64, 64, 64, 4, 3)


@pytest.fixture
def a_gpu(monkeypatch, tmp_path):
    """What the chooser asks of CUDA, answered for a device on which the larger tile is the quicker one."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200/141 GB")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    measured = []
    monkeypatch.setattr(
        tuning, "_milliseconds", lambda tile, run: measured.append(tile) or (1.0 if tile == LARGE else 2.0)
    )
    monkeypatch.setenv("POINTSEG_CACHE", str(tmp_path))
    tuning._choices.cache_clear()
    tuning._file_of.cache_clear()
    yield measured
    tuning._choices.cache_clear()
    tuning._file_of.cache_clear()


@pytest.mark.parametrize("machine", ["host", "a_gpu"])
def test_interpreted_kernels_are_not_measured_wherever_they_run(machine, request):
    if machine == "a_gpu":
        request.getfixturevalue("a_gpu")
    run = lambda tile: pytest.fail("measured")  # noqa: E731
    assert choose_tile(("forward", 32), [SMALL, LARGE], run, compiled=False) == SMALL


def test_a_shape_is_measured_once_and_remembered_on_disk(a_gpu, tmp_path):
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None, compiled=True) == LARGE
    assert a_gpu == [SMALL, LARGE]
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("tiles_NVIDIA-H200-141-GB") and file.suffix == ".json"
    tuning._choices.cache_clear()
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None, compiled=True) == LARGE
    assert a_gpu == [SMALL, LARGE]


def test_a_remembered_tile_that_is_no_candidate_is_measured_again(a_gpu, tmp_path):
    file = tuning.cache_file("NVIDIA H200/141 GB")
    file.write_text(json.dumps({"forward 32": {"m": 8, "n": 8, "k": 8, "warps": 1, "stages": 1}}))
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None, compiled=True) == LARGE


def test_deterministic_training_measures_nothing(a_gpu):
    torch.use_deterministic_algorithms(True)
    try:
        assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None, compiled=True) == SMALL
    finally:
        torch.use_deterministic_algorithms(False)
    assert not a_gpu


@pytest.mark.parametrize("error", [OutOfResources(9, 8, "shared memory"), PTXASError("no such instruction")])
def test_a_tile_that_the_device_or_its_assembler_refuses_is_left_out(error, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: Clock())

    def run(tile):
        if tile == SMALL:
            raise error

    assert tuning._milliseconds(SMALL, run) == float("inf")
    assert tuning._milliseconds(LARGE, run) == 1.0


class Clock:
    """An event of CUDA on a device that needs a millisecond for everything."""

    def record(self):
        pass

    synchronize = record

    def elapsed_time(self, other):
        return 1.0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"forward": 3}', '{"forward": {"m": "x"}}'])
def test_a_damaged_file_is_no_reason_to_stop(tmp_path, text, caplog):
    file = tmp_path / "tiles.json"
    file.write_text(text)
    assert load_choices(file) == {}
    assert "measured again" in caplog.text


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize(("channels", "out_channels"), [(1, 1), (3, 32), (96, 96), (256, 384)])
def test_candidates_fit_tensor_cores_and_shared_memory(itemsize, channels, out_channels):
    for tile in forward_tiles(channels, out_channels, itemsize) + weight_tiles(
        channels, out_channels, itemsize
    ):
        assert all(edge >= 16 and edge & (edge - 1) == 0 for edge in (tile.m, tile.n, tile.k))
        assert 256 % tile.m == 0 and 256 % tile.k == 0, "tables are padded to 256 columns"
        # Compute capability 8.6 and 8.9 leave a program 99 KB; data-centre GPUs have more.
        assert (tile.m + tile.n) * tile.k * itemsize * (tile.stages - 1) <= 99 * 1024


def test_candidates_of_a_wide_layer_differ_in_rows_warps_stages_and_order():
    tiles = forward_tiles(256, 256, 2)
    assert {tile.m for tile in tiles} == {32, 64, 128, 256}
    assert {tile.warps for tile in tiles} == {2, 4, 8}
    assert {tile.stages for tile in tiles} == {3, 4, 5}
    assert {tile.group for tile in tiles} == {1, 8}
    assert len({(tile.m, tile.n, tile.k, tile.warps, tile.group) for tile in tiles}) == len(tiles)
