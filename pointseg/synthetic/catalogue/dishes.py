"""Dishes, bottles and small kitchen appliances."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    arc,
    bent,
    outline,
    pad,
    rings,
    tub,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def toaster(d: Draw) -> Shape:
    """A loaf with two slots in its back and a lever at one end."""
    w, depth, h, color = d.f(0.28, 0.36), d.f(0.17, 0.22), d.f(0.18, 0.22), d.color("metal", "plastic")
    s = pad(Shape(), (w, depth, h), (0, 0, 0), color, round_=0.35, chamfer=0.3)
    for sy in (-1, 1):
        s.box((w * 0.7, 0.03, 0.012), (0, sy * depth * 0.18, h), d.color("screen"))
    return s.box((0.05, 0.04, 0.03), (w / 2 + 0.02, 0, h * 0.6), d.color("plastic"))


def toaster_oven(d: Draw) -> Shape:
    """A glass door across the whole front on four feet, a column of knobs beside it."""
    w, depth, h = d.f(0.42, 0.5), d.f(0.3, 0.36), d.f(0.24, 0.28)
    body = d.color("metal", "plastic")
    s = Shape().box((w, depth, h - 0.04), (0, 0, 0.04), body)
    for sx in (-1, 1):
        for sy in (-1, 1):
            s.box((0.04, 0.04, 0.04), (sx * w * 0.42, sy * depth * 0.4, 0), shade(body, 0.5))
    s.join(
        Shape().box((w * 0.7, 0.02, h * 0.62), (0, 0, 0), d.color("screen", "glass")),
        (-w * 0.12, depth / 2, 0.08),
        pitch=-0.25,
    )
    for k in (0.3, 0.55, 0.8):
        s.rod((w * 0.37, depth / 2, k * h), (w * 0.37, depth / 2 + 0.04, k * h), 0.03, shade(body, 0.6))
    return s


def coffee_maker(d: Draw) -> Shape:
    """A C: a foot, a column, a head that hangs over a jug."""
    w, h, body = d.f(0.2, 0.26), d.f(0.34, 0.42), d.color("plastic", "metal")
    s = Shape().box((w, 0.32, 0.05), (0, 0, 0), body).box((w, 0.12, h - 0.15), (0, -0.1, 0.05), body)
    s.box((w, 0.3, 0.12), (0, -0.01, h - 0.12), shade(body, 1.1))
    jug = [(0.07, 0), (0.08, 0.08), (0.05, 0.15), (0.055, 0.16)]
    return s.lathe(jug, (0, 0.06, 0.05), d.color("glass", "screen"))


def coffee_kettle(d: Draw) -> Shape:
    """A squat belly with a spout on one side and a loop handle over the lid."""
    r, color = d.f(0.09, 0.12), d.color("metal", "ceramic", "plastic")
    s = Shape().lathe(
        [(r * 0.9, 0), (r, 0.06), (r * 0.75, 0.14), (r * 0.4, 0.17)], (0, 0, 0), color, sides=10
    )
    s.ball((0.025, 0.025, 0.025), (0, 0, 0.19), color, sides=5, rings=4)
    s.rod((r * 0.8, 0, 0.06), (r * 1.7, 0, 0.17), 0.025, color, top=0.6)
    return bent(s, arc(r * 0.9, 0, 180, 6, center=(0, 0, 0.14)), 0.014, d.color("plastic"))


def water_pitcher(d: Draw) -> Shape:
    """Tall, flaring to a lip, with a big D handle on one side."""
    r, h, color = d.f(0.07, 0.09), d.f(0.24, 0.3), d.color("glass", "plastic", "ceramic")
    s = Shape().lathe([(r, 0), (r * 0.95, h * 0.7), (r * 1.25, h), (r, h), (r * 0.8, 0.03)], (0, 0, 0), color)
    points = [(-r, 0, h * 0.85), (-r - 0.08, 0, h * 0.8), (-r - 0.08, 0, h * 0.3), (-r, 0, h * 0.25)]
    return bent(s, points, 0.016, color)


def cup(d: Draw) -> Shape:
    """A small open cylinder with an ear, or a taper without one; some come in stacks."""
    r, h, color = d.f(0.04, 0.05), d.f(0.1, 0.13), d.color("ceramic", "paper", "print", "plastic")
    s = Shape().lathe([(r * 0.8, 0), (r, h), (r * 0.85, h), (r * 0.65, 0.015)], (0, 0, 0), color)
    if d.chance(0.6):
        bent(
            s,
            [(r, 0, h * 0.8), (r + 0.035, 0, h * 0.7), (r + 0.035, 0, h * 0.35), (r, 0, h * 0.25)],
            0.01,
            color,
        )
    return s


def bowl(d: Draw) -> Shape:
    """An open half-sphere on a narrow foot."""
    r, color = d.f(0.1, 0.15), d.color("ceramic", "wood", "metal", "plastic")
    profile = [
        (r * 0.4, 0),
        (r * 0.75, r * 0.25),
        (r, r * 0.7),
        (r * 0.93, r * 0.7),
        (r * 0.66, r * 0.3),
        (r * 0.3, 0.02),
    ]
    return Shape().lathe(profile, (0, 0, 0), color, sides=12)


def plate(d: Draw) -> Shape:
    """A flat disc with a raised edge."""
    r, color = d.f(0.12, 0.16), d.color("ceramic", "print", "paper")
    profile = [(r * 0.6, 0), (r, 0.03), (r * 0.97, 0.035), (r * 0.62, 0.012)]
    return Shape().lathe(profile, (0, 0, 0), color, sides=12)


def tray(d: Draw) -> Shape:
    """A flat rectangle with a low rim and a grip at either end."""
    w, depth, color = d.f(0.4, 0.55), d.f(0.28, 0.36), d.color("plastic", "wood", "metal")
    s = tub(Shape(), (w, depth, 0.045), (0, 0, 0), color, base=0.92, wall=0.02, floor=0.012)
    for sx in (-1, 1):
        s.box((0.04, 0.12, 0.03), (sx * (w / 2 + 0.01), 0, 0.045), color)
    return s


def dish_rack(d: Draw) -> Shape:
    """A wire frame on a drip tray with a row of plates on edge."""
    w, depth, metal = d.f(0.4, 0.52), d.f(0.3, 0.36), d.color("metal", "plastic")
    s = tub(Shape(), (w, depth, 0.03), (0, 0, 0), d.color("plastic"), floor=0.012)
    for z in (0.07, 0.14):
        for sy in (-1, 1):
            s.rod((-w / 2, sy * depth / 2, z), (w / 2, sy * depth / 2, z), 0.01, metal, sides=4)
        for sx in (-1, 1):
            s.rod((sx * w / 2, -depth / 2, z), (sx * w / 2, depth / 2, z), 0.01, metal, sides=4)
    for x in np.linspace(-0.4, 0.3, d.n(4, 6)) * w:
        disc = Shape().cylinder(0.11, 0.014, (0, 0, 0), d.color("ceramic", "print"))
        s.join(disc, (x, 0, 0.13), roll=math.pi / 2 - 0.2)
    return s


def bottle(d: Draw) -> Shape:
    """A body, shoulders and a thin neck."""
    r, h, color = d.f(0.035, 0.05), d.f(0.24, 0.32), d.color("glass", "plastic", "print")
    return Shape().lathe([(r, 0), (r, h * 0.6), (r * 0.4, h * 0.78), (r * 0.35, h)], (0, 0, 0), color)


def water_bottle(d: Draw) -> Shape:
    """A straight thick flask with a step and a wide cap with a loop."""
    r, h, color = d.f(0.042, 0.055), d.f(0.2, 0.26), d.color("plastic", "metal", "print")
    s = Shape().lathe([(r, 0), (r, h), (r * 0.75, h + 0.01)], (0, 0, 0), color)
    s.cylinder(r * 0.8, 0.05, (0, 0, h + 0.01), d.color("plastic"))
    return bent(s, arc(0.03, 0, 180, 4, center=(0, 0, h + 0.05)), 0.008, d.color("plastic"))


def case_of_bottles(d: Draw) -> Shape:
    """A block of bottles side by side, their caps in a grid on top."""
    nx, ny, r, h = d.n(4, 6), d.n(3, 4), 0.038, 0.2
    body, cap = d.color("glass", "paper"), d.color("plastic", "print")
    s = Shape().box((nx * 2 * r, ny * 2 * r, h * 0.72), (0, 0, 0), body)
    for i in range(nx):
        for j in range(ny):
            at = ((2 * i + 1 - nx) * r, (2 * j + 1 - ny) * r, h * 0.72)
            s.prism(outline(0.065, 0.065), 0.06, at, cap, top=0.35)
    return s


def paper_towel_roll(d: Draw) -> Shape:
    """A thick roll upright on a foot plate, its pin showing."""
    r, h = d.f(0.055, 0.075), d.f(0.24, 0.28)
    s = Shape().cylinder(r * 1.25, 0.02, (0, 0, 0), d.color("metal", "wood"))
    s.cylinder(r, h, (0, 0, 0.02), d.color("paper", "ceramic"), sides=10)
    return s.cylinder(0.015, 0.05, (0, 0, h + 0.02), d.color("metal", "wood"))


def laundry_detergent(d: Draw) -> Shape:
    """A flat jug with a slanted shoulder, a grip hole in it and a cap at the front."""
    w, depth, h = d.f(0.18, 0.24), d.f(0.1, 0.13), d.f(0.22, 0.28)
    color, cap = d.color("plastic", "print"), d.color("plastic", "print")
    body = rings([(w, depth, 0), (w, depth, h * 0.6), (w * 0.5, depth * 0.6, h)])
    body[2, :, 0] -= w * 0.2
    s = Shape().loft(body, (0, 0, 0), color).cylinder(0.035, 0.06, (-w * 0.2, 0, h), cap)
    return bent(s, [(w * 0.0, 0, h), (w * 0.45, 0, h * 0.9), (w * 0.48, 0, h * 0.55)], 0.016, color)


RECIPES = (
    row("toaster", toaster, "counter table top", "kitchen 9, apartment 4"),
    row("toaster oven", toaster_oven, "counter table top", "kitchen 9, apartment 4, lounge 0.3"),
    row("coffee maker", coffee_maker, "counter table top desk", "kitchen 9, apartment 4, copyroom 3, "
        "bedroom 2, office, lounge"),
    row("coffee kettle", coffee_kettle, "hob counter table top",
        "kitchen 9, apartment 4, lounge, office 0.5", turns=True),
    row("water pitcher", water_pitcher, "counter table", "kitchen 7, apartment 3, conference 2, lounge",
        turns=True),
    row("cup", cup, "desk table counter top shelf", "kitchen 5, office 5, conference 3, apartment 3, "
        "lounge 2, copyroom 2, bedroom", group=3, turns=True),
    row("bowl", bowl, "counter table top shelf", "kitchen 7, apartment 4, lounge", turns=True),
    row("plate", plate, "table counter", "kitchen 8, apartment 4, lounge", group=2, turns=True),
    row("tray", tray, "table counter desk top", "kitchen 5, office 2, lounge 2, bedroom, copyroom 2, "
        "conference", turns=True),
    row("dish rack", dish_rack, "counter table", "kitchen 9, apartment 4"),
    row("bottle", bottle, "counter table desk shelf top sill", "kitchen 6, bathroom 3, apartment 3, "
        "office 2, lounge, storage 2, laundry 2", group=3, turns=True),
    row("water bottle", water_bottle, "desk table shelf counter",
        "office 5, conference 3, classroom 3, gym 3, kitchen", turns=True),
    row("case of water bottles", case_of_bottles, "floor under",
        "storage 4, kitchen 4, office 2, gym 2, copyroom, lounge"),
    row("paper towel roll", paper_towel_roll, "counter table shelf top",
        "kitchen 8, copyroom 2, laundry 2, bathroom, apartment 3"),
    row("laundry detergent", laundry_detergent, "top shelf counter",
        "laundry 9, bathroom, storage 2, apartment", turns=True),
)  # fmt: skip
