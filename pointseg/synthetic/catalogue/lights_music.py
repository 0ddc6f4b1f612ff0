"""Lamps, lights and instruments."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import (
    arc,
    bent,
    pad,
    rings,
)
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def speaker(d: Draw) -> Shape:
    """An upright box with a big and a small cone in front."""
    k = d.f(0.9, 2.0)
    w, depth, h, color = 0.2 * k, 0.2 * k, 0.36 * k, d.color("wood", "plastic")
    s = Shape().box((w, depth, h), (0, 0, 0), color)
    for z, r in ((0.3, 0.4), (0.74, 0.24)):
        s.rod(
            (0, depth / 2, h * z), (0, depth / 2 + 0.035, h * z), r * w, d.color("screen"), sides=10, top=0.8
        )
    return s


def headphones(d: Draw) -> Shape:
    """Two cups joined by a bow, lying or hanging."""
    color = d.color("plastic")
    s = bent(Shape(), arc(0.1, 0, 180, 7, center=(0, 0, 0.09)), 0.016, color)
    for sx in (-1, 1):
        s.rod((sx * 0.085, 0, 0.06), (sx * 0.13, 0, 0.06), 0.055, shade(color, 0.8), sides=8)
    return s.tilted(pitch=-1.2) if d.chance(0.6) else s


def fan(d: Draw) -> Shape:
    """A round flat cage on a stalk with a foot, table- or man-high."""
    tall, r, color = d.chance(0.6), d.f(0.18, 0.24), d.color("plastic", "metal")
    h = d.f(0.75, 1.1) if tall else 0.25
    s = (
        Shape()
        .cylinder(0.22 if tall else 0.14, 0.03, (0, 0, 0), color)
        .cylinder(0.025, h, (0, 0, 0.03), color)
    )
    z = h + r * 0.9
    s.rod((0, -0.05, z), (0, 0.08, z), r, d.color("metal", "plastic"), sides=12, top=0.9)
    s.rod((0, 0.08, z), (0, 0.1, z), r * 0.3, shade(color, 0.7), sides=8)
    return s.rod((0, -0.18, z), (0, -0.05, z), 0.06, color, sides=8)


def lamp(d: Draw) -> Shape:
    """A conical shade on a stem: on a table or, longer, on the floor."""
    r, shade_, metal = (
        d.f(0.13, 0.22),
        d.color("paper", "fabric", "ceramic"),
        d.color("metal", "wood", "ceramic"),
    )
    h = d.f(0.28, 0.42)
    s = Shape().lathe([(0.09, 0), (0.08, 0.03), (0.03, 0.05), (0.06, h * 0.4), (0.02, h)], (0, 0, 0), metal)
    return s.cylinder(r, r * 1.3, (0, 0, h), shade_, top=0.6, sides=10)


def floor_lamp(d: Draw) -> Shape:
    """The same on a long pole."""
    r, h, metal = d.f(0.17, 0.25), d.f(1.2, 1.5), d.color("metal", "wood")
    s = Shape().cylinder(0.16, 0.03, (0, 0, 0), metal, sides=10).cylinder(0.02, h, (0, 0, 0.03), metal)
    return s.cylinder(r, r * 1.1, (0, 0, h), d.color("paper", "fabric", "ceramic"), top=0.65, sides=10)


def light(d: Draw) -> Shape:
    """A globe or a dish that hangs from the ceiling on a cable."""
    drop, r, color = d.f(0.3, 0.7), d.f(0.13, 0.22), d.color("glass", "paper", "metal")
    s = (
        Shape()
        .cylinder(0.015, drop, (0, 0, r), d.color("metal"))
        .cylinder(0.06, 0.03, (0, 0, r + drop - 0.03), color)
    )
    if d.chance(0.5):
        return s.ball((r, r, r), (0, 0, 0), color, sides=10, rings=6)
    return s.lathe([(r * 1.3, -r * 0.5), (r * 0.3, r * 0.5)], (0, 0, 0.4 * r), color, sides=10)


def ceiling_light(d: Draw) -> Shape:
    """A flat panel or drum right under the ceiling."""
    frame_, lens = d.color("metal", "ceramic"), d.color("glass", "paper")
    if d.chance(0.6):
        w, depth = d.f(0.9, 1.3), d.f(0.25, 0.6)
        s = Shape().box((w, depth, 0.06), (0, 0, 0.04), frame_)
        return s.loft(rings([(w * 0.8, depth * 0.7, 0), (w * 0.92, depth * 0.9, 0.04)]), (0, 0, 0), lens)
    r = d.f(0.18, 0.26)
    return Shape().lathe([(r * 0.7, 0), (r, 0.05), (r, 0.11)], (0, 0, 0), lens, sides=12)


def piano(d: Draw) -> Shape:
    """An upright: a tall thin case, a keyboard shelf on consoles, pedals at the foot."""
    w, h, wood = d.f(1.38, 1.52), d.f(1.05, 1.28), d.color("wood", "plastic")
    s = Shape().box((w, 0.36, h), (0, -0.14, 0), wood).box((w, 0.3, 0.1), (0, 0.17, 0.62), wood)
    s.box((w - 0.16, 0.16, 0.02), (0, 0.22, 0.72), d.color("ceramic", "paper"))
    for k in range(9):
        s.box((0.05, 0.09, 0.015), ((k - 4) * (w - 0.3) / 9, 0.19, 0.74), d.color("screen"))
    for sx in (-1, 1):
        s.box((0.08, 0.3, 0.62), (sx * (w / 2 - 0.04), 0.17, 0), wood).box(
            (0.08, 0.3, 0.16), (sx * (w / 2 - 0.04), 0.17, 0.7), wood
        )
    return s.join(Shape().box((w * 0.5, 0.02, 0.24), (0, 0, 0), shade(wood, 1.2)), (0, 0.07, 0.8), pitch=0.2)


def keyboard_piano(d: Draw) -> Shape:
    """A long slim case with keys on a folding X stand."""
    w, body, metal = d.f(1.1, 1.35), d.color("plastic", "metal"), d.color("metal")
    s = (
        Shape()
        .box((w, 0.32, 0.1), (0, 0, 0.72), body)
        .box((w - 0.1, 0.15, 0.02), (0, 0.07, 0.82), d.color("ceramic", "paper"))
    )
    for y in (-0.12, 0.12):
        for a in (-1, 1):
            s.rod((a * 0.4, y, 0.02), (-a * 0.36, y, 0.72), 0.02, metal)
    for x in (-0.4, 0.4):
        s.rod((x, -0.22, 0.025), (x, 0.22, 0.025), 0.025, metal)
    return s


def guitar(d: Draw) -> Shape:
    """A waisted flat body, a long neck, a head; leans on the wall."""
    wood = d.color("wood", "plastic", "print")
    a = np.linspace(0, 2 * math.pi, 13)[:-1]
    flat = Shape()
    for r, z, k in ((0.19, 0.18, 1.0), (0.14, 0.42, 0.9)):
        lobe = Shape().prism(np.stack([np.cos(a) * r, np.sin(a) * r * k], 1), 0.1, (0, 0, 0), wood)
        flat.join(lobe, (0, 0.05, z), pitch=math.pi / 2)
    flat.box((0.055, 0.03, 0.5), (0, 0.06, 0.5), shade(wood, 0.6)).box(
        (0.09, 0.03, 0.16), (0, 0.06, 1.0), shade(wood, 0.6)
    )
    flat.rod((0, 0.05, 0.27), (0, 0.056, 0.27), 0.05, d.color("screen"), sides=8)
    return Shape().join(flat, pitch=d.f(0.1, 0.22))


def guitar_case(d: Draw) -> Shape:
    """The same outline, thicker and softer, with a grip at its side."""
    color = d.color("fabric", "plastic")
    flat = Shape().join(
        pad(Shape(), (0.44, 0.16, 0.5), (0, 0, 0), color, round_=0.15, chamfer=0.5), (0, 0.08, 0)
    )
    pad(flat, (0.34, 0.16, 0.3), (0, 0.08, 0.42), color, round_=0.2)
    flat.loft(rings([(0.22, 0.14, 0), (0.16, 0.12, 0.45)]), (0, 0.08, 0.65), color)
    bent(
        flat,
        [(0.21, 0.08, 0.35), (0.28, 0.08, 0.4), (0.28, 0.08, 0.52), (0.18, 0.08, 0.58)],
        0.018,
        shade(color, 0.6),
    )
    return Shape().join(flat, pitch=d.f(0.08, 0.18))


def music_stand(d: Draw) -> Shape:
    """A tripod, a thin pole, a desk that leans back."""
    h, metal = d.f(0.9, 1.15), d.color("metal")
    s = Shape().rod((0, 0, 0.25), (0, 0, h), 0.016, metal)
    for a in np.radians((90, 210, 330)):
        s.rod((0, 0, 0.3), (0.28 * math.cos(a), 0.28 * math.sin(a), 0.01), 0.014, metal)
    desk = Shape().box((0.5, 0.02, 0.32), (0, 0, 0), metal).box((0.5, 0.07, 0.02), (0, 0.035, 0), metal)
    return s.join(desk, (0, 0.03, h - 0.06), pitch=0.35)


RECIPES = (
    row("speaker", speaker, "top shelf desk floor",
        "lounge 4, classroom 3, conference 2, office, bedroom, gym", group=2),
    row("headphones", headphones, "desk table top", "office 6, bedroom 2, lounge", turns=True),
    row("fan", fan, "floor top desk", "bedroom 3, office 3, storage 2, lounge, gym 2, apartment",
        turns=True),
    row("lamp", lamp, "top table desk shelf", "bedroom 8, lounge 5, office 2, apartment 4", group=2),
    row("lamp", floor_lamp, "corner floor", turns=True),
    row("light", light, "ceiling", "kitchen 3, lounge 2, hallway 2, bathroom 2, bedroom 2, apartment 2",
        elsewhere=0.3),
    row("ceiling light", ceiling_light, "ceiling", "office 3, classroom 3, conference 2, hallway 2, "
        "laundry 2, storage 2, copyroom 2", elsewhere=0.5, group=3),
    row("piano", piano, "wall", "lounge 5, classroom 3, conference, hallway, apartment",
        textures="wood plain"),
    row("keyboard piano", keyboard_piano, "wall floor", "bedroom 3, lounge 4, classroom 2, apartment 2"),
    row("guitar", guitar, "wall", "bedroom 5, lounge 4, office, apartment 2", textures="wood plain"),
    row("guitar case", guitar_case, "wall", "bedroom 4, lounge 3, storage 3, apartment"),
    row("music stand", music_stand, "floor", "lounge 3, bedroom 3, classroom 4", turns=True),
)  # fmt: skip
