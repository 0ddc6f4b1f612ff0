"""Beds and what is soft or worn, and whoever sits about."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    bent,
    heap,
    legs,
    pad,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def bed(d: Draw) -> Shape:
    """Frame, mattress, headboard, and a cover that hangs over the sides."""
    w, length, top = d.f(0.95, 1.9), d.f(1.95, 2.1), d.f(0.45, 0.62)
    wood, sheet, cover = d.color("wood", "metal"), d.color("fabric", "paper"), d.color("fabric")
    s = legs(Shape(), w, length, 0.14, wood, thick=0.07)
    s.box((w, length, top * 0.4), (0, 0, 0.14), wood)
    pad(s, (w - 0.03, length - 0.04, top - 0.12 - top * 0.4), (0, 0, 0.14 + top * 0.4), sheet, round_=0.15)
    s.box((w + 0.06, 0.06, d.f(0.8, 1.2)), (0, -length / 2 - 0.03, 0), wood)
    reach = length * d.f(0.5, 0.72)
    y = length / 2 - reach / 2
    s.box((w + 0.03, reach, 0.035), (0, y, top), cover)
    for sx in (-1, 1):
        s.box((0.03, reach, top * d.f(0.3, 0.6)), (sx * (w / 2 + 0.005), y, top * 0.45), cover)
    s.slot("bed", (0, -length / 2 + 0.3, top + 0.02), (w - 0.1, 0.5), 1.2)
    s.slot("bed_foot", (0, length * 0.2, top + 0.035), (w - 0.2, length * 0.45), 1.2)
    for sx in (-1, 1):
        s.slot("bedside", (sx * (w / 2 + 0.4), -length / 2 + 0.25, 0))
    return s


def mattress(d: Draw) -> Shape:
    """A bare mattress, flat on the floor or on its edge against a wall."""
    w, length, t = d.f(0.9, 1.5), d.f(1.85, 2.0), d.f(0.18, 0.26)
    cover = d.color("fabric", "paper")
    if d.chance(0.5):
        return pad(Shape(), (w, length, t), (0, 0, 0), cover, round_=0.3)
    upright = Shape()
    pad(upright, (length, w, t), (0, 0, 0), cover, round_=0.3)
    return Shape().join(upright, pitch=math.pi / 2 - d.f(0.05, 0.15))


def pillow(d: Draw) -> Shape:
    """Fat in the middle, thin at the four corners; flat or propped up."""
    w, depth, h = d.f(0.45, 0.7), d.f(0.38, 0.48), d.f(0.13, 0.2)
    t = np.linspace(-1, 1, 5)
    gx, gy = np.meshgrid(t, t, indexing="ij")
    bulge = ((1 - gx**2) * (1 - gy**2)) ** 0.4 * h / 2
    pull = 1 - 0.1 * (1 - np.maximum(np.abs(gx), np.abs(gy)) ** 4)
    x, y = gx * w / 2 * (2 - pull - 0.08), gy * depth / 2 * (2 - pull - 0.08)
    cover = d.color("fabric", "paper")
    flat = Shape().sheet(np.stack([x, y, bulge], -1), cover)
    flat.sheet(np.stack([x, y, -bulge], -1).transpose(1, 0, 2), cover)
    return Shape().join(flat, pitch=d.f(0.5, 1.1) if d.chance(0.4) else 0.0)


def cushion(d: Draw) -> Shape:
    """A square, even seat pad with sharp edges and a seam round its waist."""
    w, h = d.f(0.42, 0.62), d.f(0.1, 0.15)
    cover = d.color("fabric")
    s = Shape().box((w, w, h), (0, 0, 0), cover)
    return s.box((w + 0.03, w + 0.03, 0.025), (0, 0, h / 2 - 0.012), shade(cover, 0.7))


def blanket(d: Draw) -> Shape:
    """A wide, low, crumpled cloth."""
    grid = heap(d, d.f(0.8, 1.3), d.f(0.6, 1.0), d.f(0.1, 0.22), cells=8)
    return Shape().sheet(grid, d.color("fabric"))


def person(d: Draw) -> Shape:
    """Somebody who stands or sits on a chair of their own."""
    skin, top, legs_ = d.color("skin"), d.color("fabric"), d.color("fabric")
    s = Shape()
    sits = d.chance(0.5)
    hip = 0.5 if sits else d.f(0.82, 0.92)
    for sx in (-1, 1):
        knee = (sx * 0.11, 0.42, 0.5) if sits else (sx * 0.1, 0.02, 0.48)
        s.rod((sx * 0.1, 0, hip), knee, 0.085, legs_).rod(knee, (knee[0], knee[1], 0.06), 0.065, legs_)
        s.box((0.09, 0.25, 0.08), (knee[0], knee[1] + 0.06, 0), d.color("plastic"))
        bent(
            s,
            [(sx * 0.23, 0, hip + 0.5), (sx * 0.28, 0.05, hip + 0.2), (sx * 0.22, 0.26, hip + 0.14)],
            0.05,
            top,
        )
    pad(s, (0.42, 0.25, 0.6), (0, 0, hip - 0.05), top, round_=0.2, chamfer=0.6)
    s.cylinder(0.06, 0.1, (0, 0, hip + 0.53), skin)
    return s.ball((0.09, 0.11, 0.13), (0, 0.01, hip + 0.73), skin, sides=8, rings=6)


def stuffed_animal(d: Draw) -> Shape:
    """A sitting bear: round body, head with ears, four limbs."""
    k, fur = d.f(0.8, 1.4), d.color("fabric", "wood")
    s = Shape().ball((0.11 * k, 0.1 * k, 0.13 * k), (0, 0, 0.13 * k), fur)
    s.ball((0.09 * k, 0.085 * k, 0.085 * k), (0, 0.01, 0.32 * k), fur)
    for sx in (-1, 1):
        s.ball((0.03 * k, 0.02 * k, 0.035 * k), (sx * 0.075 * k, 0, 0.41 * k), fur, sides=5, rings=4)
        s.rod((sx * 0.06 * k, 0.04, 0.05 * k), (sx * 0.12 * k, 0.2 * k, 0.05 * k), 0.045 * k, fur)
        bent(s, [(sx * 0.1 * k, 0, 0.2 * k), (sx * 0.18 * k, 0.08 * k, 0.13 * k)], 0.035 * k, fur)
    return s


def hat(d: Draw) -> Shape:
    """A crown over a wide brim."""
    r, color = d.f(0.09, 0.11), d.color("fabric")
    brim = r + d.f(0.05, 0.1)
    s = Shape().cylinder(brim, 0.015, (0, 0, 0), color, sides=12)
    return s.lathe([(r, 0.0), (r, 0.07), (r * 0.8, 0.12), (0.02, 0.13)], (0, 0, 0.015), shade(color, 0.9))


def shoe(d: Draw) -> Shape:
    """A pair: long, low, with a high heel end."""
    color, sole = d.color("fabric", "plastic"), d.color("plastic", "paper")
    s = Shape()
    for sx in (-1, 1):
        x = sx * d.f(0.06, 0.09)
        s.box((0.1, 0.29, 0.03), (x, 0, 0), sole)
        pad(s, (0.09, 0.18, 0.06), (x, 0.05, 0.03), color, round_=0.5)
        tall = d.f(0.08, 0.1)
        pad(s, (0.09, 0.12, tall), (x, -0.08, 0.03), color, round_=0.3)
    return s


RECIPES = (
    row("bed", bed, "wall", "bedroom 9, apartment 5", textures="plain stripes checker"),
    row("mattress", mattress, "wall floor", "bedroom 5, storage 3, apartment 2", textures="plain stripes"),
    row("pillow", pillow, "bed couch floor", "bedroom 9, apartment 5, lounge 6", group=3, turns=True,
        textures="plain stripes checker"),
    row("cushion", cushion, "couch floor", "lounge 6, bedroom 2, apartment 3", group=2, turns=True),
    row("blanket", blanket, "bed_foot couch floor", "bedroom 8, lounge 3, apartment 3", turns=True,
        textures="plain stripes checker"),
    row("person", person, "floor", "office 2, lounge 2, classroom 2, conference 2, gym, kitchen",
        elsewhere=0.3),
    row("stuffed animal", stuffed_animal, "bed couch shelf top floor", "bedroom 5, lounge, apartment 2",
        turns=True),
    row("hat", hat, "bed_foot top shelf desk couch", "bedroom 3, lounge, hallway 2, office, apartment",
        turns=True),
    row("shoe", shoe, "floor", "bedroom 5, apartment 3, hallway 3, gym 2, storage, lounge", group=3,
        turns=True),
)  # fmt: skip
