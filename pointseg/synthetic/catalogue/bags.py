"""Bags, luggage and what is carried in them."""

from __future__ import annotations

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    arc,
    bent,
    pad,
    rings,
    tub,
    wheels,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def bag(d: Draw) -> Shape:
    """A slumped sack with two loop handles side by side."""
    w, depth, h, color = (
        d.f(0.32, 0.5),
        d.f(0.18, 0.28),
        d.f(0.25, 0.38),
        d.color("fabric", "plastic", "paper"),
    )
    s = Shape().loft(
        rings([(w * 0.8, depth, 0), (w, depth, h * 0.45), (w * 0.85, depth * 0.35, h)], 0.08),
        (0, 0, 0),
        color,
    )
    for sy in (-1, 1):
        bent(s, arc(w * 0.25, 0, 180, 6, center=(0, sy * depth * 0.14, h * 0.97)), 0.014, shade(color, 0.7))
    return s


def backpack(d: Draw) -> Shape:
    """An upright rounded pack with a front pocket, a top loop and two straps behind."""
    w, h, color = d.f(0.3, 0.38), d.f(0.42, 0.52), d.color("fabric", "plastic")
    s = Shape().loft(rings([(w, 0.2, 0), (w, 0.22, h * 0.6), (w * 0.7, 0.12, h)], 0.07), (0, 0, 0), color)
    pad(s, (w * 0.8, 0.1, h * 0.45), (0, 0.14, 0.03), shade(color, d.f(0.6, 1.4)), round_=0.15)
    for sx in (-1, 1):
        bent(
            s,
            [(sx * w * 0.25, -0.05, h * 0.9), (sx * w * 0.3, -0.16, h * 0.6), (sx * w * 0.35, -0.1, h * 0.1)],
            0.022,
            color,
        )
    return bent(s, arc(0.06, 0, 180, 4, center=(0, -0.03, h)), 0.012, color)


def purse(d: Draw) -> Shape:
    """A small stiff trapezoid with a flap and one high thin strap."""
    w, h, color = d.f(0.22, 0.3), d.f(0.16, 0.22), d.color("fabric", "plastic", "wood")
    s = Shape().loft(rings([(w, 0.1, 0), (w * 0.8, 0.08, h)]), (0, 0, 0), color)
    s.box((w * 0.8, 0.03, h * 0.5), (0, 0.055, h * 0.5), shade(color, 0.75)).box(
        (0.03, 0.02, 0.03), (0, 0.075, h * 0.52), d.color("metal")
    )
    strap = [(-w * 0.38, 0, h), (-w * 0.25, 0, h + 0.16), (w * 0.25, 0, h + 0.16), (w * 0.38, 0, h)]
    return bent(s, strap, 0.012, color)


def paper_bag(d: Draw) -> Shape:
    """Stiff, upright, taller than wide, open with a jagged rim and twisted handles."""
    w, depth, h = d.f(0.24, 0.34), d.f(0.12, 0.18), d.f(0.3, 0.44)
    color = d.color("cardboard", "paper", "print")
    s = tub(Shape(), (w, depth, h), (0, 0, 0), color, wall=0.008)
    for sy in (-1, 1):
        points = [
            (-0.06, sy * depth / 2, h),
            (-0.05, sy * depth / 2, h + 0.1),
            (0.05, sy * depth / 2, h + 0.1),
            (0.06, sy * depth / 2, h),
        ]
        bent(s, points, 0.009, shade(color, 0.8))
    return s.box((w * 0.5, 0.01, h * 0.3), (0, depth / 2 + 0.004, h * 0.35), d.color("print"))


def suitcase(d: Draw) -> Shape:
    """A hard upright shell on wheels with ribs across and a pulled-out handle."""
    w, depth, h, color = (
        d.f(0.36, 0.48),
        d.f(0.22, 0.28),
        d.f(0.5, 0.7),
        d.color("plastic", "fabric", "print"),
    )
    s = wheels(Shape(), w, depth, d.color("plastic"))
    pad(s, (w, depth, h), (0, 0, 0.06), color, round_=0.08)
    for k in (-0.3, 0.0, 0.3):
        s.box((0.05, 0.02, h * 0.8), (k * w, depth / 2, 0.06 + h * 0.1), shade(color, 0.8))
    if d.chance(0.7):
        top = h + d.f(0.15, 0.4)
        points = [
            (-0.1, -depth * 0.3, h),
            (-0.1, -depth * 0.3, top),
            (0.1, -depth * 0.3, top),
            (0.1, -depth * 0.3, h),
        ]
        bent(s, points, 0.014, d.color("metal"))
    return s


def luggage(d: Draw) -> Shape:
    """A long soft duffel, round in section, with two straps over it."""
    w, r, color = d.f(0.55, 0.75), d.f(0.14, 0.18), d.color("fabric", "plastic")
    s = Shape().rod((-w / 2, 0, r), (w / 2, 0, r), r, color, sides=8)
    for k in (-0.22, 0.22):
        s.rod((k * w - 0.03, 0, r), (k * w + 0.03, 0, r), r + 0.015, shade(color, 0.65), sides=8)
    return bent(s, arc(0.13, 0, 180, 6, center=(0, 0, 2 * r)), 0.016, shade(color, 0.65))


RECIPES = (
    row("bag", bag, "floor table couch place", "bedroom 4, office 3, lounge 3, apartment 3, hallway, "
        "storage 2, kitchen 2", turns=True),
    row("backpack", backpack, "floor under place couch", "office 5, bedroom 4, classroom 4, lounge 2, "
        "conference 2, apartment 2", group=2, turns=True),
    row("purse", purse, "table bed_foot couch desk top", "bedroom 3, office 2, lounge 2, hallway",
        turns=True),
    row("paper bag", paper_bag, "floor counter table",
        "kitchen 4, bedroom 2, storage 2, apartment 2, copyroom", turns=True),
    row("suitcase", suitcase, "wall floor", "bedroom 7, storage 3, apartment 2, hallway", group=2),
    row("luggage", luggage, "floor wall", "bedroom 6, storage 3, apartment, gym", turns=True),
)  # fmt: skip
