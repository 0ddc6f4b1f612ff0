"""What hangs and lies about in bathrooms: dispensers, holders, towels, stalls."""

from __future__ import annotations

import math

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    bent,
    rings,
    tub,
    wavy,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def bathroom_stall(d: Draw) -> Shape:
    """Two partitions that float over the floor and a front with a gap for the door."""
    w, depth, h, z = d.f(0.95, 1.1), d.f(1.3, 1.5), d.f(1.5, 1.75), 0.28
    color, metal, t = d.color("paint", "metal", "plastic"), d.color("metal"), 0.035
    s = Shape()
    for sx in (-1, 1):
        s.box((t, depth, h), (sx * (w / 2), 0, z), color)
        s.box((0.18, t, h + z + 0.1), (sx * (w / 2 - 0.09), depth / 2, 0), color)
    s.box((w + 0.1, 0.05, 0.05), (0, depth / 2, h + z + 0.06), metal)
    s.slot("stall_in", (0, -depth / 2 + 0.36, 0))
    s.slot("stall_front", (0, depth / 2 - 0.02, z - 0.05))
    s.slot("stall_side", (-w / 2 + t / 2, 0.15, 0.75), yaw=-math.pi / 2)
    s.slot("stall_back", (0, -depth / 2, 1.1))
    return s


def stall_door(d: Draw) -> Shape:
    """A leaf that ends at the knees and at the eyes, with a latch, ajar or shut."""
    w, h, color = d.f(0.58, 0.68), d.f(1.45, 1.6), d.color("paint", "metal", "plastic")
    leaf = Shape().box((w, 0.03, h), (w / 2, 0.015, 0), color)
    leaf.box((0.07, 0.06, 0.1), (w - 0.06, 0.04, h * 0.5), d.color("metal"))
    return Shape().join(leaf, (-w / 2, 0, 0), yaw=0.0 if d.chance(0.5) else d.f(0.3, 1.0))


def toilet_paper(d: Draw) -> Shape:
    """One roll or a short stack, wide holes in the ends."""
    r, h, white = d.f(0.055, 0.07), 0.11, d.color("paper", "ceramic")
    s, core = Shape(), d.color("cardboard")
    for i in range(d.n(1, 3)):
        s.cylinder(r, h, (0, 0, i * h), shade(white, 1 - 0.04 * i), sides=10).cylinder(
            0.025, 0.004, (0, 0, (i + 1) * h), core
        )
    return s


def paper_holder(d: Draw) -> Shape:
    """Two brackets and a bar with a roll across it."""
    metal = d.color("metal", "ceramic")
    s = Shape()
    for sx in (-1, 1):
        s.box((0.03, 0.1, 0.06), (sx * 0.1, 0.05, 0.05), metal)
    s.rod((-0.1, 0.08, 0.08), (0.1, 0.08, 0.08), 0.02, metal)
    return s.rod((-0.06, 0.08, 0.08), (0.06, 0.08, 0.08), 0.06, d.color("paper"), sides=8)


def paper_dispenser(d: Draw) -> Shape:
    """A big flat drum for jumbo rolls with a mouth below."""
    r, color = d.f(0.13, 0.17), d.color("plastic", "metal")
    s = Shape().rod((0, 0, r), (0, 0.12, r), r, color, sides=12, top=0.94)
    s.box((r, 0.1, 0.05), (0, 0.06, -0.03), shade(color, 0.8))
    return s.box((0.1, 0.02, 0.12), (0, 0.06, -0.13), d.color("paper"))


def seat_cover_dispenser(d: Draw) -> Shape:
    """A flat wide box, open in a half-moon below."""
    w, h, color = d.f(0.38, 0.44), d.f(0.26, 0.32), d.color("metal", "plastic")
    s = (
        Shape()
        .box((w, 0.06, h), (0, 0.03, 0), color)
        .box((w * 0.7, 0.04, 0.06), (0, 0.05, -0.03), d.color("paper"))
    )
    return s.box((w + 0.02, 0.07, 0.03), (0, 0.035, h), shade(color, 0.8))


def towel_dispenser(d: Draw) -> Shape:
    """A tall bowed case with a paper tongue hanging out; some go on down into a waste slot."""
    w, h, color = d.f(0.28, 0.36), d.f(0.36, 0.48), d.color("plastic", "metal")
    s = Shape().loft(rings([(w, 0.2, 0), (w, 0.26, h * 0.3), (w, 0.14, h)]), (0, 0.13, 0), color)
    return s.box((w * 0.6, 0.015, 0.16), (0, 0.12, -0.15), d.color("paper"))


def soap_dispenser(d: Draw) -> Shape:
    """Hand-high, narrow, with a push bar that juts out at the bottom."""
    h, color = d.f(0.2, 0.26), d.color("plastic", "metal")
    s = (
        Shape()
        .box((0.12, 0.1, h), (0, 0.05, 0.04), color)
        .box((0.1, 0.05, 0.06), (0, 0.12, 0.02), shade(color, 0.6))
    )
    return s.box((0.06, 0.03, 0.08), (0, 0.11, h * 0.55), d.color("glass"))


def soap_dish(d: Draw) -> Shape:
    """A shallow shell on the wall with a bar of soap."""
    color = d.color("ceramic", "metal")
    s = tub(Shape(), (0.18, 0.12, 0.04), (0, 0.06, 0), color, base=0.7, wall=0.015, floor=0.01)
    s.box((0.2, 0.015, 0.12), (0, 0.007, 0), color)
    return s.ball((0.05, 0.035, 0.02), (0, 0.07, 0.03), d.color("print", "paper"), sides=6, rings=4)


def handicap_bar(d: Draw) -> Shape:
    """A stout bent rail: along the wall, then straight up, with round plates at its ends."""
    w, h, metal, r = d.f(0.6, 0.9), d.f(0.4, 0.7), d.color("metal", "ceramic"), 0.024
    points = [(-w / 2, 0, 0), (-w / 2, 0.08, 0), (w / 2, 0.08, 0), (w / 2, 0.08, h), (w / 2, 0, h)]
    s = bent(Shape(), points, r, metal, sides=6)
    for p in (points[0], points[-1]):
        s.rod(p, (p[0], 0.015, p[2]), 0.05, metal, sides=8)
    return s


def plunger(d: Draw) -> Shape:
    """A stick in a rubber bell."""
    h = d.f(0.4, 0.52)
    s = Shape().lathe(
        [(0.07, 0), (0.075, 0.03), (0.05, 0.08), (0.02, 0.1)], (0, 0, 0), d.color("plastic", "wood")
    )
    return s.cylinder(0.016, h, (0, 0, 0.1), d.color("wood", "plastic"), sides=6)


def hair_dryer(d: Draw) -> Shape:
    """A barrel with a nozzle and a grip, lying on its side."""
    color = d.color("plastic")
    s = Shape().rod((-0.1, 0, 0.05), (0.08, 0, 0.05), 0.05, color, sides=8, top=0.85)
    s.rod((0.08, 0, 0.05), (0.15, 0, 0.05), 0.04, d.color("plastic"), sides=8, top=0.8)
    return s.rod((-0.03, 0.03, 0.04), (-0.06, 0.17, 0.03), 0.026, color)


def scale(d: Draw) -> Shape:
    """A low square platform with a small display, on the floor."""
    w, color = d.f(0.28, 0.34), d.color("glass", "plastic", "metal")
    s = (
        Shape()
        .box((w, w, 0.035), (0, 0, 0), color)
        .box((w * 0.9, w * 0.6, 0.012), (0, 0.03, 0.035), shade(color, 0.8))
    )
    return s.box((0.1, 0.06, 0.02), (0, -w * 0.38, 0.035), d.color("screen"))


def towel(d: Draw) -> Shape:
    """A flat cloth folded over a bar: a longer half in front, a shorter one behind."""
    w, h = d.f(0.35, 0.6), d.f(0.5, 0.85)
    color = d.color("fabric", "paper")
    s = Shape().rod((-w / 2 - 0.06, 0.06, h), (w / 2 + 0.06, 0.06, h), 0.015, d.color("metal"))
    grid = wavy(w, h, waves=1.5, depth=0.02)
    s.sheet(grid, color, 0.015, at=(0, 0.085, 0.02))
    s.sheet(grid * (1, 1, 0.6), shade(color, 0.85), 0.01, at=(0, 0.02, h * 0.4))
    return s.box((w, 0.09, 0.02), (0, 0.06, h + 0.01), color)


def mat(d: Draw) -> Shape:
    """A thin rectangle on the floor with a thicker border."""
    w, depth, color = d.f(0.6, 1.0), d.f(0.42, 0.6), d.color("fabric", "plastic", "carpet")
    s = Shape().box((w, depth, 0.015), (0, 0, 0), color)
    for sx in (-1, 1):
        s.box((0.05, depth, 0.012), (sx * (w / 2 - 0.025), 0, 0.015), shade(color, 0.6))
    return s


RECIPES = (
    row("bathroom stall", bathroom_stall, "wall", "bathroom 9", group=2),
    row("bathroom stall door", stall_door, "stall_front hang", "bathroom 9", z=(0.2, 0.3), group=2),
    row("toilet paper", toilet_paper, "tank counter shelf top floor", "bathroom 9, storage", group=2,
        turns=True),
    row("toilet paper holder", paper_holder, "stall_side hang", "bathroom 9", z=(0.6, 0.8)),
    row("toilet paper dispenser", paper_dispenser, "stall_side hang", "bathroom 9", z=(0.6, 0.85)),
    row("toilet seat cover dispenser", seat_cover_dispenser, "stall_back hang", "bathroom 9",
        z=(1.0, 1.25)),
    row("paper towel dispenser", towel_dispenser, "hang", "bathroom 9, kitchen, laundry, classroom 0.5",
        z=(1.15, 1.4)),
    row("soap dispenser", soap_dispenser, "hang", "bathroom 9, kitchen 2, laundry", z=(1.0, 1.25), group=2),
    row("soap dish", soap_dish, "shower_niche hang", "bathroom 9, kitchen 0.5", z=(1.0, 1.3)),
    row("handicap bar", handicap_bar, "hang", "bathroom 9", z=(0.7, 0.9), group=2),
    row("plunger", plunger, "beside_toilet floor", "bathroom 9", turns=True),
    row("hair dryer", hair_dryer, "counter top shelf", "bathroom 9, bedroom 2, gym", turns=True),
    row("scale", scale, "floor", "bathroom 7, gym 3, bedroom", turns=True),
    row("towel", towel, "hang", "bathroom 9, kitchen 2, gym, bedroom, laundry", z=(0.7, 1.1), group=3,
        textures="stripes plain"),
    row("mat", mat, "floor", "bathroom 6, hallway 2, kitchen 2, gym 3, laundry",
        textures="stripes plain checker"),
)  # fmt: skip
