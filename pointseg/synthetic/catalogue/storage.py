"""Cabinets, shelves, racks: what things are kept in."""

from __future__ import annotations

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import fronts, legs, shelves, tub
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def cabinet(d: Draw) -> Shape:
    """Waist- to breast-high, two doors side by side, on a plinth, with an overhanging top."""
    w, depth, h = d.f(0.75, 1.25), d.f(0.36, 0.5), d.f(0.8, 1.4)
    wood = d.color("wood", "metal", "paint")
    s = (
        Shape()
        .box((w, depth, h - 0.08), (0, 0, 0.08), wood)
        .box((w - 0.08, depth - 0.08, 0.08), (0, 0, 0), shade(wood, 0.6))
    )
    fronts(s, w, (0.1, h - 0.02), depth / 2, shade(wood, 1.08), d.color("metal"), cols=2, style="door")
    s.box((w + 0.05, depth + 0.06, 0.04), (0, 0.01, h), wood)
    s.slot("top", (0, 0, h + 0.04), (w, depth), 1.0)
    return s


def shelf(d: Draw) -> Shape:
    """Four posts with boards, open on all sides."""
    w, depth, h, count = d.f(0.8, 1.5), d.f(0.35, 0.55), d.f(1.2, 2.0), d.n(4, 5)
    post, plank = d.color("metal", "wood"), d.color("metal", "wood")
    s = legs(Shape(), w, depth, h, post, thick=0.04)
    for i in range(count):
        z = 0.1 + i * (h - 0.15) / (count - 1)
        s.box((w, depth, 0.035), (0, 0, z), plank)
        room = (h - 0.15) / (count - 1) - 0.05 if i < count - 1 else 0.8
        s.slot("shelf", (0, 0, z + 0.035), (w - 0.12, depth - 0.04), room)
    return s


def bookshelf(d: Draw) -> Shape:
    """Tall closed sides and back, four to six boards, partly filled with upright spines of its own."""
    w, depth, h = d.f(0.7, 1.1), d.f(0.26, 0.34), d.f(1.6, 2.15)
    wood, count = d.color("wood", "paint"), d.n(5, 6)
    s = shelves(Shape(), w, depth, h, wood, count=count, back=True)
    s.box((w + 0.04, depth + 0.03, 0.04), (0, 0.01, h), wood)
    for i in range(count - 1):
        z, room = s.slots[i].at[2], s.slots[i].headroom
        if d.chance(0.5):
            filled = d.f(0.3, 0.8) * (w - 0.1)
            size = (filled, depth * 0.6, room * d.f(0.55, 0.8))
            s.box(size, (-(w - 0.08 - filled) / 2, -0.02, z), d.color("print", "paper"))
    return s


def dresser(d: Draw) -> Shape:
    """Wide, hip-high, three or four rows of drawers in two columns."""
    w, depth, h = d.f(1.0, 1.6), d.f(0.42, 0.54), d.f(0.75, 1.05)
    wood = d.color("wood", "paint")
    s = legs(Shape(), w, depth, 0.1, wood, thick=0.06).box((w, depth, h - 0.1), (0, 0, 0.1), wood)
    fronts(
        s, w, (0.12, h), depth / 2, shade(wood, 1.1), d.color("metal"), rows=d.n(3, 4), cols=2, relief=0.03
    )
    s.box((w + 0.05, depth + 0.05, 0.035), (0, 0.01, h), wood)
    s.slot("tv_top", (0, 0, h + 0.035))
    s.slot("top", (0, 0, h + 0.035), (w, depth), 1.3)
    return s


def file_cabinet(d: Draw) -> Shape:
    """Narrow and deep, a single column of two to four drawers."""
    rows_ = d.n(2, 4)
    w, depth, h = d.f(0.38, 0.46), d.f(0.55, 0.7), 0.04 + rows_ * d.f(0.29, 0.33)
    metal = d.color("metal", "plastic", "wood")
    s = Shape().box((w, depth, h), (0, 0, 0), metal)
    fronts(s, w, (0.02, h - 0.02), depth / 2, shade(metal, 1.08), d.color("metal"), rows=rows_, relief=0.03)
    s.slot("top", (0, 0, h), (w, depth), 1.0)
    return s


def wardrobe(d: Draw) -> Shape:
    """Man-high and more: tall doors between a plinth and a cornice."""
    w, depth, h = d.f(0.95, 1.8), d.f(0.52, 0.64), d.f(1.85, 2.2)
    wood = d.color("wood", "paint")
    s = (
        Shape()
        .box((w + 0.04, depth + 0.03, 0.1), (0, 0, 0), shade(wood, 0.8))
        .box((w, depth, h), (0, 0, 0), wood)
    )
    fronts(
        s,
        w,
        (0.12, h - 0.04),
        depth / 2,
        shade(wood, 1.08),
        d.color("metal"),
        cols=2 + (w > 1.4),
        style="door",
    )
    return s.box((w + 0.12, depth + 0.1, 0.09), (0, 0.02, h), wood)


def furniture(d: Draw) -> Shape:
    """An odd piece: a low closed block, a higher open frame beside it, a board across both."""
    w1, w2, depth = d.f(0.4, 0.7), d.f(0.35, 0.6), d.f(0.4, 0.55)
    h1, h2 = d.f(0.4, 0.7), d.f(0.95, 1.4)
    wood, other = d.color("wood", "paint"), d.color("wood", "metal")
    s = Shape().box((w1, depth, h1), (-w1 / 2, 0, 0), wood)
    open_ = legs(Shape(), w2, depth, h2, other, thick=0.05)
    for k in (0.15, 0.55, 1.0):
        open_.box((w2, depth, 0.03), (0, 0, h2 * k), other)
    s.join(open_, (w2 / 2, 0, 0))
    s.join(Shape().box((w1 + 0.1, depth * 0.8, 0.03), (0, 0, 0), other), (-w1 / 2, 0, h1 + 0.05), roll=0.25)
    return s


def storage_organizer(d: Draw) -> Shape:
    """A frame with tilted bins in many colours, three columns by three or four rows."""
    rows_, cols, cell = d.n(3, 4), 3, d.f(0.24, 0.3)
    frame_, depth = d.color("wood", "plastic"), d.f(0.3, 0.38)
    w, h = cols * cell, rows_ * cell * 0.8 + 0.1
    s = Shape()
    for sx in (-1, 1):
        s.box((0.03, depth, h), (sx * w / 2, 0, 0), frame_)
    for r in range(rows_):
        z = 0.06 + r * cell * 0.8
        s.box((w, 0.025, 0.025), (0, depth / 2 - 0.03, z - 0.03), frame_)
        for c in range(cols):
            bin_ = tub(
                Shape(), (cell - 0.03, depth, cell * 0.5), (0, 0, 0), d.color("plastic", "print"), base=0.85
            )
            s.join(bin_, ((c - (cols - 1) / 2) * cell, 0, z), pitch=-0.3)
    return s


def mailbox(d: Draw) -> Shape:
    """A wall of pigeonholes: a grid of open cells, each a hand high."""
    cols, rows_, cell = d.n(4, 6), d.n(5, 7), d.f(0.22, 0.3)
    w, h, depth, t = cols * cell, rows_ * cell * 0.5, 0.32, 0.02
    body = d.color("wood", "metal", "paint")
    s = Shape().box((w, 0.02, h), (0, -depth / 2 + 0.01, 0.75), shade(body, 0.6))
    for c in range(cols + 1):
        s.box((t, depth, h), ((c / cols - 0.5) * w, 0, 0.75), body)
    for r in range(rows_ + 1):
        s.box((w, depth, t), (0, 0, 0.75 + r * h / rows_), body)
    s.box((w, depth + 0.1, 0.72), (0, 0, 0), shade(body, 0.9)).box(
        (w + 0.04, depth + 0.14, 0.03), (0, 0, 0.72), body
    )
    for c in range(cols):
        for r in range(rows_):
            if d.chance(0.4):
                at = ((c + 0.5 - cols / 2) * cell, 0.0, 0.77 + r * h / rows_)
                s.box((cell * 0.8, 0.26, d.f(0.01, 0.06)), at, d.color("paper"))
    return s


def rack(d: Draw) -> Shape:
    """Two end frames joined by many thin bars on several levels, nothing solid."""
    w, depth, h = d.f(0.9, 1.4), d.f(0.35, 0.5), d.f(0.9, 1.5)
    metal = d.color("metal", "wood")
    s = Shape()
    for sx in (-1, 1):
        s.rod((sx * w / 2, -depth / 2, 0), (sx * w / 2, -0.05, h), 0.02, metal)
        s.rod((sx * w / 2, depth / 2, 0), (sx * w / 2, 0.05, h), 0.02, metal)
        s.box((0.03, depth, 0.03), (sx * w / 2, 0, 0.15), metal)
    for i in range(d.n(3, 4)):
        z = 0.2 + i * (h - 0.25) / 3
        half = depth / 2 * (1 - z / h) + 0.04
        for y in np.linspace(-half, half, 3):
            s.rod((-w / 2, y, z), (w / 2, y, z), 0.016, metal, sides=4)
    return s


RECIPES = (
    row("cabinet", cabinet, "wall", "office 4, lounge 2, kitchen 2, copyroom 4, classroom 3, storage 3, "
        "bedroom,apartment 2, bathroom, conference 2, hallway 2, laundry 2", textures="wood plain"),
    row("shelf", shelf, "wall", "storage 6, office 3, copyroom 3, laundry 3, kitchen 2, bedroom, "
        "classroom 2, gym,apartment, lounge, bathroom", textures="plain wood"),
    row("bookshelf", bookshelf, "wall", "office 6, lounge 4, classroom 3, bedroom 2, apartment 3",
        textures="wood plain"),
    row("dresser", dresser, "wall", "bedroom 9, apartment 4", textures="wood plain"),
    row("file cabinet", file_cabinet, "under wall", "office 8, copyroom 4, storage 2, classroom", group=2),
    row("wardrobe", wardrobe, "wall", "bedroom 8, apartment 3, hallway", textures="wood plain"),
    row("furniture", furniture, "wall", "lounge 2, storage 2, office 2, bedroom 2, apartment 2, hallway 2",
        textures="wood plain"),
    row("storage organizer", storage_organizer, "wall",
        "classroom 3, storage 3, bedroom 2, office, copyroom"),
    row("mailbox", mailbox, "wall", "copyroom 9, office, hallway 2", textures="plain wood"),
    row("rack", rack, "wall floor", "storage 4, gym 4, kitchen, hallway 2, laundry 2, bedroom"),
)  # fmt: skip
