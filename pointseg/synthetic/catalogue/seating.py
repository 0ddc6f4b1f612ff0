"""Things to sit and to lie on."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import arc, bent, heap, legs, pad
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


def ball(d: Draw) -> Shape:
    """A sphere, a hand's or an arm's breadth wide."""
    r = d.f(0.1, 0.13) if d.chance(0.6) else d.f(0.25, 0.34)
    return Shape().ball((r, r, r), (0, 0, r), d.color("print", "plastic"), sides=12, rings=8)


def hoop_basket(d: Draw) -> Shape:
    """Round woven basket, wide at the top, with a handle in an arc above."""
    r, h, color = d.f(0.14, 0.22), d.f(0.14, 0.24), d.color("wood", "cardboard", "fabric")
    profile = [(r * 0.7, 0), (r, h), (r - 0.02, h), (r * 0.7 - 0.02, 0.02)]
    s = Shape().lathe(profile, (0, 0, 0), color, sides=10)
    for z in (0.35, 0.7):
        s.cylinder(r * (0.7 + 0.3 * z) + 0.012, 0.03, (0, 0, z * h), shade(color, 0.8), sides=10)
    return bent(s, arc(r, 0, 180, 7, center=(0, 0, h)), 0.015, color)


COUCH = upholstered((1.5, 2.3), (2, 3), (0.14, 0.24))
SOFA_CHAIR = upholstered((0.86, 1.02), (1, 1), (0.18, 0.24))

RECIPES = (
    row("chair", chair, "place floor wall", "conference 9, classroom 9, kitchen 3, apartment 3, lounge 2, office 2,"
        "bedroom, copyroom, storage, hallway 0.3", group=4),
    row("office chair", office_chair, "deskplace place floor", "office 8, conference 3, classroom 2, copyroom, bedroom",
        group=2, turns=True),
    row("armchair", armchair, "floor wall", "lounge 8, bedroom 3, hallway 2, apartment 2, conference", group=2),
    row("couch", COUCH, "wall floor", "lounge 8, apartment 5, bedroom 2, office, hallway", textures="plain stripes"),
    row("sofa chair", SOFA_CHAIR, "wall floor", "lounge 8, apartment 3, bedroom 2, hallway 2", group=2),
    row("stool", stool, "under floor", "kitchen 4, storage 2, apartment 2, lounge, bathroom 0.5", group=2, turns=True),
    row("ottoman", ottoman, "floor", "lounge 6, bedroom 3, apartment 2", turns=True),
    row("bench", bench, "wall floor", "hallway 4, gym 4, bedroom 2, lounge 2, kitchen", textures="wood plain"),
    row("seat", seat, "wall floor", "hallway 4, classroom 4, lounge 2, conference", group=3),
    row("folded chair", folded_chair, "wall", "storage 4, classroom 3, conference 3, hallway, office", group=2),
    row("bed", bed, "wall", "bedroom 9, apartment 5", textures="plain stripes checker"),
    row("mattress", mattress, "wall floor", "bedroom 5, storage 3, apartment 2", textures="plain stripes"),
    row("pillow", pillow, "bed couch floor", "bedroom 9, apartment 5, lounge 6", group=3, turns=True,
        textures="plain stripes checker"),
    row("cushion", cushion, "couch floor", "lounge 6, bedroom 2, apartment 3", group=2, turns=True),
    row("blanket", blanket, "bed_foot couch floor", "bedroom 8, lounge 3, apartment 3", turns=True,
        textures="plain stripes checker"),
    row("person", person, "floor", "office 2, lounge 2, classroom 2, conference 2, gym, kitchen", elsewhere=0.3),
    row("stuffed animal", stuffed_animal, "bed couch shelf top floor", "bedroom 5, lounge, apartment 2", turns=True),
    row("hat", hat, "bed_foot top shelf desk couch", "bedroom 3, lounge, hallway 2, office, apartment", turns=True),
    row("shoe", shoe, "floor", "bedroom 5, apartment 3, hallway 3, gym 2, storage, lounge", group=3, turns=True),
    row("ball", ball, "floor shelf", "gym 6, storage 2, lounge, bedroom, office", group=2, turns=True),
    row("basket", hoop_basket, "floor shelf top counter", "bathroom 2, bedroom 2, lounge 2, kitchen 2, storage",
        turns=True),
)  # fmt: skip
