"""Draw: the random choices behind a recipe, with palettes of materials that many classes share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.shapes import Color

Generator = np.random.Generator
Palettes = dict[str, tuple[tuple[int, int, int], ...]]

#: Base colours by material. Classes name materials, never colours of their own: a brown can be a door, a
#: desk, a box or a sofa, so that the colour of a point says little about its class.
PALETTES: Palettes = {
    "wood": (
        (196, 164, 120), (222, 196, 154), (160, 118, 76), (120, 80, 48), (84, 56, 38), (60, 42, 32),
        (142, 92, 60), (178, 140, 100), (206, 200, 188), (228, 224, 214), (104, 96, 88), (134, 76, 48),
    ),
    "paint": (
        (226, 222, 212), (208, 204, 196), (232, 228, 206), (186, 186, 182), (214, 198, 168), (168, 180, 186),
        (184, 190, 168), (206, 176, 150), (150, 140, 128), (198, 206, 210), (176, 150, 120), (120, 128, 132),
    ),
    "metal": (
        (150, 150, 152), (186, 186, 184), (110, 112, 114), (66, 66, 68), (34, 34, 36), (208, 206, 200),
        (176, 156, 112), (92, 84, 74), (226, 224, 220),
    ),
    "plastic": (
        (34, 34, 36), (70, 70, 72), (118, 116, 112), (200, 198, 190), (226, 224, 218), (206, 190, 158),
        (50, 74, 120), (140, 40, 38), (54, 96, 66), (196, 158, 50), (90, 60, 40), (160, 180, 190),
    ),
    "fabric": (
        (110, 104, 98), (66, 62, 62), (44, 52, 78), (98, 70, 50), (170, 150, 122), (206, 194, 172),
        (120, 40, 44), (76, 94, 70), (94, 74, 104), (190, 188, 186), (60, 100, 110), (160, 96, 60),
        (220, 216, 208), (36, 36, 40), (150, 128, 60), (128, 140, 156),
    ),
    "ceramic": (
        (228, 226, 220), (222, 212, 188), (196, 194, 190), (206, 184, 170), (236, 236, 234), (164, 176, 176),
    ),
    "glass": (
        (176, 190, 196), (120, 134, 142), (70, 80, 92), (216, 222, 224), (150, 160, 150), (44, 50, 58),
    ),
    "screen": (
        (26, 26, 30), (44, 46, 52), (60, 72, 96), (16, 16, 18), (110, 130, 156), (82, 82, 84),
    ),
    "paper": (
        (230, 228, 220), (216, 206, 180), (190, 196, 206), (206, 186, 120), (160, 140, 110), (178, 90, 80),
    ),
    "cardboard": (
        (168, 132, 92), (146, 112, 76), (190, 156, 112), (206, 200, 190), (110, 90, 70), (90, 100, 120),
    ),
    "print": (
        (180, 60, 50), (60, 80, 140), (216, 200, 120), (70, 110, 80), (120, 110, 100), (40, 40, 46),
        (200, 196, 186), (150, 100, 130), (222, 160, 90), (100, 140, 160),
    ),
    "leaf": (
        (70, 96, 50), (98, 116, 64), (52, 72, 44), (124, 120, 70), (110, 80, 60), (90, 110, 96),
        (150, 148, 110),
    ),
    "stone": (
        (120, 112, 104), (70, 66, 64), (176, 166, 152), (150, 84, 66), (206, 200, 190), (46, 46, 48),
    ),
    "skin": (
        (206, 164, 136), (150, 106, 80), (104, 74, 58), (224, 190, 166),
    ),
    "carpet": (
        (120, 112, 104), (92, 92, 96), (150, 132, 108), (78, 84, 100), (176, 162, 140), (110, 84, 66),
    ),
}  # fmt: skip


class Draw:
    """One object's stream of random choices; objects of a room share its height and its favourite materials.

    Args:
        rng: where the choices come from.
        room_height_m: height of the ceiling, for what reaches up to it.
        style: palette name -> colours that this room prefers; empty for none.
    """

    def __init__(self, rng: Generator, room_height_m: float = 2.6, style: Palettes | None = None) -> None:
        self.rng = rng
        self.room_height = room_height_m
        self.style = style or {}

    def f(self, low: float, high: float) -> float:
        """A length between ``low`` and ``high``."""
        return low + (high - low) * float(self.rng.random())

    def n(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def color(self, *palettes: str) -> Color:
        """A colour of one of the named materials: the room's own every second time, a little off the base."""
        name = palettes[int(self.rng.integers(len(palettes)))]
        choices = self.style[name] if name in self.style and self.chance(0.5) else PALETTES[name]
        base = np.asarray(choices[int(self.rng.integers(len(choices)))], np.float64)
        # Light and exposure change value far more than hue.
        shade = self.rng.uniform(0.72, 1.12) * self.rng.uniform(0.94, 1.06, 3)
        return np.clip(base * shade, 6, 250).astype(np.uint8)

    def colors(self, count: int, *palettes: str) -> npt.NDArray[np.uint8]:
        """(count, 3) colours."""
        return np.stack([self.color(*palettes) for _ in range(count)])


def shade(color: Color, factor: float) -> Color:
    """The same colour, lighter or darker."""
    return np.clip(color.astype(np.float64) * factor, 4, 252).astype(np.uint8)


def room_style(rng: Generator) -> Palettes:
    """One or two favourite colours for each material that a room's furniture tends to share."""
    style = {}
    for name in ("wood", "metal", "fabric", "plastic"):
        options = PALETTES[name]
        chosen = rng.choice(len(options), size=2, replace=False)
        style[name] = tuple(options[int(c)] for c in chosen)
    return style
