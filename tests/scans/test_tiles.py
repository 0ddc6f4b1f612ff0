"""Tiles: every vertex in one core, never more points than allowed, context from the surroundings."""

import numpy as np
import pytest

from pointseg.core.scene import Scene
from pointseg.scans.tiles import Tile, select_vertices, split_into_tiles


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 10, (count, 3)).astype(np.float32)


def test_a_scene_that_fits_is_one_whole_tile_in_file_order() -> None:
    (tile,) = split_into_tiles(cloud(100), 100, margin_m=1.0)
    assert tile.is_whole
    assert tile.vertices.tolist() == list(range(100))


@pytest.mark.parametrize("max_points", [1, 2, 7, 100, 999])
def test_cores_hold_every_vertex_once_and_no_tile_is_larger_than_allowed(max_points: int) -> None:
    tiles = list(split_into_tiles(cloud(1000), max_points, margin_m=1.5))
    assert sorted(np.concatenate([tile.core for tile in tiles]).tolist()) == list(range(1000))
    assert max(len(tile.vertices) for tile in tiles) <= max_points
    assert all(len(np.unique(tile.vertices)) == len(tile.vertices) for tile in tiles)


def test_vertices_at_one_place_can_be_cut() -> None:
    tiles = list(split_into_tiles(np.zeros((50, 3), np.float32), 10, margin_m=1.0))
    assert sorted(np.concatenate([tile.core for tile in tiles]).tolist()) == list(range(50))
    assert max(len(tile.vertices) for tile in tiles) <= 10


def test_context_is_what_lies_within_the_margin_of_the_core() -> None:
    line = np.zeros((100, 3), np.float32)
    line[:, 0] = np.arange(100)
    first = next(iter(split_into_tiles(line, 99, margin_m=3.0)))
    assert first.core.tolist() == list(range(25))
    # 25 is a quarter: half of 100 is still more than half of the budget of 99.
    assert first.vertices[first.num_core :].tolist() == [25, 26, 27]


def test_the_nearest_context_is_kept_when_there_is_too_much() -> None:
    line = np.zeros((100, 3), np.float32)
    line[:, 0] = np.arange(100)
    first = next(iter(split_into_tiles(line, 60, margin_m=1000.0)))
    assert first.core.tolist() == list(range(25))
    assert first.vertices[first.num_core :].tolist() == list(range(25, 60))


def test_an_empty_scene_has_no_tile() -> None:
    assert list(split_into_tiles(np.zeros((0, 3), np.float32), 5, margin_m=1.0)) == []


def test_selected_vertices_keep_all_their_fields_in_the_order_asked_for() -> None:
    xyz = cloud(4)
    scene = Scene(
        "s",
        xyz,
        rgb=np.arange(12, dtype=np.uint8).reshape(4, 3),
        normal=xyz,
        raw_label=np.array([5, 6, 7, 8], np.int32),
        instance=np.array([0, 1, 2, 3], np.int32),
    )
    part = select_vertices(scene, Tile(np.array([3, 1]), 2).vertices)
    assert part.raw_label is not None and part.raw_label.tolist() == [8, 6]
    assert part.rgb is not None and part.rgb.tolist() == [[9, 10, 11], [3, 4, 5]]
    assert part.instance is not None and part.instance.tolist() == [3, 1]
    assert np.array_equal(part.xyz_m, xyz[[3, 1]])
