"""The rows around a row of a batch: voxels by the engine's table, against loops over coordinates."""

import itertools

import torch

from pointseg.core.batch import ImageBatch, SceneBatch
from pointseg.core.surroundings import pixel_table
from pointseg.models.neighbours import neighbour_rows


def test_voxels_are_surrounded_by_the_27_of_their_scene() -> None:
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(-2, 3, (80, 3), generator=generator).unique(dim=0)
    coords = coords[torch.randperm(len(coords), generator=generator)]
    batch = torch.arange(len(coords)) // (len(coords) // 2 + 1)
    coords = torch.cat([batch[:, None], coords], dim=1).int()
    labels = torch.zeros(len(coords), dtype=torch.int64)
    table = neighbour_rows(SceneBatch(coords, torch.zeros(len(coords), 1), labels, ("a", "b")))
    row_of = {tuple(cell): row for row, cell in enumerate(coords.tolist())}
    for row, (scene, x, y, z) in enumerate(coords.tolist()):
        cube = itertools.product((-1, 0, 1), repeat=3)
        expected = sorted(row_of.get((scene, x + dx, y + dy, z + dz), -1) for dx, dy, dz in cube)
        assert sorted(table[:, row].tolist()) == expected
    assert table.shape == (27, len(coords)) and table[13].tolist() == list(range(len(coords)))


def test_pixels_are_surrounded_by_those_of_their_image() -> None:
    labels = torch.zeros(2, 3, 4, dtype=torch.int64)
    batch = ImageBatch(torch.zeros(2, 3, 3, 4), labels, ("a", "b"))
    assert torch.equal(neighbour_rows(batch), pixel_table(2, 3, 4))
