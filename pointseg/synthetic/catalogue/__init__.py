"""The catalogue: for each of the 200 classes of ScanNet200 how it is built and where it goes."""

from __future__ import annotations

from functools import cache

from pointseg.synthetic.catalogue import (
    bags,
    bathroom,
    bins,
    building,
    dishes,
    electronics,
    household,
    kitchen,
    lights_music,
    openings,
    seating,
    soft,
    storage,
    tables,
    wall_items,
    washroom,
)
from pointseg.synthetic.recipe import Recipe

THEMES = (
    openings,
    building,
    seating,
    soft,
    tables,
    storage,
    bins,
    kitchen,
    dishes,
    bathroom,
    washroom,
    electronics,
    lights_music,
    wall_items,
    household,
    bags,
)

#: Classes that the room itself is made of; ``structure.py`` builds them.
SHELL = ("wall", "floor", "ceiling")


@cache
def catalogue() -> dict[str, tuple[Recipe, ...]]:
    """Class name -> its recipes, the usual one first; the others are tried where that one finds no place."""
    found: dict[str, tuple[Recipe, ...]] = {}
    for theme in THEMES:
        for recipe in theme.RECIPES:
            found[recipe.name] = (*found.get(recipe.name, ()), recipe)
    return found
