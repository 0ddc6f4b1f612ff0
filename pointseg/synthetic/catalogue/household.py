"""Books and paper, plants, tools, sports things: what lies about."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import arc, bent, heap, outline, pad, rings
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def book(d: Draw) -> Shape:
    """A few volumes: a skewed stack, or a row of upright spines of uneven height."""
    s, count = Shape(), d.n(2, 6)
    if d.chance(0.5):
        z = 0.0
        for _ in range(count):
            t = d.f(0.02, 0.045)
            one = Shape().box((d.f(0.16, 0.24), d.f(0.22, 0.3), t), (0, 0, 0), d.color("print", "paper"))
            s.join(one, (d.f(-0.02, 0.02), d.f(-0.02, 0.02), z), yaw=d.f(-0.3, 0.3))
            z += t
        return s
    x = 0.0
    for _ in range(count + 3):
        t = d.f(0.025, 0.055)
        s.box((t, d.f(0.15, 0.2), d.f(0.19, 0.29)), (x + t / 2, 0, 0), d.color("print", "paper"))
        x += t
    return s


def paper(d: Draw) -> Shape:
    """Loose sheets fanned out flat."""
    s = Shape()
    for i in range(d.n(2, 4)):
        one = Shape().box((0.21, 0.3, 0.006), (0, 0, 0), d.color("paper"))
        s.join(one, (d.f(-0.08, 0.08), d.f(-0.08, 0.08), 0.007 * i), yaw=d.f(-1, 1))
    return s


def tissue_box(d: Draw) -> Shape:
    """A small block with a tuft that sticks out of its top."""
    w, h = d.f(0.12, 0.24), d.f(0.09, 0.13)
    s = Shape().box((w, 0.125, h), (0, 0, 0), d.color("print", "paper", "fabric"))
    return s.loft(
        rings([(0.06, 0.03, 0), (0.12, 0.08, 0.05), (0.05, 0.02, 0.09)]), (0, 0, h), d.color("paper")
    )


def cd_case(d: Draw) -> Shape:
    """A tower of thin square cases."""
    s, count = Shape(), d.n(6, 12)
    for i in range(count):
        s.box((0.14, 0.125, 0.012), (d.f(-0.006, 0.006), 0, i * 0.018), d.color("print", "plastic", "glass"))
    return s


def candle(d: Draw) -> Shape:
    """Two or three stout cylinders of unequal height on a saucer, wicks on top."""
    s = Shape().cylinder(0.1, 0.015, (0, 0, 0), d.color("ceramic", "metal", "wood"), sides=10)
    wax = d.color("paper", "print", "ceramic")
    for k, a in enumerate((0.0, 2.1, 4.2)[: d.n(2, 3)]):
        at = (0.05 * math.cos(a), 0.05 * math.sin(a), 0.015)
        h = 0.07 + 0.06 * k
        s.cylinder(0.035, h, at, wax).cylinder(
            0.006, 0.03, (at[0], at[1], 0.015 + h), d.color("screen"), sides=4
        )
    return s


def plant(d: Draw) -> Shape:
    """Long blades that arch out from one point, in a small pot or none."""
    r, green = d.f(0.22, 0.45), d.color("leaf")
    pot = d.f(0.14, 0.2)
    s = Shape().cylinder(0.1, pot, (0, 0, 0), d.color("ceramic", "plastic", "stone"), top=1.25)
    for i in range(d.n(9, 14)):
        a, up, out = i * 2.4, d.f(0.5, 1.2) * r, d.f(0.6, 1.0) * r
        side = np.array([-math.sin(a), math.cos(a), 0]) * d.f(0.03, 0.05)
        line = np.array([[0, 0, pot], [0.5 * out, 0.5 * out, pot + up], [out, out, pot + up * 0.55]])
        line[:, 0] *= math.cos(a)
        line[:, 1] *= math.sin(a)
        grid = np.stack([line - side, line + side * (1.0, 1.0, 1.0)])
        s.sheet(grid, shade(green, d.f(0.7, 1.25)), 0.006)
    return s


def potted_plant(d: Draw) -> Shape:
    """A big pot, a stem and a ball-shaped crown of leaves in clumps."""
    h, green, r = d.f(0.8, 1.4), d.color("leaf"), d.f(0.14, 0.2)
    pot = d.color("ceramic", "stone", "plastic")
    s = Shape().lathe(
        [(r * 0.7, 0), (r, 0.3), (r * 1.12, 0.3), (r * 1.12, 0.35), (r * 0.8, 0.32)], (0, 0, 0), pot, sides=10
    )
    s.rod((0, 0, 0.3), (d.f(-0.05, 0.05), 0, h), 0.03, d.color("wood"))
    for _ in range(d.n(7, 10)):
        a, k = d.f(0, 6.28), d.f(0.05, 0.28)
        at = (k * math.cos(a), k * math.sin(a), h + d.f(-0.25, 0.25))
        s.ball(
            (d.f(0.1, 0.18), d.f(0.1, 0.18), d.f(0.08, 0.14)),
            at,
            shade(green, d.f(0.7, 1.3)),
            sides=6,
            rings=4,
        )
    return s


def ladder(d: Draw) -> Shape:
    """Two pairs of rails in an A, or one pair leaning, with rungs."""
    h, metal = d.f(1.3, 2.0), d.color("metal", "wood", "plastic")
    flat = Shape()
    for sx in (-1, 1):
        flat.box((0.04, 0.06, h), (sx * 0.22, 0, 0), metal)
    for k in range(int(h / 0.28)):
        flat.box((0.42, 0.07, 0.03), (0, 0, 0.22 + 0.28 * k), metal)
    s = Shape().join(flat, (0, 0.35, 0), pitch=0.19)
    back = Shape()
    for sx in (-1, 1):
        back.box((0.03, 0.04, h * 0.97), (sx * 0.2, 0, 0), shade(metal, 0.8))
    return s.join(back, (0, -0.33, 0), pitch=-0.19)


def bicycle(d: Draw) -> Shape:
    """Two wheels, a diamond frame, a saddle, handlebars."""
    color, dark = d.color("print", "metal", "plastic"), d.color("screen")
    r = d.f(0.3, 0.34)
    s = Shape()
    for x in (-0.52, 0.52):
        bent(s, arc(r, 0, 360, 15, center=(x, 0, r)), 0.022, dark)
        for a in (0.4, 1.45, 2.5):
            c, t = r * math.cos(a), r * math.sin(a)
            s.rod((x - c, 0, r - t), (x + c, 0, r + t), 0.008, d.color("metal"), sides=4)
    crank, seat_, head = (-0.08, 0, 0.28), (-0.2, 0, 0.78), (0.38, 0, 0.8)
    for p, q in (
        (crank, seat_),
        (crank, head),
        (seat_, head),
        (crank, (-0.52, 0, r)),
        (seat_, (-0.52, 0, r)),
        (head, (0.52, 0, r)),
    ):
        s.rod(p, q, 0.022, color)
    pad(s, (0.26, 0.15, 0.06), (-0.22, 0, 0.84), dark).rod(seat_, (-0.22, 0, 0.85), 0.018, dark)
    bent(s, [(0.42, -0.26, 0.98), (0.36, -0.1, 0.96), (0.36, 0.1, 0.96), (0.42, 0.26, 0.98)], 0.018, dark)
    return s.rod(head, (0.36, 0, 0.97), 0.02, color).cylinder(0.09, 0.03, (crank[0], crank[1], 0.265), dark)


def broom(d: Draw) -> Shape:
    """A long stick with a wide flared brush, leaning."""
    h = d.f(1.1, 1.35)
    flat = Shape().loft(
        rings([(0.36, 0.07, 0), (0.28, 0.05, 0.16), (0.1, 0.04, 0.2)]),
        (0, 0, 0),
        d.color("cardboard", "plastic"),
    )
    flat.rod((0, 0, 0.2), (0, 0, h), 0.016, d.color("wood", "plastic", "metal"))
    return Shape().join(flat, pitch=d.f(0.1, 0.25))


def dustpan(d: Draw) -> Shape:
    """A flat scoop with walls on three sides and a grip behind."""
    w, color = d.f(0.26, 0.34), d.color("plastic", "metal")
    s = Shape().box((w, 0.24, 0.012), (0, 0, 0), color).box((w, 0.02, 0.09), (0, -0.12, 0), color)
    for sx in (-1, 1):
        s.box((0.015, 0.24, 0.05), (sx * w / 2, 0, 0), color)
    return s.rod((0, -0.12, 0.06), (0, -0.32, 0.1), 0.022, shade(color, 0.8))


def dumbbell(d: Draw) -> Shape:
    """A short bar between two hexagonal weights; often a pair."""
    s, color, metal = Shape(), d.color("plastic", "metal", "print"), d.color("metal")
    r = d.f(0.055, 0.08)
    for y in (-0.1, 0.1)[: d.n(1, 2)]:
        s.rod((-0.1, y, r), (0.1, y, r), 0.018, metal)
        for sx in (-1, 1):
            s.rod((sx * 0.08, y, r), (sx * 0.17, y, r), r, color, sides=6)
    return s


def tube(d: Draw) -> Shape:
    """A long hollow cylinder, lying or leaning."""
    r, h, color = d.f(0.05, 0.08), d.f(0.6, 1.1), d.color("cardboard", "plastic", "print")
    upright = Shape().lathe([(r, 0), (r, h), (r - 0.015, h), (r - 0.015, 0.02)], (0, 0, 0), color, sides=10)
    return upright.tilted(pitch=math.pi / 2 if d.chance(0.5) else d.f(0.1, 0.25))


def object_(d: Draw) -> Shape:
    """Anything: two to four solids of mixed kinds in one heap."""
    s, k = Shape(), d.f(0.6, 1.3)
    z = 0.0
    for _ in range(d.n(2, 4)):
        w, depth, h = d.f(0.08, 0.28) * k, d.f(0.08, 0.28) * k, d.f(0.08, 0.28) * k
        at, color = (
            (d.f(-0.06, 0.06), d.f(-0.06, 0.06), z),
            d.color("plastic", "print", "fabric", "metal", "wood"),
        )
        style = d.pick("box", "cylinder", "ball", "cone", "cloth")
        if style == "box":
            s.join(Shape().box((w, depth, h), (0, 0, 0), color), at, yaw=d.f(0, 1.5))
        elif style == "cylinder":
            s.cylinder(w / 2, h, at, color)
        elif style == "ball":
            s.ball((w / 2, depth / 2, h / 2), (at[0], at[1], z + h / 2), color, sides=6)
        elif style == "cone":
            s.prism(outline(w, depth), h, at, color, top=0.3)
        else:
            s.join(Shape().sheet(heap(d, w + 0.1, depth + 0.1, h * 0.6, cells=4), color), at)
            h *= 0.3
        z += h * d.f(0.3, 0.9)
    return s


def clutter(d: Draw) -> Shape:
    """A heap of things and cloth that nobody took apart."""
    s = Shape()
    for _ in range(d.n(3, 6)):
        s.join(object_(d), (d.f(-0.25, 0.25), d.f(-0.2, 0.2), 0), yaw=d.f(0, 6))
    return s.sheet(heap(d, 0.8, 0.6, d.f(0.1, 0.25)), d.color("fabric"))


def ball(d: Draw) -> Shape:
    """A sphere, a hand's or an arm's breadth wide."""
    r = d.f(0.1, 0.13) if d.chance(0.6) else d.f(0.25, 0.34)
    return Shape().ball((r, r, r), (0, 0, r), d.color("print", "plastic"), sides=12, rings=8)


RECIPES = (
    row("ball", ball, "floor shelf", "gym 6, storage 2, lounge, bedroom, office", group=2, turns=True),
    row("book", book, "shelf desk table top tank floor", "office 7, lounge 4, bedroom 3, classroom 4, "
        "apartment 3, copyroom", group=4, turns=True),
    row("paper", paper, "desk table counter top floor", "office 6, copyroom 4, classroom 3, conference 3",
        group=2, turns=True),
    row("tissue box", tissue_box, "table desk top tank counter shelf",
        "office 3, bedroom 3, bathroom 3, lounge 2, conference 2", turns=True),
    row("cd case", cd_case, "shelf desk top table", "bedroom 4, office 2, lounge 3", turns=True),
    row("candle", candle, "table top sill shelf tub_rim counter",
        "lounge 4, bedroom 3, bathroom 2, kitchen 2, apartment 2", turns=True),
    row("plant", plant, "floor sill table top desk shelf corner", "lounge 5, office 4, hallway 3, "
        "apartment 3, kitchen, bedroom", turns=True),
    row("potted plant", potted_plant, "corner floor",
        "lounge 4, hallway 3, office 2, conference 2, apartment", turns=True),
    row("ladder", ladder, "wall floor", "storage 7, laundry, copyroom, hallway"),
    row("bicycle", bicycle, "wall", "storage 4, hallway 3, apartment 3, bedroom, gym 2", group=2),
    row("broom", broom, "wall", "storage 4, laundry 3, kitchen 3, hallway"),
    row("dustpan", dustpan, "floor", "storage 4, laundry 2, kitchen 3, bathroom", turns=True),
    row("dumbbell", dumbbell, "floor", "gym 9, bedroom", group=6, turns=True),
    row("tube", tube, "floor", "storage 3, office 2, copyroom 2, bathroom, bedroom", group=3, turns=True),
    row("object", object_, "desk shelf top table counter floor under bed_foot", "office 3, bedroom 3, "
        "lounge 2, kitchen 3, storage 4, apartment 3, bathroom 2, copyroom 3, classroom 2", group=4,
        turns=True, elsewhere=1, textures="plain speckle checker"),
)  # fmt: skip

#: Unannotated heaps; not a class.
CLUTTER = row("clutter", clutter, "floor top shelf", "", turns=True, textures="plain speckle checker")
