"""What hangs on walls."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import bent, frame, rings
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def picture(d: Draw) -> Shape:
    """A raised frame round a mount and an image in patches."""
    w, h = d.f(0.3, 0.9), d.f(0.3, 0.75)
    s = frame(Shape(), w, h, d.color("wood", "metal", "paint"), wide=d.f(0.04, 0.07), deep=0.045)
    s.box((w - 0.06, 0.012, h - 0.06), (0, 0.006, 0.03), d.color("paper", "print"))
    for _ in range(d.n(2, 4)):
        pw, ph = d.f(0.1, 0.4) * w, d.f(0.1, 0.4) * h
        s.box((pw, 0.004, ph), (d.f(-0.2, 0.2) * w, 0.014, d.f(0.15, 0.45) * h), d.color("print", "leaf"))
    return s


def poster(d: Draw) -> Shape:
    """A large unframed sheet, flat on the wall, curling away at its lower edge, with bands of print."""
    w, h = d.f(0.5, 0.9), d.f(0.75, 1.2)
    paper = d.color("paper", "print")
    y = np.array([0.06, 0.02, 0.006, 0.006])
    z = np.array([0.0, 0.08, 0.2, 1.0]) * h
    grid = np.array([[[x, b, c] for x in (-w / 2, 0, w / 2)] for b, c in zip(y, z, strict=True)])
    s = Shape().sheet(grid, paper, 0.004)
    for k in (0.3, 0.55, 0.8):
        s.box((w * d.f(0.4, 0.85), 0.004, h * 0.15), (0, 0.01, k * h), d.color("print", "leaf"))
    return s


def calendar(d: Draw) -> Shape:
    """Two leaves below each other with a ring binding between: image above, grid of days below."""
    w, paper = d.f(0.26, 0.36), d.color("paper")
    s = Shape().box((w, 0.012, w * 0.8), (0, 0.006, 0), paper)
    s.box((w, 0.02, w * 0.8), (0, 0.01, w * 0.84), d.color("print", "leaf"))
    s.box((w, 0.035, 0.03), (0, 0.017, w * 0.8), d.color("metal"))
    for r in range(4):
        s.box((w * 0.9, 0.004, 0.012), (0, 0.014, w * (0.12 + 0.16 * r)), shade(paper, 0.5))
    return s


def whiteboard(d: Draw) -> Shape:
    """Wide and smooth, a thin metal frame and a pen tray along its foot."""
    w, h, face = d.f(1.3, 2.6), d.f(0.95, 1.25), d.color("ceramic", "paint")
    s = Shape().box((w, 0.025, h), (0, 0.012, 0), face)
    frame(s, w, h, d.color("metal"), wide=0.03, deep=0.035)
    s.box((w * 0.6, 0.09, 0.02), (0, 0.045, -0.02), d.color("metal"))
    return s.box((0.16, 0.05, 0.05), (d.f(-0.2, 0.2) * w, 0.05, 0.0), d.color("plastic"))


def blackboard(d: Draw) -> Shape:
    """Wide, in two or three leaves one before the other, a wooden frame and a deep ledge along its foot."""
    w, h, wood = d.f(1.8, 3.2), d.f(1.05, 1.3), d.color("wood", "metal")
    slate = d.color("screen", "leaf", "stone")
    s = Shape()
    leaves = d.n(2, 3)
    for i in range(leaves):
        x = ((i + 0.5) / leaves - 0.5) * w
        s.box((w / leaves - 0.03, 0.03, h), (x, 0.03 + 0.05 * (i % 2), 0), slate)
    frame(s, w + 0.1, h + 0.1, wood, wide=0.07, deep=0.06, z=-0.05)
    return s.box((w, 0.14, 0.04), (0, 0.07, -0.09), wood)


def board(d: Draw) -> Shape:
    """A bare panel with no frame at all, propped off the wall by battens, at times slightly askew."""
    w, h, color = d.f(0.7, 1.6), d.f(0.7, 1.2), d.color("wood", "paint", "cardboard", "plastic")
    s = Shape()
    for k in (0.2, 0.75):
        s.box((w * 0.9, 0.04, 0.06), (0, 0.02, k * h), shade(color, 0.7))
    return s.box((w, 0.03, h), (0, 0.055, 0), color)


def bulletin_board(d: Draw) -> Shape:
    """Cork in a frame, crowded with sheets that lie at all angles."""
    w, h = d.f(1.0, 1.8), d.f(0.8, 1.2)
    s = Shape().box((w, 0.015, h), (0, 0.008, 0), d.color("cardboard", "fabric", "wood"))
    frame(s, w, h, d.color("wood", "metal"), wide=0.04, deep=0.035)
    for _ in range(d.n(6, 10)):
        note = Shape().box((d.f(0.14, 0.26), 0.012, d.f(0.16, 0.3)), (0, 0, 0), d.color("paper", "print"))
        s.join(note, (d.f(-0.38, 0.38) * w, 0.022, d.f(0.06, 0.65) * h), roll=d.f(-0.2, 0.2))
    return s


def projector_screen(d: Draw) -> Shape:
    """A cloth that hangs from a round case near the ceiling down to a bar."""
    w, h, cloth = d.f(1.7, 2.6), d.f(1.3, 1.7), d.color("paper", "ceramic")
    s = Shape().rod(
        (-w / 2 - 0.06, 0.08, h), (w / 2 + 0.06, 0.08, h), 0.06, d.color("metal", "ceramic"), sides=8
    )
    s.box((w, 0.008, h), (0, 0.09, 0), cloth).rod(
        (-w / 2, 0.09, 0), (w / 2, 0.09, 0), 0.025, d.color("metal")
    )
    for sx in (-1, 1):
        s.box((0.05, 0.01, h), (sx * (w / 2 - 0.025), 0.097, 0), d.color("screen"))
    return s


def mirror(d: Draw) -> Shape:
    """A pane with a bevel, set a little deep in a narrow frame or in none, some with round corners."""
    w, h, glass = d.f(0.45, 1.3), d.f(0.65, 1.1), d.color("glass")
    s = Shape()
    bevel = Shape().loft(
        rings([(w, h, 0), (w - 0.1, h - 0.1, 0.03)], 0.12 if d.chance(0.5) else 0.0), (0, 0, 0), glass
    )
    s.join(bevel, (0, 0, h / 2), pitch=-math.pi / 2)
    if d.chance(0.5):
        frame(s, w + 0.05, h + 0.05, d.color("metal", "wood"), wide=0.025, deep=0.06, z=-0.025)
    return s


def clock(d: Draw) -> Shape:
    """A disc with a rim and two hands."""
    r, rim = d.f(0.13, 0.2), d.color("wood", "metal", "plastic")
    s = Shape().rod((0, 0, r), (0, 0.05, r), r, rim, sides=12)
    s.rod((0, 0.05, r), (0, 0.056, r), r * 0.85, d.color("paper", "ceramic"), sides=12)
    a, b = d.f(0, 6.28), d.f(0, 6.28)
    for angle, length in ((a, 0.7), (b, 0.45)):
        s.rod(
            (0, 0.06, r),
            (r * length * math.cos(angle), 0.06, r + r * length * math.sin(angle)),
            0.012,
            d.color("screen"),
        )
    return s


def sign(d: Draw) -> Shape:
    """A plate with bars of lettering that juts out from the wall on an arm, or lies on it."""
    w, h, color = d.f(0.28, 0.5), d.f(0.16, 0.3), d.color("print", "plastic", "metal")
    if d.chance(0.5):
        s = Shape().rod((0, 0, h / 2), (0, 0.06, h / 2), 0.03, d.color("metal"))
        s.box((0.03, w, h), (0, 0.05 + w / 2, 0), color)
        for sx in (-1, 1):
            s.box((0.006, w * 0.7, h * 0.2), (sx * 0.018, 0.05 + w / 2, h * 0.4), d.color("paper", "print"))
        return s
    s = Shape().box((w, 0.025, h), (0, 0.012, 0), color)
    for k in (0.2, 0.6):
        s.box((w * 0.75, 0.012, h * 0.2), (0, 0.03, k * h), d.color("paper", "print"))
    return s


def light_switch(d: Draw) -> Shape:
    """A plate beside a door with one to three rockers."""
    count, color = d.n(1, 3), d.color("ceramic", "plastic")
    s = Shape().box((0.07 + 0.06 * count, 0.02, 0.17), (0, 0.01, 0), color)
    for k in range(count):
        s.box((0.035, 0.03, 0.08), ((k - (count - 1) / 2) * 0.06, 0.03, 0.045), shade(color, 0.85))
    return s


def power_outlet(d: Draw) -> Shape:
    """A square plate low on the wall with two sunk sockets and at times a plug."""
    color = d.color("ceramic", "plastic", "metal")
    s = Shape().box((0.13, 0.022, 0.19), (0, 0.011, 0), color)
    for z in (0.025, 0.11):
        s.rod((0, 0.02, z + 0.03), (0, 0.03, z + 0.03), 0.04, shade(color, 0.6), sides=6)
    if d.chance(0.5):
        s.box((0.05, 0.06, 0.05), (0, 0.06, 0.03), d.color("plastic"))
    return s


def fire_alarm(d: Draw) -> Shape:
    """A square box with a round bell on its front."""
    w, color = d.f(0.13, 0.18), d.color("plastic", "print")
    s = Shape().box((w, 0.06, w * 1.1), (0, 0.03, 0), color)
    return s.rod(
        (0, 0.06, w * 0.55), (0, 0.1, w * 0.55), w * 0.4, d.color("metal", "print"), sides=8, top=0.5
    )


def vent(d: Draw) -> Shape:
    """A frame of slanted slats, high up."""
    w, h, color = d.f(0.35, 0.7), d.f(0.2, 0.4), d.color("metal", "ceramic", "paint")
    s = frame(Shape(), w, h, color, wide=0.03, deep=0.03)
    for k in range(5):
        slat = Shape().box((w - 0.05, 0.01, h * 0.16), (0, 0, 0), shade(color, 0.85))
        s.join(slat, (0, 0.012, h * (0.1 + 0.17 * k)), pitch=-0.5)
    return s


def fire_extinguisher(d: Draw) -> Shape:
    """A cylinder with a round shoulder, a lever on top, a hose down its side."""
    h, color = d.f(0.42, 0.52), d.color("print", "plastic", "metal")
    s = Shape().lathe(
        [(0.075, 0), (0.08, h * 0.75), (0.03, h * 0.9), (0.03, h)], (0, 0.09, 0), color, sides=10
    )
    s.box((0.04, 0.14, 0.03), (0, 0.11, h), d.color("metal"))
    bent(s, [(0.03, 0.09, h), (0.12, 0.1, h * 0.85), (0.11, 0.1, h * 0.3)], 0.015, d.color("screen"), sides=5)
    return s.box((0.1, 0.02, h * 0.6), (0, 0.01, h * 0.3), d.color("metal"))


def coat_rack(d: Draw) -> Shape:
    """A pole on three feet with a crown of hooks, man-high."""
    h, wood = d.f(1.6, 1.85), d.color("wood", "metal")
    s = Shape().cylinder(0.025, h, (0, 0, 0), wood)
    for a in np.radians((90, 210, 330)):
        c, t = math.cos(a), math.sin(a)
        s.rod((0, 0, 0.25), (0.28 * c, 0.28 * t, 0.02), 0.025, wood)
        for z in (h - 0.05, h - 0.35):
            bent(
                s,
                [(0, 0, z - 0.08), (0.16 * c, 0.16 * t, z - 0.06), (0.2 * c, 0.2 * t, z + 0.04)],
                0.018,
                wood,
            )
    return s


def jacket(d: Draw) -> Shape:
    """Hangs by its collar: wide shoulders, two sleeves, narrow at the hem."""
    w, h, color = d.f(0.42, 0.52), d.f(0.7, 0.9), d.color("fabric")
    s = Shape().loft(
        rings([(w * 0.85, 0.16, 0), (w * 0.8, 0.2, h * 0.5), (w, 0.16, h * 0.85), (w * 0.35, 0.1, h)]),
        (0, 0.11, 0),
        color,
    )
    for sx in (-1, 1):
        s.rod((sx * w * 0.48, 0.1, h * 0.82), (sx * w * 0.58, 0.13, h * 0.2), 0.06, shade(color, 0.9))
    return s


def clothes(d: Draw) -> Shape:
    """A row of garments on hangers under a short bar, close together, hems at many heights."""
    w = d.f(0.5, 1.0)
    count, top = round(w / 0.09), 1.0
    s = Shape().rod((-w / 2, 0.22, top + 0.05), (w / 2, 0.22, top + 0.05), 0.015, d.color("metal", "wood"))
    for i in range(count):
        length = d.f(0.45, 0.95)
        cloth = rings([(0.05, 0.36, 0), (0.06, 0.42, length * 0.8), (0.03, 0.16, length)])
        s.loft(cloth, ((i + 0.5) * w / count - w / 2, 0.22, top - length), d.color("fabric"))
    return s


def decoration(d: Draw) -> Shape:
    """An ornament: a wreath or a star of rods round a knob, a hand to an arm across."""
    r, color = d.f(0.16, 0.3), d.color("print", "leaf", "metal", "wood")
    s = Shape().ball((0.07, 0.05, 0.07), (0, 0.05, r), d.color("print", "metal"), sides=6, rings=4)
    count = d.n(7, 11)
    for a in np.arange(count) * 2 * math.pi / count:
        tip = (r * math.cos(a), 0.04, r + r * math.sin(a))
        s.rod((0, 0.04, r), tip, 0.02, color, sides=4, top=0.4)
        s.ball((0.045, 0.04, 0.045), tip, d.color("print", "leaf"), sides=5, rings=4)
    return s


RECIPES = (
    row("picture", picture, "hang", "bedroom 5, lounge 5, apartment 4, office 2, hallway 2, conference, "
        "kitchen, bathroom", z=(1.2, 1.6), group=2, elsewhere=0.3, textures="speckle plain checker"),
    row("poster", poster, "hang", "office 4, bedroom 3, classroom 4, hallway 2, copyroom", z=(0.9, 1.2),
        group=2),
    row("calendar", calendar, "hang", "office 6, kitchen 3, copyroom 3, classroom", z=(1.2, 1.5)),
    row("whiteboard", whiteboard, "hang", "office 5, conference 7, classroom 5, copyroom", z=(0.8, 1.0)),
    row("blackboard", blackboard, "hang", "classroom 9, conference 3, office", z=(0.8, 0.95)),
    row("board", board, "hang", "office 3, classroom 3, conference 3, storage 2, hallway 2, copyroom",
        z=(0.6, 1.1)),
    row("bulletin board", bulletin_board, "hang", "office 4, classroom 3, hallway 3, copyroom 4, kitchen",
        z=(0.9, 1.2)),
    row("projector screen", projector_screen, "hang", "conference 6, classroom 6", z=(-0.15, -0.05)),
    row("mirror", mirror, "above_basin hang", "bathroom 9, bedroom 3, hallway, gym 2, apartment 2",
        z=(0.9, 1.2)),
    row("clock", clock, "hang", "classroom 4, office 2, kitchen 2, lounge 2, conference 2, hallway",
        z=(1.7, 2.0), elsewhere=0.4),
    row("sign", sign, "hang", "hallway 5, laundry 2, gym 2, copyroom 2, classroom, bathroom", z=(1.5, 1.9),
        elsewhere=0.3),
    row("light switch", light_switch, "door_side hang",
        "hallway 2, bathroom 2, office 2, bedroom 2, conference", z=(1.0, 1.2), elsewhere=0.6),
    row("power outlet", power_outlet, "hang", "office 2, bedroom 2, hallway, kitchen, conference",
        z=(0.25, 0.45), elsewhere=0.5),
    row("fire alarm", fire_alarm, "hang", "hallway 4, classroom 2, laundry 2, conference", z=(1.9, 2.1),
        elsewhere=0.4),
    row("vent", vent, "hang", "bathroom 3, storage 2, hallway 2, laundry 2, office", z=(-0.3, -0.1),
        elsewhere=0.3),
    row("fire extinguisher", fire_extinguisher, "hang", "hallway 5, laundry 2, copyroom 2, storage 2, "
        "kitchen, classroom", z=(0.4, 0.9), elsewhere=0.2),
    row("coat rack", coat_rack, "corner floor", "office 4, hallway 4, conference 2, bedroom, lounge"),
    row("jacket", jacket, "hang", "office 4, bedroom 2, hallway 3, classroom 2, conference", z=(0.9, 1.2),
        group=2),
    row("clothes", clothes, "closet_in hang", "bedroom 8, laundry 3, storage 2, apartment 3", z=(0.8, 1.0),
        group=2, textures="stripes plain checker"),
    row("decoration", decoration, "hang", "bedroom 2, lounge 4, kitchen 2, hallway 2, office, apartment 2",
        z=(1.3, 1.7)),
)  # fmt: skip
