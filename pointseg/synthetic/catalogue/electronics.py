"""Screens, computers, office and other machines."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import bent, fronts, legs, pad, rings, wheels
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def monitor(d: Draw) -> Shape:
    """A thin panel on a neck and a foot."""
    w, body = d.f(0.44, 0.64), d.color("plastic", "metal")
    h = w * d.f(0.56, 0.72)
    s = Shape().box((0.24, 0.18, 0.02), (0, 0, 0), body).box((0.06, 0.04, 0.22), (0, -0.03, 0.02), body)
    s.box((w, 0.04, h), (0, 0, 0.13), body)
    return s.box((w - 0.04, 0.006, h - 0.04), (0, 0.023, 0.15), d.color("screen"))


def tv(d: Draw) -> Shape:
    """A wide panel, an arm's span across, with two feet far apart; the old ones are deep."""
    w, body = d.f(0.8, 1.3), d.color("plastic", "metal")
    h = w * 0.58
    s = Shape()
    if d.chance(0.25):
        w, h = w * 0.65, h * 0.85
        tube_ = Shape().loft(rings([(w, h, 0), (w * 0.6, h * 0.6, 0.32)]), (0, 0, 0), shade(body, 0.8))
        s.box((w, 0.1, h), (0, 0, 0), body).join(tube_, (0, -0.05, h / 2), pitch=math.pi / 2)
        return s.box((w * 0.84, 0.012, h * 0.76), (0, 0.05, h * 0.15), d.color("screen"))
    for sx in (-1, 1):
        s.box((0.04, 0.24, 0.06), (sx * w * 0.35, 0, 0), body)
    s.box((w, 0.06, h), (0, 0, 0.06), body)
    return s.box((w - 0.05, 0.008, h - 0.05), (0, 0.034, 0.085), d.color("screen"))


def keyboard(d: Draw) -> Shape:
    """A thin wedge, three times as wide as deep, in rows."""
    w, color = d.f(0.38, 0.46), d.color("plastic", "metal")
    s = Shape().box((w, 0.15, 0.02), (0, 0, 0), color)
    for k in range(4):
        s.box((w - 0.03, 0.024, 0.012), (0, -0.05 + 0.034 * k, 0.02), shade(color, 0.75))
    return s


def mouse(d: Draw) -> Shape:
    """A hand-sized hump on its own small pad."""
    s = Shape().box((0.22, 0.19, 0.006), (0, 0, 0), d.color("fabric", "plastic"))
    return s.ball((0.04, 0.065, 0.035), (d.f(-0.04, 0.04), 0, 0.012), d.color("plastic"), sides=8, rings=5)


def computer_tower(d: Draw) -> Shape:
    """Narrow, deep and knee-high, a bezel with slots in front."""
    w, depth, h, color = d.f(0.17, 0.22), d.f(0.4, 0.5), d.f(0.38, 0.48), d.color("plastic", "metal")
    s = (
        Shape()
        .box((w, depth, h), (0, 0, 0), color)
        .box((w - 0.02, 0.02, h - 0.02), (0, depth / 2 + 0.01, 0.01), shade(color, 1.3))
    )
    for k in (0.9, 0.78):
        s.box((w - 0.05, 0.015, 0.035), (0, depth / 2 + 0.025, h * k - 0.03), shade(color, 0.7))
    return s.box((w - 0.06, 0.012, h * 0.35), (0, depth / 2 + 0.024, h * 0.1), shade(color, 0.5))


def laptop(d: Draw) -> Shape:
    """Two thin leaves at an obtuse angle; some are shut."""
    w, body = d.f(0.32, 0.4), d.color("plastic", "metal")
    depth = w * 0.68
    s = (
        Shape()
        .box((w, depth, 0.022), (0, 0, 0), body)
        .box((w * 0.85, depth * 0.45, 0.004), (0, -depth * 0.15, 0.022), d.color("screen"))
    )
    lid = (
        Shape()
        .box((w, 0.015, depth), (0, 0, 0), body)
        .box((w - 0.03, 0.004, depth - 0.03), (0, 0.009, 0.015), d.color("screen"))
    )
    return s.join(lid, (0, -depth / 2, 0.02), pitch=d.f(0.1, 0.45))


def printer(d: Draw) -> Shape:
    """A box with a chamfered lid, paper standing at the back and a tray out at the front."""
    w, depth, h = d.f(0.4, 0.52), d.f(0.34, 0.42), d.f(0.2, 0.32)
    body = d.color("plastic", "metal")
    s = Shape().loft(
        rings([(w, depth, 0), (w, depth, h * 0.75), (w * 0.9, depth * 0.75, h)]), (0, 0, 0), body
    )
    sheet = Shape().box((w * 0.6, 0.012, 0.2), (0, 0, 0), d.color("paper"))
    s.join(sheet, (0, -depth * 0.38, h * 0.85), pitch=0.35)
    s.box((w * 0.65, 0.18, 0.02), (0, depth / 2 + 0.09, h * 0.25), shade(body, 0.7))
    return s.box((w * 0.8, 0.02, h * 0.25), (0, depth / 2 + 0.01, h * 0.4), shade(body, 0.5))


def copier(d: Draw) -> Shape:
    """Chest-high: paper drawers, a gap for the output, a scanner head with a lid, a tray at one side."""
    w, depth = d.f(0.6, 0.72), d.f(0.6, 0.7)
    body, dark = d.color("plastic", "metal"), d.color("plastic")
    s = wheels(Shape(), w, depth, dark).box((w, depth, 0.62), (0, 0, 0.08), body)
    fronts(s, w, (0.1, 0.66), depth / 2, shade(body, 0.92), dark, rows=d.n(3, 4))
    s.box((w, depth * 0.3, 0.18), (0, -depth * 0.35, 0.7), body).box(
        (0.12, depth, 0.18), (-w / 2 + 0.06, 0, 0.7), body
    )
    s.box((w, depth, 0.12), (0, 0, 0.88), shade(body, 1.1)).box(
        (w * 0.8, depth * 0.75, 0.1), (0, -0.05, 1.0), shade(body, 0.85)
    )
    s.join(Shape().box((w * 0.5, 0.18, 0.03), (0, 0, 0), dark), (w * 0.1, depth / 2 + 0.05, 0.95), pitch=-0.4)
    return s.join(
        Shape().box((0.34, depth * 0.55, 0.025), (0, 0, 0), body), (w / 2 + 0.14, 0, 0.5), roll=-0.35
    )


def machine(d: Draw) -> Shape:
    """Heavy: a bed on a block, a column with an overhanging head, a wheel at the side."""
    w, depth = d.f(0.7, 1.0), d.f(0.5, 0.7)
    body, metal = d.color("metal", "plastic"), d.color("metal")
    s = Shape().box((w * 0.7, depth * 0.8, 0.7), (0, 0, 0), body).box((w, depth, 0.1), (0, 0, 0.7), metal)
    s.box((w * 0.3, depth * 0.35, 0.6), (-w * 0.25, -depth * 0.25, 0.8), body)
    s.box((w * 0.55, depth * 0.4, 0.22), (0, -depth * 0.1, 1.35), shade(body, 1.15))
    s.cylinder(0.05, 0.3, (w * 0.15, 0, 1.06), metal)
    return s.rod((w * 0.35, 0, 0.45), (w * 0.42, 0, 0.45), 0.2, metal, sides=10)


def telephone(d: Draw) -> Shape:
    """A wedge with keys and a handset that lies across its left side."""
    color = d.color("plastic")
    s = Shape().loft(rings([(0.22, 0.22, 0), (0.22, 0.22, 0.035), (0.2, 0.1, 0.1)]), (0, 0, 0), color)
    s.rod((-0.09, -0.1, 0.11), (-0.09, 0.1, 0.08), 0.025, shade(color, 0.6), sides=6)
    for y, z in ((-0.1, 0.09), (0.1, 0.06)):
        s.box((0.06, 0.06, 0.05), (-0.09, y, z), shade(color, 0.6))
    return s.box((0.09, 0.1, 0.02), (0.05, 0.03, 0.06), d.color("screen"))


def projector(d: Draw) -> Shape:
    """A flat box under the ceiling on a pole, a lens in front."""
    body = d.color("plastic", "metal")
    s = Shape().cylinder(0.025, d.f(0.3, 0.6), (0, 0, 0.13), d.color("metal"))
    s.box((0.36, 0.3, 0.11), (0, 0, 0.02), body).box((0.18, 0.14, 0.03), (0, 0, 0.13), d.color("metal"))
    return s.rod((0.08, 0.15, 0.075), (0.08, 0.21, 0.075), 0.05, d.color("screen"), sides=8)


def power_strip(d: Draw) -> Shape:
    """A long flat bar with a row of sockets and a cable that coils off."""
    color = d.color("plastic")
    w = d.f(0.35, 0.5)
    s = Shape().box((w, 0.07, 0.045), (0, 0, 0), color)
    for k in np.linspace(-0.36, 0.36, 5):
        s.box((0.045, 0.045, 0.008), (k * w, 0, 0.045), shade(color, 0.5))
    return bent(
        s,
        [(w / 2, 0, 0.015), (w / 2 + 0.15, 0.08, 0.015), (w / 2 + 0.1, 0.2, 0.015)],
        0.012,
        shade(color, 0.8),
    )


def alarm_clock(d: Draw) -> Shape:
    """A drum on two feet with two bells, or a low wedge with digits."""
    color = d.color("plastic", "metal")
    if d.chance(0.5):
        s = Shape().loft(rings([(0.2, 0.12, 0), (0.18, 0.06, 0.1)]), (0, 0, 0), color)
        return s.join(
            Shape().box((0.15, 0.01, 0.06), (0, 0, 0), d.color("screen")), (0, 0.055, 0.02), pitch=0.28
        )
    s = Shape().rod((0, -0.035, 0.1), (0, 0.035, 0.1), 0.075, color, sides=10)
    s.rod((0, 0.035, 0.1), (0, 0.04, 0.1), 0.06, d.color("paper"), sides=10)
    for sx in (-1, 1):
        s.ball((0.035, 0.03, 0.025), (sx * 0.05, 0, 0.19), shade(color, 1.2), sides=6, rings=4)
        s.rod((sx * 0.03, 0, 0.05), (sx * 0.06, 0, 0), 0.012, color)
    return s


def paper_cutter(d: Draw) -> Shape:
    """A flat board with a raised edge and a long blade lever at one side."""
    w, wood, metal = d.f(0.38, 0.5), d.color("wood", "plastic", "metal"), d.color("metal")
    s = (
        Shape()
        .box((w, w * 0.8, 0.03), (0, 0, 0), wood)
        .box((w, 0.03, 0.025), (0, -w * 0.38, 0.03), shade(wood, 0.7))
    )
    return s.rod((w / 2, -w * 0.38, 0.05), (w / 2, w * 0.48, d.f(0.1, 0.3)), 0.02, metal)


def vacuum_cleaner(d: Draw) -> Shape:
    """An upright: a wide nozzle on the floor, a leaning body and handle; or a canister with a hose."""
    color, dark = d.color("plastic", "print"), d.color("plastic")
    s = pad(Shape(), (0.32, 0.26, 0.1), (0, 0.1, 0), dark)
    body = pad(Shape(), (0.24, 0.18, 0.55), (0, 0, 0), color, round_=0.12)
    bent(body, [(0, 0, 0.5), (0, 0, 0.95), (0, -0.1, 1.02)], 0.022, dark, sides=6)
    bent(body, [(0.1, 0, 0.1), (0.17, 0, 0.4), (0.08, 0, 0.6)], 0.025, shade(dark, 1.4), sides=6)
    return s.join(body, (0, -0.02, 0.06), pitch=d.f(0.05, 0.3))


def radiator(d: Draw) -> Shape:
    """A row of upright ribs between two level pipes, close to the floor."""
    w, h, color = d.f(0.7, 1.5), d.f(0.5, 0.7), d.color("paint", "metal", "ceramic")
    depth, count = d.f(0.1, 0.16), max(5, round(w / 0.13))
    s = legs(Shape(), w, depth, 0.1, color, thick=0.03)
    for i in range(count):
        s.box((w / count * 0.55, depth, h), ((i + 0.5) * w / count - w / 2, 0, 0.08), color)
    for z in (0.16, h - 0.02):
        s.rod((-w / 2 - 0.05, 0, z), (w / 2 + 0.05, 0, z), 0.025, color)
    return s.slot("top", (0, 0, h + 0.08), (w - 0.1, depth), 0.6)


OFFICE = "office 8, classroom 2, copyroom, bedroom 2, conference, apartment"

RECIPES = (
    row("monitor", monitor, "desk_back desk table counter", OFFICE, group=2),
    row("tv", tv, "tv_top top table wall", "lounge 7, bedroom 6, apartment 4, conference 2, gym"),
    row("keyboard", keyboard, "desk table", OFFICE, group=2),
    row("mouse", mouse, "desk table", OFFICE, turns=True),
    row("computer tower", computer_tower, "under desk floor", OFFICE, group=2),
    row("laptop", laptop, "desk table bed_foot", "office 5, conference 4, bedroom 2, lounge 2, "
        "classroom 2, apartment"),
    row("printer", printer, "desk top table counter", "office 6, copyroom 6, classroom, bedroom"),
    row("copier", copier, "wall", "copyroom 9, office, hallway"),
    row("machine", machine, "wall floor", "storage 3, laundry, gym 4, copyroom"),
    row("telephone", telephone, "desk table top counter",
        "office 7, conference 4, bedroom 3, copyroom 2, classroom", turns=True),
    row("projector", projector, "ceiling", "conference 7, classroom 7"),
    row("power strip", power_strip, "floor under desk",
        "office 5, conference 2, classroom 2, storage, copyroom", turns=True),
    row("alarm clock", alarm_clock, "top shelf desk", "bedroom 9, apartment 2"),
    row("paper cutter", paper_cutter, "table counter desk top", "copyroom 9, office 2, classroom 2"),
    row("vacuum cleaner", vacuum_cleaner, "wall floor",
        "storage 5, laundry 3, bedroom, hallway, apartment 2"),
    row("radiator", radiator, "radiator wall", "bathroom 3, bedroom 3, office 2, classroom 2, lounge 2, "
        "hallway, kitchen, conference 2", elsewhere=0.6),
)  # fmt: skip
