"""Kinds of rooms: how often ScanNet has them, how large they are, what the label file calls them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of room.

    Args:
        scene_type: ScanNet's ``sceneType`` text.
        share: part of all scenes.
        area_m2: smallest and largest floor; what has to go in decides between them.
        height_m: lowest and highest ceiling.
        floors: materials of its floor.
    """

    scene_type: str
    share: float
    area_m2: tuple[float, float]
    height_m: tuple[float, float] = (2.4, 2.8)
    floors: tuple[str, ...] = ("wood", "carpet")


KINDS: dict[str, Kind] = {
    "bedroom": Kind("Bedroom / Hotel", 0.19, (13, 32)),
    "bathroom": Kind("Bathroom", 0.15, (7, 26), floors=("ceramic", "stone")),
    "lounge": Kind("Living room / Lounge", 0.15, (16, 42)),
    "office": Kind("Office", 0.14, (12, 34), floors=("carpet", "wood")),
    "kitchen": Kind("Kitchen", 0.09, (12, 30), floors=("ceramic", "wood", "stone")),
    "conference": Kind("Conference Room", 0.06, (16, 40), (2.5, 3.0), ("carpet",)),
    "apartment": Kind("Apartment", 0.05, (22, 50)),
    "classroom": Kind("Classroom", 0.05, (22, 56), (2.6, 3.0), ("carpet", "ceramic")),
    "hallway": Kind("Hallway", 0.04, (14, 34), floors=("ceramic", "carpet", "stone")),
    "storage": Kind("Storage/Basement/Garage", 0.03, (12, 34), floors=("stone", "ceramic")),
    "copyroom": Kind("Copy/Mail Room", 0.02, (12, 28), floors=("carpet", "ceramic")),
    "laundry": Kind("Laundry Room", 0.015, (10, 26), floors=("ceramic", "stone")),
    "gym": Kind("Gym", 0.015, (18, 48), (2.6, 3.0), ("wood", "plastic")),
}
