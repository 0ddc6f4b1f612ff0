"""Recipe: one row of the catalogue, how a class is built and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pointseg.synthetic.draw import Draw
from pointseg.synthetic.shapes import Shape

Mount = Literal["stand", "hang", "ceiling", "sunk"]
Build = Callable[[Draw], Shape]


@dataclass(frozen=True)
class Recipe:
    """How to build one class and where to put it.

    Args:
        name: class name, as in the label set.
        build: draws one instance in its own frame (front towards +y).
        spots: where it goes, best first: ``wall`` (back to a wall), ``corner``, ``floor`` (anywhere free),
            ``center``, ``hang`` (on a wall), ``ceiling``, or the kind of a slot that other objects offer.
        rooms: room kind -> how likely the class is there; kinds not named get ``elsewhere``.
        mount: ``stand`` on something, ``hang`` on a wall, ``ceiling``, or ``sunk`` into a slot, its own z = 0
            at the slot's height.
        z: for ``hang``: range of the height of its lower edge, metres; where negative, of the distance
            between its upper edge and the ceiling.
        group: how many of them tend to come together.
        textures: hints for the scanner, one is drawn.
        turns: any heading (True) or only along the walls.
        open_below: things may stand under it.
        elsewhere: weight in rooms that are not named.
    """

    name: str
    build: Build
    spots: tuple[str, ...]
    rooms: Mapping[str, float] = field(default_factory=dict)
    mount: Mount = "stand"
    z: tuple[float, float] = (0.0, 0.0)
    group: int = 1
    textures: tuple[str, ...] = ("plain", "speckle")
    turns: bool = False
    open_below: bool = False
    elsewhere: float = 0.02

    def weight(self, kind: str) -> float:
        """How likely the class is in rooms of this kind, relative to the others."""
        return float(self.rooms.get(kind, self.elsewhere))


def row(
    name: str,
    build: Build,
    spots: str,
    rooms: str = "",
    *,
    z: tuple[float, float] = (0.0, 0.0),
    group: int = 1,
    textures: str = "plain speckle",
    turns: bool = False,
    open_below: bool = False,
    elsewhere: float = 0.02,
    mount: Mount | None = None,
) -> Recipe:
    """A :class:`Recipe` in the catalogue's short hand: ``spots`` and ``textures`` are words, ``rooms`` reads
    ``"office 3, bedroom"``; the mount follows from the first spot."""
    weights = {}
    for entry in filter(None, (part.strip() for part in rooms.split(","))):
        kind, _, weight = entry.partition(" ")
        weights[kind] = float(weight or 1)
    words = tuple(spots.split())
    if mount is None:
        mount = "hang" if "hang" in words else "ceiling" if "ceiling" in words else "stand"
    return Recipe(
        name=name,
        build=build,
        spots=words,
        rooms=weights,
        mount=mount,
        z=z,
        group=group,
        textures=tuple(textures.split()),
        turns=turns,
        open_below=open_below,
        elsewhere=elsewhere,
    )
