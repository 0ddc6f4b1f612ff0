"""Boxes, bins, baskets and tubs."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import arc, bent, handle, legs, outline, rings, tub
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def box(d: Draw) -> Shape:
    """A carton, closed with a tape, or open with its flaps out."""
    w, depth, h = d.f(0.25, 0.55), d.f(0.22, 0.42), d.f(0.16, 0.42)
    color = d.color("cardboard", "print", "plastic")
    if d.chance(0.5):
        s = Shape().box((w, depth, h), (0, 0, 0), color)
        return s.box((w, 0.06, 0.006), (0, 0, h), shade(color, 1.2))
    s = tub(Shape(), (w, depth, h), (0, 0, 0), color, wall=0.01)
    flap = depth * 0.45
    for sy in (-1, 1):
        s.join(
            Shape().box((w, flap, 0.012), (0, flap / 2 * sy, 0), color),
            (0, sy * depth / 2, h),
            pitch=sy * -0.5,
        )
    for sx in (-1, 1):
        s.join(
            Shape().box((flap, depth, 0.012), (sx * flap / 2, 0, 0), color), (sx * w / 2, 0, h), roll=sx * 0.6
        )
    return s


def crate(d: Draw) -> Shape:
    """Slats with gaps between them on four corner posts."""
    w, depth, h = d.f(0.38, 0.55), d.f(0.3, 0.4), d.f(0.26, 0.36)
    wood = d.color("wood", "plastic")
    s = legs(Shape(), w, depth, h, wood, thick=0.04).box((w, depth, 0.02), (0, 0, 0.01), shade(wood, 0.8))
    for k in range(3):
        z = h * (0.08 + 0.33 * k)
        for sy in (-1, 1):
            s.box((w, 0.015, h * 0.2), (0, sy * depth / 2, z), wood)
        for sx in (-1, 1):
            s.box((0.015, depth, h * 0.2), (sx * w / 2, 0, z), wood)
    return s


def storage_bin(d: Draw) -> Shape:
    """A tub that widens upwards under a broad lid with rims."""
    w, depth, h = d.f(0.42, 0.62), d.f(0.32, 0.42), d.f(0.26, 0.4)
    body, lid = d.color("plastic", "glass"), d.color("plastic", "fabric")
    s = tub(Shape(), (w, depth, h), (0, 0, 0), body, base=0.8)
    s.box((w + 0.04, depth + 0.04, 0.04), (0, 0, h), lid)
    return s.box((w - 0.08, depth - 0.08, 0.02), (0, 0, h + 0.04), shade(lid, 0.9))


def storage_container(d: Draw) -> Shape:
    """Two or three flat lidded boxes in a stack, a grip at either end."""
    w, depth = d.f(0.32, 0.45), d.f(0.24, 0.3)
    s, z = Shape(), 0.0
    for _ in range(d.n(2, 3)):
        h, color = d.f(0.1, 0.15), d.color("plastic", "glass")
        s.box((w - 0.03, depth - 0.03, h), (0, 0, z), color).box(
            (w, depth, 0.025), (0, 0, z + h), shade(color, 0.8)
        )
        for sx in (-1, 1):
            s.box((0.04, 0.1, 0.03), (sx * w / 2, 0, z + h * 0.6), shade(color, 0.7))
        z += h + 0.025
    return s


def container(d: Draw) -> Shape:
    """A round jar with a stepped lid and a knob."""
    r, h, color = d.f(0.08, 0.14), d.f(0.16, 0.3), d.color("plastic", "metal", "ceramic")
    s = Shape().cylinder(r, h, (0, 0, 0), color, sides=10)
    s.cylinder(r * 1.08, 0.035, (0, 0, h), shade(color, 0.75), sides=10)
    return s.cylinder(0.03, 0.03, (0, 0, h + 0.035), shade(color, 0.75))


def trash_can(d: Draw) -> Shape:
    """Round, open, narrower below, with a rolled rim and often a bag over it."""
    r, h, color = d.f(0.13, 0.18), d.f(0.3, 0.42), d.color("plastic", "metal")
    low = r * d.f(0.7, 0.85)
    s = Shape().lathe([(low, 0), (r, h), (r - 0.015, h), (low - 0.015, 0.02)], (0, 0, 0), color, sides=10)
    if d.chance(0.5):
        bag = d.color("plastic", "paper")
        s.lathe(
            [(r + 0.008, h * 0.72), (r + 0.02, h), (r - 0.03, h + 0.01), (low, h * 0.3)],
            (0, 0, 0),
            bag,
            sides=10,
        )
    return s


def trash_bin(d: Draw) -> Shape:
    """Tall and square under a sloped hood with a flap."""
    w, depth, h = d.f(0.36, 0.46), d.f(0.32, 0.4), d.f(0.6, 0.8)
    color, hood = d.color("plastic", "metal"), d.color("plastic", "metal")
    s = Shape().prism(outline(w, depth), h, (0, 0, 0), color, top=1.12)
    s.prism(outline(w * 1.16, depth * 1.16), 0.2, (0, 0, h), hood, top=0.45)
    return s.join(
        Shape().box((w * 0.6, 0.02, 0.15), (0, 0, 0), shade(hood, 0.6)),
        (0, depth * 0.47, h + 0.03),
        pitch=0.7,
    )


def recycling_bin(d: Draw) -> Shape:
    """A slim rectangular open tub, higher than long, with a wide rim and grips."""
    w, depth, h = d.f(0.36, 0.5), d.f(0.24, 0.3), d.f(0.4, 0.55)
    color = d.color("plastic", "print")
    s = tub(Shape(), (w, depth, h), (0, 0, 0), color, base=0.72)
    for sx in (-1, 1):
        s.box((0.06, depth + 0.06, 0.03), (sx * w / 2, 0, h - 0.03), color)
    for sy in (-1, 1):
        s.box((w + 0.06, 0.05, 0.03), (0, sy * depth / 2, h - 0.03), color)
    return s


def bin_(d: Draw) -> Shape:
    """Half-round: a flat back, a bowed front, open above."""
    r, h, color = d.f(0.2, 0.27), d.f(0.36, 0.55), d.color("plastic", "metal")
    angle = np.radians(np.linspace(0, 180, 7))
    outer = np.column_stack([np.cos(angle) * r, np.sin(angle) * r])
    levels = []
    for k, z in ((0.85, 0.0), (1.0, h), (0.9, h), (0.75, 0.03)):
        levels.append(np.column_stack([outer * k + (0, 0.04 * (1 - k)), np.full(7, z)]))
    return Shape().loft(np.stack(levels), (0, -r / 2, 0), color)


def bucket(d: Draw) -> Shape:
    """Round, open, tapered, with a wire bail that stands up."""
    r, h, color = d.f(0.13, 0.16), d.f(0.24, 0.32), d.color("plastic", "metal")
    profile = [(r * 0.75, 0), (r, h), (r + 0.02, h), (r + 0.02, h + 0.015), (r - 0.02, h), (r * 0.7, 0.02)]
    s = Shape().lathe(profile, (0, 0, 0), color, sides=10)
    for a, b in ((0, 45), (45, 90), (90, 135), (135, 180)):
        p, q = ((math.cos(math.radians(t)) * r, 0, h + math.sin(math.radians(t)) * r) for t in (a, b))
        s.rod(p, q, 0.012, d.color("metal"), sides=4)
    return s


def laundry_basket(d: Draw) -> Shape:
    """Wide, low and oval, open, with rows of slits."""
    w, depth, h = d.f(0.5, 0.65), d.f(0.38, 0.45), d.f(0.24, 0.32)
    color = d.color("plastic", "wood")
    s = tub(Shape(), (w, depth, h), (0, 0, 0), color, base=0.75, chamfer=0.14)
    for k in (0.25, 0.55, 0.85):
        wide, deep = (0.75 + 0.25 * k) * w + 0.02, (0.75 + 0.25 * k) * depth + 0.02
        s.loft(rings([(wide, deep, h * k), (wide, deep, h * k + 0.03)], 0.14), (0, 0, 0), shade(color, 0.7))
    return s.box((w * 0.7, depth * 0.6, h * 0.5), (0, 0, 0.04), d.color("fabric")) if d.chance(0.6) else s


def laundry_hamper(d: Draw) -> Shape:
    """Hip-high and narrow with a lid, of cloth or wicker, its sides ribbed."""
    w, depth, h = d.f(0.38, 0.48), d.f(0.32, 0.4), d.f(0.55, 0.72)
    color = d.color("fabric", "wood", "plastic")
    s = Shape().box((w, depth, h), (0, 0, 0), color)
    for k in range(4):
        s.box((w + 0.03, depth + 0.03, 0.03), (0, 0, h * (0.1 + 0.25 * k)), shade(color, 0.8))
    s.box((w + 0.05, depth + 0.05, 0.06), (0, 0, h), shade(color, 1.15))
    return handle(s, (0, depth / 2 + 0.02, h * 0.75), 0.15, shade(color, 0.6), upright=False, reach=0.04)


def hoop_basket(d: Draw) -> Shape:
    """Round woven basket, wide at the top, with a handle in an arc above."""
    r, h, color = d.f(0.14, 0.22), d.f(0.14, 0.24), d.color("wood", "cardboard", "fabric")
    profile = [(r * 0.7, 0), (r, h), (r - 0.02, h), (r * 0.7 - 0.02, 0.02)]
    s = Shape().lathe(profile, (0, 0, 0), color, sides=10)
    for z in (0.35, 0.7):
        s.cylinder(r * (0.7 + 0.3 * z) + 0.012, 0.03, (0, 0, z * h), shade(color, 0.8), sides=10)
    return bent(s, arc(r, 0, 180, 7, center=(0, 0, h)), 0.015, color)


RECIPES = (
    row("basket", hoop_basket, "floor shelf top counter",
        "bathroom 2, bedroom 2, lounge 2, kitchen 2, storage", turns=True),
    row("box", box, "floor shelf under top table", "storage 9, office 4, copyroom 5, bedroom 2, "
        "apartment 2, lounge,classroom, kitchen, laundry 2", group=3, turns=True, elsewhere=0.3),
    row("crate", crate, "floor shelf", "storage 5, kitchen 2, copyroom, apartment", turns=True,
        textures="wood"),
    row("storage bin", storage_bin, "floor shelf", "storage 6, bedroom 3, classroom 2, laundry 2", group=2,
        turns=True),
    row("storage container", storage_container, "shelf floor top",
        "storage 4, kitchen 3, office, laundry 2, bathroom"),
    row("container", container, "shelf counter table top",
        "kitchen 5, laundry 2, storage 3, bathroom 2, office", turns=True),
    row("trash can", trash_can, "under floor", "office 6, bathroom 6, conference 3, classroom 3, "
        "bedroom 4, kitchen 4,copyroom 3, lounge 2, hallway 2, apartment 3, laundry 2, gym", turns=True,
        elsewhere=1),
    row("trash bin", trash_bin, "wall floor", "kitchen 3, hallway 3, classroom 2, lounge, gym 2, "
        "copyroom 2", group=1),
    row("recycling bin", recycling_bin, "under floor wall",
        "office 5, copyroom 5, classroom 3, conference 2, kitchen"),
    row("bin", bin_, "wall floor", "storage 2, office 2, bathroom 2, kitchen 2, laundry 2"),
    row("bucket", bucket, "floor", "storage 4, laundry 3, bathroom 2, kitchen", turns=True),
    row("laundry basket", laundry_basket, "floor", "laundry 7, bedroom 4, bathroom 3", turns=True),
    row("laundry hamper", laundry_hamper, "wall floor corner", "bedroom 5, laundry 4, bathroom 4",
        textures="stripes plain"),
)  # fmt: skip
