"""The options of scans: what holds where a recipe says nothing, and what is refused."""

from typing import Any

import pytest

from pointseg.scans.dataset import StoreData
from pointseg.scans.paste import PasteConfig

Options = type[StoreData] | type[PasteConfig]
#: (options, option, values beyond its range, values at its ends)
RANGES: list[tuple[Options, str, list[Any], list[Any]]] = [
    (StoreData, "voxel_size_m", [0, -0.01], [0.001]),
    (StoreData, "features", [()], [("height",)]),
    (StoreData, "max_voxels", [0], [1, None]),
    (PasteConfig, "p", [-0.01, 1.01], [0, 1]),
    (PasteConfig, "max_objects", [0], [1]),
    (PasteConfig, "classes", [()], [("lamp",), None]),
    (PasteConfig, "min_points", [0], [1]),
    (PasteConfig, "max_overlap", [-0.01], [0]),
    (PasteConfig, "attempts", [0], [1]),
]


def test_what_holds_where_nothing_is_said() -> None:
    found = StoreData(path="store")
    assert (found.type, found.voxel_size_m, found.features) == ("store", 0.02, ("color",))
    assert (found.max_voxels, found.paste) == (None, None)
    assert PasteConfig().model_dump() == {
        "p": 0.5,
        "max_objects": 3,
        "classes": None,
        "min_points": 30,
        "max_overlap": 0.05,
        "attempts": 10,
    }


@pytest.mark.parametrize(
    ("options", "option", "beyond", "ends"), RANGES, ids=[f"{a.__name__}-{b}" for a, b, _, _ in RANGES]
)
def test_an_option_has_its_range(options: Options, option: str, beyond: list[Any], ends: list[Any]) -> None:
    needed = {"path": "store"} if options is StoreData else {}
    for value in beyond:
        with pytest.raises(ValueError, match=option):
            options(**{**needed, option: value})
    for value in ends:
        assert getattr(options(**{**needed, option: value}), option) == value
