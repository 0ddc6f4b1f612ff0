"""Raw categories: the free text that annotators typed, with its way to a class id or to none."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np

from pointseg.core.labels import load_label_space, resource_path

#: Raw categories that lead to none of the 200 ids, and the class whose shape they borrow.
UNLISTED: dict[str, str] = {
    "rug": "mat", "carpet": "mat", "step stool": "stool", "footstool": "ottoman", "footrest": "ottoman",
    "piano bench": "bench", "wardrobe cabinet": "wardrobe", "vending machine": "refrigerator",
    "hamper": "laundry hamper", "round table": "table", "folded table": "folded chair",
    "kitchen island": "counter", "breakfast bar": "counter", "drawer": "box", "case": "box", "chest": "box",
    "carton": "box", "jar": "container", "vase": "water pitcher", "swiffer": "broom",
    "tripod": "music stand", "globe": "ball", "teddy bear": "stuffed animal", "coat": "jacket",
    "bathrobe": "jacket", "shirt": "towel", "wall hanging": "picture", "banner": "poster",
    "thermostat": "light switch", "smoke detector": "fire alarm", "hand rail": "rail", "shoe rack": "rack",
    "drying rack": "rack", "heater": "radiator", "slippers": "shoe", "iron": "hair dryer",
    "thermos": "water bottle", "tupperware": "storage container", "cooking pot": "bowl",
    "poster tube": "tube", "compost bin": "trash can", "messenger bag": "bag",
    "instrument case": "guitar case", "cutting board": "tray", "exercise machine": "machine",
    "toolbox": "crate",
}  # fmt: skip


@cache
def ways_to_class() -> dict[str, int]:
    """Raw category -> id, the first row where a category stands twice, as the preparation reads the table."""
    ways: dict[str, int] = {}
    for raw, raw_id, _ in _rows():
        ways.setdefault(raw, raw_id)
    return ways


@cache
def _rows() -> tuple[tuple[str, int, int], ...]:
    path = resource_path("scannet200", "scannetv2-labels.combined.tsv")
    with path.open(newline="", encoding="utf-8") as handle:
        return tuple(
            (row["raw_category"], int(row["id"]), int(row["count"]))
            for row in csv.DictReader(handle, delimiter="\t")
        )


@cache
def _synonyms() -> dict[int, tuple[tuple[str, ...], tuple[float, ...]]]:
    found: dict[int, dict[str, int]] = {}
    for raw, raw_id, count in _rows():
        if ways_to_class()[raw] == raw_id:
            found.setdefault(raw_id, {}).setdefault(raw, count)
    # The square root gives rare synonyms a part to play in a few dozen scenes.
    return {
        raw_id: (tuple(words), tuple(np.sqrt(list(words.values())) / np.sqrt(list(words.values())).sum()))
        for raw_id, words in found.items()
    }


def raw_category(raw_id: int, rng: np.random.Generator) -> str:
    """A raw category that leads to the class ``raw_id``; frequent ones are likelier."""
    words, weights = _synonyms()[raw_id]
    return words[0] if len(words) == 1 else words[int(rng.choice(len(words), p=weights))]


@cache
def class_names() -> dict[int, str]:
    """Raw id -> class name of ScanNet200."""
    space = load_label_space("scannet200")
    return dict(zip(space.raw_ids, space.names, strict=True))


@cache
def class_ids() -> dict[str, int]:
    """Class name -> raw id of ScanNet200."""
    return {name: raw_id for raw_id, name in class_names().items()}


@cache
def instances_per_scene() -> dict[int, float]:
    """Raw id -> annotated objects for each of ScanNet's 1,513 released scenes."""
    path = resource_path("scannet200", "scannet200_frequency.csv")
    with path.open(newline="", encoding="utf-8") as handle:
        return {int(row["valid_id"]): int(row["instances_tsv"]) / 1513 for row in csv.DictReader(handle)}
