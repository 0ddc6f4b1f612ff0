"""Numbers with their nouns."""

import pytest

from pointseg.core.words import counted


@pytest.mark.parametrize(
    ("count", "many", "text"),
    [
        (1, "vertices", "1 vertex"),
        (2, "vertices", "2 vertices"),
        (1, "smaller classes", "1 smaller class"),
        (0, "scenes", "0 scenes"),
        (1, "images", "1 image"),
        (12345, "pixels", "12,345 pixels"),
    ],
)
def test_one_is_one_and_others_are_many(count: int, many: str, text: str) -> None:
    assert counted(count, many) == text
