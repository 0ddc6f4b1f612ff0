"""Parts of the building: stairs, rails, pillars, pipes, ledges, dividers."""

from __future__ import annotations

import math

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import bent, frame, rings
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def column(d: Draw) -> Shape:
    """Round, from floor to ceiling, with a base and a capital."""
    r, h, color = d.f(0.14, 0.26), d.room_height - 0.01, d.color("paint", "stone")
    s = (
        Shape()
        .cylinder(r * 1.35, 0.18, (0, 0, 0), color, sides=10)
        .cylinder(r, h, (0, 0, 0), color, sides=12)
    )
    return s.cylinder(r, 0.2, (0, 0, h - 0.2), shade(color, 0.95), top=1.45, sides=10)


def pillar(d: Draw) -> Shape:
    """Square, from floor to ceiling, with a skirting and cut edges."""
    w, depth, color = d.f(0.3, 0.6), d.f(0.3, 0.5), d.color("paint", "stone")
    h = d.room_height - 0.01
    s = Shape().loft(rings([(w, depth, 0), (w, depth, h)], 0.06), (0, 0, 0), color)
    return s.box((w + 0.04, depth + 0.04, 0.12), (0, 0, 0), shade(color, 0.7))


def ledge(d: Draw) -> Shape:
    """A wall that stands out a hand or two to hip height, with a cap on top."""
    w, depth, h, color = d.f(1.0, 2.2), d.f(0.16, 0.28), d.f(0.12, 0.2), d.color("paint", "wood", "stone")
    s = Shape().loft(rings([(w, depth * 0.3, 0), (w, depth, h)]), (0, depth / 2, 0), color)
    s.box((w + 0.04, depth + 0.02, 0.04), (0, depth / 2, h), shade(color, 1.1))
    return s.slot("sill", (0, depth / 2, h + 0.04), (w - 0.1, depth), 0.6)


def rail(d: Draw) -> Shape:
    """A level round bar along the wall on brackets."""
    w, metal = d.f(1.2, 2.4), d.color("metal", "wood")
    s = Shape().rod((-w / 2, 0.09, 0.08), (w / 2, 0.09, 0.08), 0.028, metal)
    for k in (-0.42, 0.0, 0.42):
        bent(s, [(k * w, 0.0, 0.0), (k * w, 0.09, 0.0), (k * w, 0.09, 0.08)], 0.016, d.color("metal"))
    return s


def bar(d: Draw) -> Shape:
    """A short straight grip, upright or level, on two stand-offs."""
    length, metal = d.f(0.45, 0.8), d.color("metal", "plastic")
    upright = d.chance(0.5)
    a, b = ((0, 0, 0), (0, 0, length)) if upright else ((-length / 2, 0, 0), (length / 2, 0, 0))
    s = Shape().rod((a[0], 0.1, a[2]), (b[0], 0.1, b[2]), 0.03, metal, sides=8)
    for p in (a, b):
        s.rod((p[0] * 0.9, 0, 0.05 + p[2] * 0.85), (p[0] * 0.9, 0.1, 0.05 + p[2] * 0.85), 0.045, metal)
    return s


def pipe(d: Draw) -> Shape:
    """From floor to ceiling with flanges, an elbow and a branch along the wall."""
    r, h, metal = d.f(0.04, 0.07), d.room_height - 0.02, d.color("metal", "paint", "plastic")
    s = Shape().rod((0, 0.12, 0), (0, 0.12, h), r, metal, sides=8)
    for z in (0.02, h * d.f(0.4, 0.7), h - 0.06):
        s.rod((0, 0.12, z), (0, 0.12, z + 0.05), r * 1.5, shade(metal, 0.8), sides=8)
    if d.chance(0.6):
        z = d.f(0.3, 1.8)
        s.rod((0, 0.12, z), (d.f(0.3, 0.8), 0.12, z), r * 0.8, metal, sides=8)
    return s


def structure(d: Draw) -> Shape:
    """A scaffold of posts, beams and braces with a deck half way up."""
    w, depth, h, wood = d.f(1.1, 1.8), d.f(0.8, 1.2), d.f(1.6, 2.1), d.color("wood", "metal")
    s = Shape()
    for sx in (-1, 1):
        for sy in (-1, 1):
            s.box((0.09, 0.09, h), (sx * w / 2, sy * depth / 2, 0), wood)
    for z in (h * 0.5, h - 0.1):
        for sy in (-1, 1):
            s.box((w, 0.06, 0.1), (0, sy * depth / 2, z), wood)
        for sx in (-1, 1):
            s.box((0.06, depth, 0.1), (sx * w / 2, 0, z), wood)
    s.box((w, depth, 0.04), (0, 0, h * 0.5 + 0.1), shade(wood, 1.1))
    for sx in (-1, 1):
        s.rod((sx * w / 2, -depth / 2, 0.1), (sx * w / 2, depth / 2, h * 0.5), 0.03, wood, sides=4)
    return s


def divider(d: Draw) -> Shape:
    """A folding screen: three or four framed leaves in a zigzag."""
    leaves, each, h = d.n(3, 4), d.f(0.42, 0.55), d.f(1.45, 1.8)
    wood, cloth = d.color("wood", "metal"), d.color("fabric", "paper")
    s, x, y, sign = Shape(), 0.0, 0.0, 1
    for _ in range(leaves):
        a = sign * d.f(0.35, 0.6)
        leaf = frame(Shape(), each, h, wood, wide=0.04, deep=0.03)
        leaf.box((each - 0.06, 0.014, h - 0.12), (0, 0.015, 0.06), cloth)
        s.join(leaf, (x + math.cos(a) * each / 2, y + math.sin(a) * each / 2, 0), yaw=a)
        x, y, sign = x + math.cos(a) * each, y + math.sin(a) * each, -sign
    return s


def stairs(d: Draw) -> Shape:
    """A flight along the wall: solid steps, each with a nosing."""
    w, steps, rise, run = d.f(0.9, 1.2), d.n(5, 8), d.f(0.16, 0.19), d.f(0.25, 0.3)
    color, tread = d.color("wood", "paint", "stone"), d.color("wood", "carpet", "stone")
    length = steps * run
    s = Shape()
    for i in range(steps):
        x = -length / 2 + (i + 0.5) * run
        s.box((run, w, (i + 1) * rise - 0.03), (x, 0, 0), color)
        s.box((run + 0.03, w + 0.02, 0.03), (x - 0.015, 0, (i + 1) * rise - 0.03), tread)
    s.slot("stair_side", (0, w / 2 - 0.05, 0))
    return s


def stair_rail(d: Draw) -> Shape:
    """A handrail that climbs over upright balusters."""
    steps, rise, run = d.n(5, 8), 0.175, 0.27
    length, wood = steps * run, d.color("wood", "metal")
    s = Shape()
    for i in range(steps):
        x = -length / 2 + (i + 0.5) * run
        z = (i + 1) * rise
        s.box((0.035, 0.035, 0.85 + z), (x, 0, 0), wood)
    start, end = (-length / 2 - 0.1, 0, 0.95), (length / 2, 0, 0.95 + steps * rise)
    s.rod(start, end, 0.04, shade(wood, 0.8), sides=6)
    return s.box((0.1, 0.1, 1.1), (-length / 2 - 0.05, 0, 0), wood)


def fireplace(d: Draw) -> Shape:
    """Jambs and a mantel round a dark hole, a hearth before it, a chimney breast above."""
    w, h, stone = d.f(1.2, 1.6), d.f(1.0, 1.2), d.color("stone", "paint", "wood")
    depth = 0.4
    s = Shape().box((w * 0.62, 0.03, h * 0.75), (0, -depth / 2 + 0.02, 0), d.color("screen"))
    for sx in (-1, 1):
        s.box((w * 0.2, depth, h), (sx * w * 0.4, 0, 0), stone)
    s.box((w * 0.6, depth, h * 0.25), (0, 0, h * 0.75), stone)
    s.box((w + 0.2, depth + 0.14, 0.08), (0, 0.05, h), d.color("wood", "stone"))
    s.box((w + 0.1, 0.5, 0.06), (0, depth / 2 + 0.25, 0), shade(stone, 0.8))
    s.box(
        (w * 0.7, depth * 0.7, d.room_height - h - 0.1),
        (0, -depth * 0.15, h + 0.08),
        d.color("paint", "stone"),
    )
    for k in (-0.1, 0.05, 0.15):
        s.rod((k - 0.15, 0, 0.1), (k + 0.15, 0.02, 0.16), 0.05, d.color("wood"))
    return s.slot("top", (0, 0.12, h + 0.08), (w, 0.2), 1.0)


RECIPES = (
    row("column", column, "floor corner", "hallway 3, lounge 2, office, classroom, storage 2, gym",
        turns=True, elsewhere=0.3),
    row("pillar", pillar, "floor wall corner", "hallway 3, lounge, office 2, classroom, storage 2, gym",
        elsewhere=0.3),
    row("ledge", ledge, "hang", "hallway 3, bathroom 2, office, classroom, lounge", z=(0.6, 1.1),
        elsewhere=0.4),
    row("rail", rail, "hang", "hallway 5, bathroom 2, gym 3, classroom", z=(0.85, 1.0), group=2),
    row("bar", bar, "hang", "bathroom 4, gym 4, kitchen, hallway", z=(0.8, 1.3), group=3),
    row("pipe", pipe, "hang", "storage 4, laundry 4, bathroom 2, copyroom", z=(0.0, 0.0), group=2),
    row("structure", structure, "wall floor", "storage 4, gym 3, classroom, lounge", textures="wood plain"),
    row("divider", divider, "floor wall", "office 3, lounge 2, classroom, bedroom, conference",
        textures="plain stripes"),
    row("stairs", stairs, "wall floor", "hallway 8, lounge, apartment", textures="wood plain"),
    row("stair rail", stair_rail, "stair_side wall floor", "hallway 9, lounge, apartment"),
    row("fireplace", fireplace, "wall", "lounge 8, apartment", textures="checker speckle plain"),
)  # fmt: skip
