"""The choice of tile sizes and its file."""

import json

import pytest

pytest.importorskip("triton")

import torch

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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
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


def test_without_a_gpu_the_first_candidate_is_taken():
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: pytest.fail("measured")) == SMALL


def test_a_shape_is_measured_once_and_remembered_on_disk(a_gpu, tmp_path):
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None) == LARGE
    assert a_gpu == [SMALL, LARGE]
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("tiles_NVIDIA-H200-141-GB") and file.suffix == ".json"
    tuning._choices.cache_clear()
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None) == LARGE
    assert a_gpu == [SMALL, LARGE]


def test_a_remembered_tile_that_is_no_candidate_is_measured_again(a_gpu, tmp_path):
    file = tuning.cache_file("NVIDIA H200/141 GB")
    file.write_text(json.dumps({"forward 32": {"m": 8, "n": 8, "k": 8, "warps": 1, "stages": 1}}))
    assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None) == LARGE


def test_deterministic_training_measures_nothing(a_gpu):
    torch.use_deterministic_algorithms(True)
    try:
        assert choose_tile(("forward", 32), [SMALL, LARGE], lambda tile: None) == SMALL
    finally:
        torch.use_deterministic_algorithms(False)
    assert not a_gpu


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
        # Compute capability 8.6 and 8.9 leave a program 99 KB; data-centre GPUs have more.
        assert (tile.m + tile.n) * tile.k * itemsize * (tile.stages - 1) <= 99 * 1024
