"""Doors, windows, what dresses them, and closets."""

from __future__ import annotations

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    bent,
    frame,
    shelves,
    wavy,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def door_leaf(d: Draw, w: float, h: float) -> Shape:
    """A leaf with raised panels and a lever; hinge edge at x = 0, its face on y = 0."""
    color = d.color("wood", "paint")
    s = Shape().box((w, 0.04, h), (w / 2, -0.02, 0), color)
    if d.chance(0.6):
        for low, high in ((0.1, 0.45), (0.53, 0.92)):
            s.box((w * 0.7, 0.02, h * (high - low)), (w / 2, 0.005, h * low), shade(color, 0.92))
    if d.chance(0.2):
        s.box((w * 0.35, 0.02, h * 0.3), (w / 2, 0.01, h * 0.58), d.color("glass"))
    s.box((0.05, 0.03, 0.2), (w - 0.08, 0.01, 0.95), d.color("metal"))
    return s.box((0.14, 0.025, 0.025), (w - 0.12, 0.06, 1.05), d.color("metal"))


def doorframe(d: Draw, w: float, h: float) -> Shape:
    """Architrave round an opening of w x h, a hand wide and proud of the wall, with the reveal behind."""
    color, wide = d.color("wood", "paint", "metal"), d.f(0.07, 0.12)
    s = Shape()
    for sx in (-1, 1):
        s.box((wide, 0.16, h + wide), (sx * (w + wide) / 2, -0.05, 0), color)
    return s.box((w, 0.16, wide), (0, -0.05, h), color)


def window(d: Draw, w: float, h: float) -> Shape:
    """A frame with mullions round panes that lie a hand deep in the wall; origin at the sill's middle."""
    color, wide = d.color("paint", "wood", "metal"), d.f(0.05, 0.08)
    s = frame(Shape(), w, h, color, wide=wide, deep=0.1)
    s.box((w - 2 * wide, 0.01, h - 2 * wide), (0, 0.03, wide), d.color("glass", "print", "screen"))
    for k in range(1, d.n(1, 3)):
        s.box(
            (0.05, 0.07, h - 2 * wide),
            (-w / 2 + k * w / 2 if w < 1.2 else (k / 3 - 0.5) * w, 0.05, wide),
            color,
        )
    if d.chance(0.5):
        s.box((w - 2 * wide, 0.07, 0.05), (0, 0.05, h * d.f(0.45, 0.7)), color)
    return Shape().join(s, (0, -0.14, 0))


def door(d: Draw) -> Shape:
    return door_leaf(d, d.f(0.75, 0.95), d.f(1.98, 2.1))


def any_doorframe(d: Draw) -> Shape:
    return doorframe(d, d.f(0.8, 1.0), d.f(2.0, 2.1))


def any_window(d: Draw) -> Shape:
    return window(d, d.f(0.8, 1.8), d.f(0.9, 1.5))


def windowsill(d: Draw) -> Shape:
    """A thick board under a window, a hand deep, on two brackets."""
    w, depth, color = d.f(0.9, 1.8), d.f(0.16, 0.26), d.color("wood", "stone", "paint")
    s = Shape().box((w, depth, 0.05), (0, depth / 2, 0.1), color)
    for sx in (-1, 1):
        s.box((0.05, depth * 0.7, 0.1), (sx * w * 0.38, depth * 0.35, 0), shade(color, 0.8))
    return s.slot("sill", (0, depth / 2, 0.15), (w - 0.1, depth - 0.02), 0.6)


def curtain(d: Draw) -> Shape:
    """One or two folded cloths from a rod above the window to the sill or the floor."""
    w, h, color = d.f(0.9, 2.0), d.f(1.4, 2.15), d.color("fabric", "paper")
    s = Shape().rod(
        (-w / 2 - 0.1, 0.08, h + 0.02), (w / 2 + 0.1, 0.08, h + 0.02), 0.018, d.color("metal", "wood")
    )
    if d.chance(0.6):
        each = w * d.f(0.25, 0.42)
        for sx in (-1, 1):
            grid = wavy(each, h, waves=each * 7, depth=0.1, phase=d.f(0, 6))
            s.sheet(grid, color, 0.012, at=(sx * (w - each) / 2, 0.03, 0))
        return s
    return s.sheet(wavy(w, h, waves=w * 5, depth=0.1), color, 0.012, at=(0, 0.03, 0))


def blinds(d: Draw) -> Shape:
    """Slats between a head box and a foot rail: level and tilted, or upright."""
    w, h, color = d.f(0.8, 1.7), d.f(0.9, 1.6), d.color("paint", "plastic", "wood")
    s = Shape().box((w, 0.09, 0.08), (0, 0.05, h), color)
    if d.chance(0.65):
        count = int(h / 0.1)
        for i in range(count):
            slat = Shape().box((w, 0.075, 0.008), (0, 0, 0), color)
            s.join(slat, (0, 0.055, 0.06 + i * (h - 0.08) / count), pitch=0.6)
        return s.box((w, 0.05, 0.03), (0, 0.055, 0), shade(color, 0.85))
    count = int(w / 0.11)
    for i in range(count):
        s.join(
            Shape().box((0.09, 0.01, h), (0, 0, 0), color), ((i + 0.5) * w / count - w / 2, 0.06, 0), yaw=0.6
        )
    return s


def closet(d: Draw) -> Shape:
    """A built-in niche up to the ceiling: side walls, a high shelf, drawers at the bottom, no doors."""
    w, depth, h, color = d.f(1.1, 1.8), d.f(0.55, 0.65), d.room_height - 0.05, d.color("paint", "wood")
    s = Shape()
    for sx in (-1, 1):
        s.box((0.06, depth, h), (sx * (w / 2 - 0.03), 0, 0), color)
    s.box((w, 0.03, h), (0, -depth / 2 + 0.015, 0), shade(color, 0.9)).box(
        (w, depth, 0.3), (0, 0, h - 0.3), color
    )
    shelves(s, w * 0.4, depth - 0.06, h - 0.7, shade(color, 1.05), count=4, back=False)
    s.slots = [slot.moved((-w * 0.28, 0, 0)) for slot in s.slots]
    s.box((w * 0.5, depth - 0.08, 0.5), (w * 0.2, 0, 0), shade(color, 0.85))
    s.slot("closet_rod", (w * 0.2, 0, h - 0.75))
    s.slot("closet_in", (w * 0.2, -depth * 0.45, 0.7))
    return s


def closet_wall(d: Draw) -> Shape:
    """Bare panels on three sides of a niche, floor to ceiling."""
    w, depth, h, color = d.f(1.2, 1.9), d.f(0.55, 0.7), d.room_height - 0.02, d.color("paint")
    s = Shape().box((w, 0.05, h), (0, -depth / 2 + 0.025, 0), color)
    for sx in (-1, 1):
        s.box((0.08, depth, h), (sx * (w / 2 - 0.04), 0, 0), color)
    s.box((w, 0.08, h * 0.14), (0, depth / 2 - 0.04, h * 0.86), color)
    s.slot("closet_front", (0, depth / 2 - 0.1, 0.02)).slot("closet_rod", (0, 0, h - 0.7))
    s.slot("closet_in", (0.1, -depth / 2 + 0.05, 0.7))
    return s.slot("shelf", (-w * 0.25, 0, 0), (w * 0.4, depth - 0.2), 0.6)


def closet_door(d: Draw) -> Shape:
    """Two tall sliding leaves, one before the other, louvred or plain, in a track."""
    w, h, color = d.f(1.0, 1.5), d.f(1.95, 2.1), d.color("paint", "wood", "glass")
    s = (
        Shape()
        .box((w, 0.12, 0.05), (0, 0.06, h), d.color("metal"))
        .box((w, 0.12, 0.02), (0, 0.06, 0), d.color("metal"))
    )
    shift = d.f(0.0, 0.2) * w
    for k, y in ((-1, 0.03), (1, 0.08)):
        x = k * (w / 4 - shift * (k > 0))
        s.box((w / 2 + 0.02, 0.03, h - 0.03), (x, y, 0.02), shade(color, 1 + 0.06 * k))
        for row_ in range(4):
            s.box((w * 0.38, 0.025, h * 0.12), (x, y + 0.02, h * (0.12 + 0.22 * row_)), shade(color, 0.85))
    return s


def closet_rod(d: Draw) -> Shape:
    """A bar with a few empty hangers on it."""
    w, metal = d.f(0.9, 1.3), d.color("metal", "wood")
    s = Shape().rod((-w / 2, 0.24, 0.3), (w / 2, 0.24, 0.3), 0.022, metal, sides=6)
    for sx in (-1, 1):
        s.box((0.03, 0.28, 0.1), (sx * w / 2, 0.14, 0.26), metal)
    wood = d.color("wood", "plastic")
    for _ in range(d.n(3, 6)):
        x = d.f(-0.45, 0.45) * w
        bent(s, [(x, 0.04, 0.14), (x, 0.24, 0.25), (x, 0.44, 0.14), (x, 0.04, 0.14)], 0.012, wood)
    return s


RECIPES = (
    row("door", door, "opening", "", elsewhere=1, textures="wood plain"),
    row("doorframe", any_doorframe, "opening", "", elsewhere=1, textures="wood plain"),
    row("window", any_window, "opening", "", elsewhere=1),
    row("windowsill", windowsill, "window_sill hang", "kitchen 2, bedroom 2, office 2, hallway, lounge 2",
        z=(0.7, 0.9), elsewhere=0.6),
    row("curtain", curtain, "window_cover hang", "bedroom 6, lounge 4, apartment 3, office, classroom",
        z=(-0.2, -0.1), textures="stripes plain checker", group=2),
    row("blinds", blinds, "window_cover hang", "office 4, classroom 3, conference 4, bedroom, lounge",
        z=(0.9, 1.0), group=2),
    row("closet", closet, "wall", "bedroom 7, apartment 3, hallway"),
    row("closet wall", closet_wall, "wall corner", "bedroom 7, apartment 3, hallway"),
    row("closet door", closet_door, "closet_front hang", "bedroom 8, apartment 3, hallway 2", z=(0.0, 0.01),
        textures="wood plain"),
    row("closet rod", closet_rod, "closet_rod hang", "bedroom 8, apartment 2, storage", z=(1.3, 1.6)),
)  # fmt: skip
