"""Things to sit on."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import legs, pad
from pointseg.synthetic.recipe import Build, row
from pointseg.synthetic.shapes import Shape


def _back(s: Shape, d: Draw, w: float, y: float, z: float, top: float, color: np.ndarray) -> None:
    """Chair back between ``z`` and ``top``: a panel, slats, or a rail between posts."""
    style = d.pick("panel", "slats", "rails")
    if style == "panel":
        pad(s, (w, 0.05, (top - z) * 0.75), (0, y, z + (top - z) * 0.25), color, round_=0.1)
    elif style == "rails":
        for k in (0.3, 0.62, 0.9):
            s.box((w, 0.025, 0.06), (0, y, z + (top - z) * k), color)
    else:
        s.box((w, 0.03, 0.07), (0, y, top - 0.07), color)
        for k in (-0.3, 0.0, 0.3):
            s.box((0.035, 0.02, top - z - 0.05), (k * w, y, z), color)
    for sx in (-1, 1):
        s.box((0.035, 0.035, top - z), (sx * (w / 2 - 0.017), y, z), color)


def chair(d: Draw) -> Shape:
    """Four legs, a flat seat, an upright back."""
    w, depth, seat, top = d.f(0.4, 0.5), d.f(0.4, 0.48), d.f(0.42, 0.47), d.f(0.8, 1.0)
    frame = d.color("wood", "metal", "plastic")
    cover = d.color("wood", "fabric", "plastic")
    s = legs(Shape(), w, depth, seat, frame, style=d.pick("four", "splay", "sled"), thick=d.f(0.03, 0.045))
    pad(s, (w, depth, d.f(0.03, 0.07)), (0, 0, seat), cover)
    _back(s, d, w, -depth / 2 + 0.02, seat + 0.03, top, d.color("wood", "fabric", "plastic"))
    return s


def office_chair(d: Draw) -> Shape:
    """Star base on castors, gas column, thick seat, curved back, often arms."""
    base, cover = d.color("metal", "plastic"), d.color("fabric", "plastic")
    seat, w = d.f(0.42, 0.52), d.f(0.46, 0.54)
    s = Shape()
    for a in np.arange(5) * 2 * math.pi / 5 + d.f(0, 1):
        x, y = 0.3 * math.cos(a), 0.3 * math.sin(a)
        s.rod((0, 0, 0.11), (x, y, 0.07), 0.025, base)
        s.ball((0.035, 0.035, 0.035), (x, y, 0.035), base, sides=5, rings=4)
    s.cylinder(0.03, seat - 0.1, (0, 0, 0.09), base)
    pad(s, (w, w * 0.95, 0.09), (0, 0, seat), cover, chamfer=0.5)
    high = d.f(0.4, 0.65)
    pad(s, (w * 0.9, 0.07, high), (0, -w * 0.45, seat + 0.14), cover, round_=0.12)
    s.box((0.06, 0.03, 0.25), (0, -w * 0.5, seat), base)
    if d.chance(0.7):
        for sx in (-1, 1):
            s.box((0.03, 0.05, 0.2), (sx * w * 0.53, 0, seat + 0.02), base)
            pad(s, (0.06, 0.26, 0.03), (sx * w * 0.53, 0, seat + 0.22), base)
    return s


def armchair(d: Draw) -> Shape:
    """Visible legs and open arms around an upholstered seat and back."""
    w, depth, seat = d.f(0.62, 0.74), d.f(0.62, 0.74), d.f(0.36, 0.42)
    wood, cover = d.color("wood", "metal"), d.color("fabric")
    s = legs(Shape(), w, depth * 0.9, seat - 0.08, wood, style=d.pick("four", "splay"))
    pad(s, (w * 0.82, depth, 0.14), (0, 0, seat - 0.08), cover)
    back = Shape()
    pad(back, (w * 0.82, 0.12, d.f(0.45, 0.6)), (0, 0, 0), cover, round_=0.12)
    s.join(back, (0, -depth * 0.42, seat), pitch=d.f(0.1, 0.25))
    for sx in (-1, 1):
        s.box((0.05, depth * 0.85, 0.04), (sx * (w / 2 - 0.03), 0.02, seat + 0.2), wood)
        s.box((0.04, 0.04, 0.24), (sx * (w / 2 - 0.03), depth * 0.36, seat - 0.04), wood)
    return s


def upholstered(w: tuple[float, float], cushions: tuple[int, int], arm: tuple[float, float]) -> Build:
    """Sofa block down to the floor: base, solid arms, back, seat cushions."""

    def build(d: Draw) -> Shape:
        width, depth, seat, top = d.f(*w), d.f(0.8, 0.98), d.f(0.38, 0.46), d.f(0.74, 0.92)
        cover, count = d.color("fabric", "plastic"), d.n(*cushions)
        a = d.f(*arm)
        inner = width - 2 * a
        s = Shape().box((width - 0.04, depth - 0.06, seat - 0.16), (0, 0, 0.06), shade(cover, 0.85))
        s.box((width * 0.9, depth * 0.8, 0.06), (0, 0, 0), d.color("wood"))
        pad(s, (inner, 0.22, top - seat + 0.1), (0, -depth / 2 + 0.12, seat - 0.1), cover, round_=0.2)
        for sx in (-1, 1):
            pad(s, (a, depth, d.f(0.54, 0.64)), (sx * (width - a) / 2, 0, 0.06), cover, round_=0.08)
        each = inner / count
        for i in range(count):
            at = (-inner / 2 + (i + 0.5) * each, 0.1, seat - 0.12)
            pad(s, (each - 0.02, depth - 0.24, 0.14), at, shade(cover, 1.06))
        s.slot("couch", (0, 0.05, seat + 0.02), (inner - 0.1, depth - 0.4), 0.6)
        return s

    return build


def stool(d: Draw) -> Shape:
    """A small seat without a back, low or bar-high."""
    h, r = d.f(0.45, 0.75), d.f(0.16, 0.21)
    frame, cover = d.color("wood", "metal"), d.color("wood", "fabric", "plastic")
    s = Shape()
    if d.chance(0.7):
        legs(s, 2 * r, 2 * r, h, frame, style=d.pick("four", "splay"), thick=0.035)
        s.box((2 * r - 0.06, 0.025, 0.025), (0, r - 0.05, h * 0.35), frame)
        s.box((2 * r - 0.06, 0.025, 0.025), (0, -r + 0.05, h * 0.35), frame)
    else:
        s.cylinder(r * 1.05, 0.03, (0, 0, 0), frame).cylinder(0.03, h, (0, 0, 0), frame)
    if d.chance(0.5):
        return s.cylinder(r, d.f(0.03, 0.08), (0, 0, h), cover, sides=10)
    return pad(s, (2 * r, 2 * r, d.f(0.03, 0.08)), (0, 0, h), cover)


def ottoman(d: Draw) -> Shape:
    """A soft block without back or arms, on stubs, with a domed top."""
    w, depth, h = d.f(0.5, 0.95), d.f(0.5, 0.65), d.f(0.34, 0.44)
    cover = d.color("fabric", "plastic")
    s = legs(Shape(), w, depth, 0.06, d.color("wood"), thick=0.05)
    pad(s, (w, depth, h * 0.6), (0, 0, 0.06), cover, round_=0.1)
    pad(s, (w + 0.02, depth + 0.02, h * 0.36), (0, 0, h * 0.55), shade(cover, 1.08), round_=0.6)
    s.slot("couch", (0, 0, h * 0.91), (w - 0.2, depth - 0.2), 0.6)
    return s


def bench(d: Draw) -> Shape:
    """A long narrow plank, low, on panels or legs."""
    w, depth, h = d.f(1.0, 1.7), d.f(0.3, 0.42), d.f(0.4, 0.48)
    wood = d.color("wood", "metal", "plastic")
    s = legs(Shape(), w, depth, h, wood, style=d.pick("panel", "sled", "trestle"), thick=0.05)
    for k in (-1, 0, 1):
        s.box((w, depth / 3 - 0.015, 0.04), (0, k * depth / 3, h), wood)
    return s


def seat(d: Draw) -> Shape:
    """Moulded shells in a row on one beam, as in a waiting room or an auditorium."""
    count, pitch = d.n(1, 3), 0.56
    shell, metal = d.color("plastic", "fabric"), d.color("metal")
    length = count * pitch
    s = Shape().box((length, 0.06, 0.06), (0, -0.1, 0.34), metal)
    for sx in (-1, 1):
        s.box((0.06, 0.06, 0.36), (sx * (length / 2 - 0.15), -0.1, 0), metal)
        s.box((0.06, 0.46, 0.03), (sx * (length / 2 - 0.15), 0, 0), metal)
    for i in range(count):
        x = -length / 2 + (i + 0.5) * pitch
        line = [(0.26, 0.44), (0.1, 0.41), (-0.12, 0.42), (-0.22, 0.52), (-0.3, 0.88)]
        grid = np.array(
            [[[x + u * 0.24, y, z + 0.05 * u * u] for y, z in reversed(line)] for u in (-1, 0, 1)]
        )
        s.sheet(grid, shell, 0.02)
    return s


def folded_chair(d: Draw) -> Shape:
    """A flat frame that leans on the wall."""
    w, h = d.f(0.42, 0.48), d.f(0.88, 1.02)
    metal, cover = d.color("metal", "wood"), d.color("plastic", "wood", "fabric")
    flat = Shape()
    for sx in (-1, 1):
        flat.box((0.03, 0.03, h), (sx * w / 2, 0, 0), metal)
        flat.box((0.03, 0.03, h * 0.8), (sx * (w / 2 - 0.04), 0.05, 0), metal)
    flat.box((w - 0.02, 0.025, h * 0.2), (0, 0, h * 0.78), cover)
    flat.box((w - 0.1, 0.04, h * 0.38), (0, 0.05, h * 0.3), cover)
    flat.box((w, 0.03, 0.03), (0, 0.02, h * 0.12), metal)
    return Shape().join(flat, pitch=d.f(0.08, 0.2))


COUCH = upholstered((1.5, 2.3), (2, 3), (0.14, 0.24))
SOFA_CHAIR = upholstered((0.86, 1.02), (1, 1), (0.18, 0.24))

RECIPES = (
    row("chair", chair, "place floor wall", "conference 9, classroom 9, kitchen 3, apartment 3, lounge 2, "
        "office 2,bedroom, copyroom, storage, hallway 0.3", group=4),
    row("office chair", office_chair, "deskplace place floor",
        "office 8, conference 3, classroom 2, copyroom, bedroom", group=2, turns=True),
    row("armchair", armchair, "floor wall", "lounge 8, bedroom 3, hallway 2, apartment 2, conference",
        group=2),
    row("couch", COUCH, "wall floor", "lounge 8, apartment 5, bedroom 2, office, hallway",
        textures="plain stripes"),
    row("sofa chair", SOFA_CHAIR, "wall floor", "lounge 8, apartment 3, bedroom 2, hallway 2", group=2),
    row("stool", stool, "under floor", "kitchen 4, storage 2, apartment 2, lounge, bathroom 0.5", group=2,
        turns=True),
    row("ottoman", ottoman, "floor", "lounge 6, bedroom 3, apartment 2", turns=True),
    row("bench", bench, "wall floor", "hallway 4, gym 4, bedroom 2, lounge 2, kitchen",
        textures="wood plain"),
    row("seat", seat, "wall floor", "hallway 4, classroom 4, lounge 2, conference", group=3),
    row("folded chair", folded_chair, "wall", "storage 4, classroom 3, conference 3, hallway, office",
        group=2),
)  # fmt: skip
