"""Which labelled rows lie around a row, against loops over cells."""

import itertools

import torch

from pointseg.core.surroundings import Surroundings, pixel_table

HEIGHT, WIDTH = 4, 5


def pixels_around(row: int) -> list[int]:
    """Rows of the 3 x 3 pixels of an image of 20, -2 beyond its edge."""
    image, place = divmod(row, HEIGHT * WIDTH)
    y, x = divmod(place, WIDTH)
    found = []
    for dy, dx in itertools.product((-1, 0, 1), repeat=2):
        inside = 0 <= y + dy < HEIGHT and 0 <= x + dx < WIDTH
        found.append(image * HEIGHT * WIDTH + (y + dy) * WIDTH + x + dx if inside else -2)
    return found


def test_pixels_are_surrounded_by_those_of_their_image() -> None:
    table = pixel_table(2, HEIGHT, WIDTH)
    assert table.dtype == torch.int32
    assert table.T.tolist() == [pixels_around(row) for row in range(2 * HEIGHT * WIDTH)]


def test_only_labelled_rows_are_found_and_all_cells_of_an_image_are_occupied() -> None:
    labelled = torch.tensor([0, 1, 6, 19, 20, 39])
    around = Surroundings.of(pixel_table(2, HEIGHT, WIDTH), labelled)
    place = {row: number for number, row in enumerate(labelled.tolist())}
    expected = [[place.get(cell, -1) for cell in pixels_around(row)] for row in labelled.tolist()]
    assert around.neighbours.tolist() == expected
    assert around.occupied.tolist() == [9] * 6


def test_what_is_occupied_is_counted_labelled_or_not() -> None:
    table = torch.tensor([[-1, 0, 1, -1], [0, 1, 2, 3], [1, 2, -1, -1]], dtype=torch.int32)
    around = Surroundings.of(table, torch.tensor([0, 2]))
    assert around.occupied.tolist() == [2, 2]
    assert around.neighbours.tolist() == [[-1, 0, -1], [-1, 1, -1]]


def test_rows_of_surroundings_see_one_another_alone() -> None:
    table = torch.tensor([[-1, 0, 1, -1], [0, 1, 2, 3], [1, 2, -1, -1]], dtype=torch.int32)
    around = Surroundings.of(table, torch.arange(4))[torch.tensor([2, 1])]
    assert around.neighbours.tolist() == [[1, 0, -1], [-1, 1, 0]]
    assert around.occupied.tolist() == [2, 3]


def test_no_labelled_row_has_no_surroundings() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    around = Surroundings.of(pixel_table(1, 2, 2), none)
    assert around.neighbours.shape == (0, 9) and around[none].occupied.shape == (0,)
