"""Screens, computers, machines, lights and instruments."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import arc, bent, fronts, legs, pad, rings, wheels
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
    s = Shape().box((w, depth, h), (0, 0, 0), color).box((w - 0.02, 0.02, h - 0.02), (0, depth / 2 + 0.01, 0.01), shade(color, 1.3))
    for k in (0.9, 0.78):
        s.box((w - 0.05, 0.015, 0.035), (0, depth / 2 + 0.025, h * k - 0.03), shade(color, 0.7))
    return s.box((w - 0.06, 0.012, h * 0.35), (0, depth / 2 + 0.024, h * 0.1), shade(color, 0.5))


def laptop(d: Draw) -> Shape:
    """Two thin leaves at an obtuse angle; some are shut."""
    w, body = d.f(0.32, 0.4), d.color("plastic", "metal")
    depth = w * 0.68
    s = Shape().box((w, depth, 0.022), (0, 0, 0), body).box((w * 0.85, depth * 0.45, 0.004), (0, -depth * 0.15, 0.022), d.color("screen"))
    lid = Shape().box((w, 0.015, depth), (0, 0, 0), body).box((w - 0.03, 0.004, depth - 0.03), (0, 0.009, 0.015), d.color("screen"))
    return s.join(lid, (0, -depth / 2, 0.02), pitch=d.f(0.1, 0.45))


def printer(d: Draw) -> Shape:
    """A box with a chamfered lid, paper standing at the back and a tray out at the front."""
    w, depth, h = d.f(0.4, 0.52), d.f(0.34, 0.42), d.f(0.2, 0.32)
    body = d.color("plastic", "metal")
    s = Shape().loft(rings([(w, depth, 0), (w, depth, h * 0.75), (w * 0.9, depth * 0.75, h)]), (0, 0, 0), body)
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
    s.box((w, depth * 0.3, 0.18), (0, -depth * 0.35, 0.7), body).box((0.12, depth, 0.18), (-w / 2 + 0.06, 0, 0.7), body)
    s.box((w, depth, 0.12), (0, 0, 0.88), shade(body, 1.1)).box((w * 0.8, depth * 0.75, 0.1), (0, -0.05, 1.0), shade(body, 0.85))
    s.join(Shape().box((w * 0.5, 0.18, 0.03), (0, 0, 0), dark), (w * 0.1, depth / 2 + 0.05, 0.95), pitch=-0.4)
    return s.join(Shape().box((0.34, depth * 0.55, 0.025), (0, 0, 0), body), (w / 2 + 0.14, 0, 0.5), roll=-0.35)


def machine(d: Draw) -> Shape:
    """Heavy: a bed on a block, a column with an overhanging head, a wheel at the side."""
    w, depth = d.f(0.7, 1.0), d.f(0.5, 0.7)
    body, metal = d.color("metal", "plastic"), d.color("metal")
    s = Shape().box((w * 0.7, depth * 0.8, 0.7), (0, 0, 0), body).box((w, depth, 0.1), (0, 0, 0.7), metal)
    s.box((w * 0.3, depth * 0.35, 0.6), (-w * 0.25, -depth * 0.25, 0.8), body)
    s.box((w * 0.55, depth * 0.4, 0.22), (0, -depth * 0.1, 1.35), shade(body, 1.15))
    s.cylinder(0.05, 0.3, (w * 0.15, 0, 1.06), metal)
    return s.rod((w * 0.35, 0, 0.45), (w * 0.42, 0, 0.45), 0.2, metal, sides=10)


def speaker(d: Draw) -> Shape:
    """An upright box with a big and a small cone in front."""
    k = d.f(0.9, 2.0)
    w, depth, h, color = 0.2 * k, 0.2 * k, 0.36 * k, d.color("wood", "plastic")
    s = Shape().box((w, depth, h), (0, 0, 0), color)
    for z, r in ((0.3, 0.4), (0.74, 0.24)):
        s.rod((0, depth / 2, h * z), (0, depth / 2 + 0.035, h * z), r * w, d.color("screen"), sides=10, top=0.8)
    return s


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


def headphones(d: Draw) -> Shape:
    """Two cups joined by a bow, lying or hanging."""
    color = d.color("plastic")
    s = bent(Shape(), arc(0.1, 0, 180, 7, center=(0, 0, 0.09)), 0.016, color)
    for sx in (-1, 1):
        s.rod((sx * 0.085, 0, 0.06), (sx * 0.13, 0, 0.06), 0.055, shade(color, 0.8), sides=8)
    return s.tilted(pitch=-1.2) if d.chance(0.6) else s


def power_strip(d: Draw) -> Shape:
    """A long flat bar with a row of sockets and a cable that coils off."""
    color = d.color("plastic")
    w = d.f(0.35, 0.5)
    s = Shape().box((w, 0.07, 0.045), (0, 0, 0), color)
    for k in np.linspace(-0.36, 0.36, 5):
        s.box((0.045, 0.045, 0.008), (k * w, 0, 0.045), shade(color, 0.5))
    return bent(s, [(w / 2, 0, 0.015), (w / 2 + 0.15, 0.08, 0.015), (w / 2 + 0.1, 0.2, 0.015)], 0.012, shade(color, 0.8))


def alarm_clock(d: Draw) -> Shape:
    """A drum on two feet with two bells, or a low wedge with digits."""
    color = d.color("plastic", "metal")
    if d.chance(0.5):
        s = Shape().loft(rings([(0.2, 0.12, 0), (0.18, 0.06, 0.1)]), (0, 0, 0), color)
        return s.join(Shape().box((0.15, 0.01, 0.06), (0, 0, 0), d.color("screen")), (0, 0.055, 0.02), pitch=0.28)
    s = Shape().rod((0, -0.035, 0.1), (0, 0.035, 0.1), 0.075, color, sides=10)
    s.rod((0, 0.035, 0.1), (0, 0.04, 0.1), 0.06, d.color("paper"), sides=10)
    for sx in (-1, 1):
        s.ball((0.035, 0.03, 0.025), (sx * 0.05, 0, 0.19), shade(color, 1.2), sides=6, rings=4)
        s.rod((sx * 0.03, 0, 0.05), (sx * 0.06, 0, 0), 0.012, color)
    return s


def fan(d: Draw) -> Shape:
    """A round flat cage on a stalk with a foot, table- or man-high."""
    tall, r, color = d.chance(0.6), d.f(0.18, 0.24), d.color("plastic", "metal")
    h = d.f(0.75, 1.1) if tall else 0.25
    s = Shape().cylinder(0.22 if tall else 0.14, 0.03, (0, 0, 0), color).cylinder(0.025, h, (0, 0, 0.03), color)
    z = h + r * 0.9
    s.rod((0, -0.05, z), (0, 0.08, z), r, d.color("metal", "plastic"), sides=12, top=0.9)
    s.rod((0, 0.08, z), (0, 0.1, z), r * 0.3, shade(color, 0.7), sides=8)
    return s.rod((0, -0.18, z), (0, -0.05, z), 0.06, color, sides=8)


def lamp(d: Draw) -> Shape:
    """A conical shade on a stem: on a table or, longer, on the floor."""
    r, shade_, metal = d.f(0.13, 0.22), d.color("paper", "fabric", "ceramic"), d.color("metal", "wood", "ceramic")
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
    s = Shape().cylinder(0.015, drop, (0, 0, r), d.color("metal")).cylinder(0.06, 0.03, (0, 0, r + drop - 0.03), color)
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
        s.box((0.08, 0.3, 0.62), (sx * (w / 2 - 0.04), 0.17, 0), wood).box((0.08, 0.3, 0.16), (sx * (w / 2 - 0.04), 0.17, 0.7), wood)
    return s.join(Shape().box((w * 0.5, 0.02, 0.24), (0, 0, 0), shade(wood, 1.2)), (0, 0.07, 0.8), pitch=0.2)


def keyboard_piano(d: Draw) -> Shape:
    """A long slim case with keys on a folding X stand."""
    w, body, metal = d.f(1.1, 1.35), d.color("plastic", "metal"), d.color("metal")
    s = Shape().box((w, 0.32, 0.1), (0, 0, 0.72), body).box((w - 0.1, 0.15, 0.02), (0, 0.07, 0.82), d.color("ceramic", "paper"))
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
    flat.box((0.055, 0.03, 0.5), (0, 0.06, 0.5), shade(wood, 0.6)).box((0.09, 0.03, 0.16), (0, 0.06, 1.0), shade(wood, 0.6))
    flat.rod((0, 0.05, 0.27), (0, 0.056, 0.27), 0.05, d.color("screen"), sides=8)
    return Shape().join(flat, pitch=d.f(0.1, 0.22))


def guitar_case(d: Draw) -> Shape:
    """The same outline, thicker and softer, with a grip at its side."""
    color = d.color("fabric", "plastic")
    flat = Shape().join(pad(Shape(), (0.44, 0.16, 0.5), (0, 0, 0), color, round_=0.15, chamfer=0.5), (0, 0.08, 0))
    pad(flat, (0.34, 0.16, 0.3), (0, 0.08, 0.42), color, round_=0.2)
    flat.loft(rings([(0.22, 0.14, 0), (0.16, 0.12, 0.45)]), (0, 0.08, 0.65), color)
    bent(flat, [(0.21, 0.08, 0.35), (0.28, 0.08, 0.4), (0.28, 0.08, 0.52), (0.18, 0.08, 0.58)], 0.018, shade(color, 0.6))
    return Shape().join(flat, pitch=d.f(0.08, 0.18))


def music_stand(d: Draw) -> Shape:
    """A tripod, a thin pole, a desk that leans back."""
    h, metal = d.f(0.9, 1.15), d.color("metal")
    s = Shape().rod((0, 0, 0.25), (0, 0, h), 0.016, metal)
    for a in np.radians((90, 210, 330)):
        s.rod((0, 0, 0.3), (0.28 * math.cos(a), 0.28 * math.sin(a), 0.01), 0.014, metal)
    desk = Shape().box((0.5, 0.02, 0.32), (0, 0, 0), metal).box((0.5, 0.07, 0.02), (0, 0.035, 0), metal)
    return s.join(desk, (0, 0.03, h - 0.06), pitch=0.35)


def paper_cutter(d: Draw) -> Shape:
    """A flat board with a raised edge and a long blade lever at one side."""
    w, wood, metal = d.f(0.38, 0.5), d.color("wood", "plastic", "metal"), d.color("metal")
    s = Shape().box((w, w * 0.8, 0.03), (0, 0, 0), wood).box((w, 0.03, 0.025), (0, -w * 0.38, 0.03), shade(wood, 0.7))
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
    row("laptop", laptop, "desk table bed_foot", "office 5, conference 4, bedroom 2, lounge 2, classroom 2, apartment"),
    row("printer", printer, "desk top table counter", "office 6, copyroom 6, classroom, bedroom"),
    row("copier", copier, "wall", "copyroom 9, office, hallway"),
    row("machine", machine, "wall floor", "storage 3, laundry, gym 4, copyroom"),
    row("speaker", speaker, "top shelf desk floor", "lounge 4, classroom 3, conference 2, office, bedroom, gym", group=2),
    row("telephone", telephone, "desk table top counter", "office 7, conference 4, bedroom 3, copyroom 2, classroom", turns=True),
    row("projector", projector, "ceiling", "conference 7, classroom 7"),
    row("headphones", headphones, "desk table top", "office 6, bedroom 2, lounge", turns=True),
    row("power strip", power_strip, "floor under desk", "office 5, conference 2, classroom 2, storage, copyroom", turns=True),
    row("alarm clock", alarm_clock, "top shelf desk", "bedroom 9, apartment 2"),
    row("fan", fan, "floor top desk", "bedroom 3, office 3, storage 2, lounge, gym 2, apartment", turns=True),
    row("lamp", lamp, "top table desk shelf", "bedroom 8, lounge 5, office 2, apartment 4", group=2),
    row("lamp", floor_lamp, "corner floor", turns=True),
    row("light", light, "ceiling", "kitchen 3, lounge 2, hallway 2, bathroom 2, bedroom 2, apartment 2", elsewhere=0.3),
    row("ceiling light", ceiling_light, "ceiling", "office 3, classroom 3, conference 2, hallway 2, laundry 2, storage 2, copyroom 2",
        elsewhere=0.5, group=3),
    row("piano", piano, "wall", "lounge 5, classroom 3, conference, hallway, apartment", textures="wood plain"),
    row("keyboard piano", keyboard_piano, "wall floor", "bedroom 3, lounge 4, classroom 2, apartment 2"),
    row("guitar", guitar, "wall", "bedroom 5, lounge 4, office, apartment 2", textures="wood plain"),
    row("guitar case", guitar_case, "wall", "bedroom 4, lounge 3, storage 3, apartment"),
    row("music stand", music_stand, "floor", "lounge 3, bedroom 3, classroom 4", turns=True),
    row("paper cutter", paper_cutter, "table counter desk top", "copyroom 9, office 2, classroom 2"),
    row("vacuum cleaner", vacuum_cleaner, "wall floor", "storage 5, laundry 3, bedroom, hallway, apartment 2"),
    row("radiator", radiator, "radiator wall", "bathroom 3, bedroom 3, office 2, classroom 2, lounge 2, hallway, kitchen, conference 2",
        elsewhere=0.6),
)  # fmt: skip
