"""Tables, desks, counters and what else has a flat top to put things on."""

from __future__ import annotations

import math

import numpy as np

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import TABLE_LEGS, board, fronts, legs, wheels
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Shape


def _seats(s: Shape, w: float, d: float, *, pitch: float = 0.62) -> Shape:
    """Places for chairs along the sides of a w x d top; guests look at the table."""
    for length, reach, turn in ((w, d, 0.0), (d, w, math.pi / 2)):
        count = max(1, int((length - 0.1) / pitch)) if length > 0.55 else 0
        for i in range(count):
            along = (i + 0.5) * length / count - length / 2
            out = reach / 2 + 0.22
            for yaw, sign in ((turn + math.pi, 1), (turn, -1)):
                x, y = (along, sign * out) if turn == 0.0 else (-sign * out, along)
                s.slot("place", (x, y, 0.0), yaw=yaw)
    return s


def table(d: Draw) -> Shape:
    """A thin plain top, rectangular or round, on slim legs or a column."""
    h = d.f(0.68, 0.74)
    round_ = d.chance(0.3)
    w = d.f(0.8, 1.2) if round_ else d.f(1.0, 1.8)
    depth = w if round_ else d.f(0.6, 0.85)
    frame, top = d.color("metal", "wood"), d.color("wood", "paint", "plastic")
    s = legs(Shape(), w * 0.9, depth * 0.9, h, frame, style="pedestal" if round_ else d.pick(*TABLE_LEGS))
    board(s, w, depth, h, top, thick=d.f(0.025, 0.04), sides=14 if round_ else 4)
    k = 0.68 if round_ else 0.95
    s.slot("table", (0, 0, h + 0.04), (w * k, depth * k), 1.5)
    if not round_:
        s.slot("under", (0, 0, 0), (w - 0.3, depth), h - 0.06)
    return _seats(s, w, depth)


def dining_table(d: Draw) -> Shape:
    """A long oval or rectangular top with a deep apron on stout turned legs."""
    w, depth, h = d.f(1.5, 2.1), d.f(0.9, 1.05), d.f(0.7, 0.74)
    wood = d.color("wood")
    s = Shape().box((w * 0.74, depth * 0.66, 0.1), (0, 0, h - 0.1), shade(wood, 0.9))
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = (sx * w * 0.35, sy * depth * 0.3, 0)
            profile = [(0.04, 0), (0.055, h * 0.25), (0.035, h * 0.4), (0.065, h * 0.75), (0.05, h)]
            s.lathe(profile, at, wood, sides=6)
    board(s, w, depth, h, wood, thick=0.05, sides=d.n(0, 1) * 12 + 4)
    s.slot("table", (0, 0, h + 0.05), (w * 0.7, depth * 0.7), 1.5)
    return _seats(s, w, depth)


def desk(d: Draw) -> Shape:
    """A top with a drawer pedestal on one side, a panel on the other and one behind the knees."""
    w, depth, h = d.f(1.1, 1.7), d.f(0.6, 0.8), d.f(0.7, 0.75)
    body, top = d.color("wood", "metal", "paint"), d.color("wood", "paint")
    side, pw = (1 if d.chance(0.5) else -1), d.f(0.36, 0.44)
    s = board(Shape(), w, depth, h, top, thick=0.035)
    x = side * (w / 2 - pw / 2 - 0.02)
    pedestal = Shape().box((pw, depth - 0.06, h - 0.04), (0, 0, 0.04), body)
    fronts(pedestal, pw, (0.06, h), depth / 2 - 0.03, shade(body, 1.1), d.color("metal"), rows=3)
    s.join(pedestal, (x, 0, 0))
    s.box((0.04, depth - 0.04, h), (-side * (w / 2 - 0.03), 0, 0), body)
    s.box((w - 0.1, 0.02, h * 0.6), (0, -depth / 2 + 0.05, h * 0.4), body)
    free = w - pw - 0.12
    s.slot("desk", (0, 0, h + 0.035), (w - 0.06, depth - 0.06), 1.5)
    s.slot("desk_back", (0, -depth / 2 + 0.16, h + 0.035), (w - 0.1, 0.2), 1.5)
    s.slot("under", (-side * (w / 2 - 0.08 - free / 2), -0.08, 0), (free, depth - 0.2), h - 0.02)
    s.slot("deskplace", (-side * (w / 2 - free / 2), depth / 2 + 0.3, 0), yaw=math.pi)
    return s


def coffee_table(d: Draw) -> Shape:
    """Knee-high and wide, with a second board near the floor."""
    w, depth, h = d.f(0.85, 1.25), d.f(0.5, 0.7), d.f(0.36, 0.44)
    wood = d.color("wood", "metal", "glass")
    s = legs(Shape(), w, depth, h, d.color("wood", "metal"), style=d.pick("four", "sled"), thick=0.06)
    board(s, w, depth, h, wood, thick=0.05)
    s.box((w - 0.14, depth - 0.14, 0.03), (0, 0, h * 0.3), shade(wood, 0.9))
    s.slot("table", (0, 0, h + 0.05), (w - 0.05, depth - 0.05), 1.5)
    return s


def end_table(d: Draw) -> Shape:
    """A small square or round top, knee-high or a little more, on thin legs with a shelf half way up."""
    w, h = d.f(0.42, 0.58), d.f(0.5, 0.64)
    wood, round_ = d.color("wood", "metal", "glass"), d.chance(0.4)
    s = legs(
        Shape(), w * 0.85, w * 0.85, h, d.color("wood", "metal"), style=d.pick("four", "splay"), thick=0.03
    )
    for z, k in ((h * 0.45, 0.75), (h, 1.0)):
        board(s, w * k, w * k, z, wood, thick=0.025, sides=10 if round_ else 4)
    s.slot("table", (0, 0, h + 0.025), (w * 0.75, w * 0.75), 1.5)
    return s


def nightstand(d: Draw) -> Shape:
    """A knee-high box with one drawer over an open shelf, or with two drawers."""
    w, depth, h = d.f(0.42, 0.58), d.f(0.38, 0.46), d.f(0.5, 0.66)
    wood, grip = d.color("wood", "paint"), d.color("metal")
    s = legs(Shape(), w, depth, 0.12, wood, thick=0.05)
    if d.chance(0.5):
        s.box((w, depth, h * 0.4), (0, 0, h * 0.6), wood)
        for sx in (-1, 1):
            s.box((0.03, depth, h * 0.6 - 0.1), (sx * (w / 2 - 0.015), 0, 0.1), wood)
        s.box((w, depth, 0.03), (0, 0, 0.12), wood)
        s.box((w, 0.02, h * 0.5), (0, -depth / 2 + 0.01, 0.12), shade(wood, 0.8))
        fronts(s, w, (h * 0.62, h - 0.02), depth / 2, shade(wood, 1.1), grip)
    else:
        s.box((w, depth, h - 0.1), (0, 0, 0.1), wood)
        fronts(s, w, (0.12, h - 0.02), depth / 2, shade(wood, 1.1), grip, rows=2)
    s.box((w + 0.05, depth + 0.04, 0.03), (0, 0.01, h), wood)
    s.slot("top", (0, 0, h + 0.03), (w, depth), 1.5)
    return s


def counter(d: Draw) -> Shape:
    """A breast-high bar: a closed body with a thick top that juts out over a recessed front."""
    w, depth, h = d.f(1.4, 2.4), d.f(0.55, 0.75), d.f(1.0, 1.12)
    body, top = d.color("wood", "paint", "stone"), d.color("stone", "wood")
    s = Shape().box((w - 0.06, depth - 0.3, h), (0, -0.12, 0), body)
    s.box((w - 0.04, depth - 0.26, 0.1), (0, -0.12, 0), shade(body, 0.7))
    s.box((w, depth, 0.07), (0, 0, h), top)
    s.slot("counter", (0, 0, h + 0.07), (w - 0.06, depth - 0.08), 1.2)
    return s


def tv_stand(d: Draw) -> Shape:
    """Long, low, open in front in two or three bays, closed doors at the ends."""
    w, depth, h = d.f(1.1, 1.8), d.f(0.38, 0.48), d.f(0.4, 0.58)
    wood = d.color("wood", "paint")
    bays, t = d.n(2, 3), 0.035
    s = Shape().box((w, depth, t), (0, 0, 0.05), wood).box((w + 0.04, depth + 0.03, t), (0, 0, h), wood)
    s.box((w - 0.05, depth - 0.05, 0.05), (0, 0, 0), shade(wood, 0.6))
    s.box((w, 0.015, h - 0.05), (0, -depth / 2 + 0.01, 0.05), shade(wood, 0.75))
    for i in range(bays + 1):
        s.box((t, depth, h - 0.05), ((i / bays - 0.5) * (w - t), 0, 0.05), wood)
    bay = w / bays
    s.box((bay - t, depth - 0.06, 0.02), (0 if bays == 3 else -bay / 2, 0, h * 0.55), wood)
    if bays == 3:
        for sx in (-1, 1):
            s.box((bay - t, 0.02, h - 0.12), (sx * bay, depth / 2 - 0.01, 0.085), shade(wood, 1.12))
    s.slot("tv_top", (0, 0.0, h + t))
    s.slot("top", (0, 0, h + t), (w - 0.05, depth - 0.03), 1.5)
    return s


def cart(d: Draw) -> Shape:
    """Two or three trays one above the other between posts, on castors, with a push bar."""
    w, depth, h = d.f(0.7, 0.95), d.f(0.42, 0.55), d.f(0.75, 0.95)
    metal, tray = d.color("metal", "plastic"), d.color("plastic", "metal", "wood")
    s = wheels(Shape(), w, depth, d.color("plastic"), 0.06)
    for sx in (-1, 1):
        for sy in (-1, 1):
            s.box((0.03, 0.03, h - 0.1), (sx * (w / 2 - 0.02), sy * (depth / 2 - 0.02), 0.1), metal)
    tiers = d.n(2, 3)
    for i in range(tiers):
        z = 0.14 + i * (h - 0.2) / (tiers - 1)
        s.box((w, depth, 0.02), (0, 0, z), tray)
        for sy in (-1, 1):
            s.box((w, 0.02, 0.07), (0, sy * depth / 2, z), tray)
        room = (h - 0.2) / (tiers - 1) - 0.05 if i < tiers - 1 else 1.0
        s.slot("shelf", (0, 0, z + 0.02), (w - 0.1, depth - 0.1), room)
    s.rod((w / 2 + 0.08, -depth / 2, h + 0.02), (w / 2 + 0.08, depth / 2, h + 0.02), 0.018, metal)
    for sy in (-1, 1):
        s.rod((w / 2, sy * depth / 2, h - 0.1), (w / 2 + 0.08, sy * depth / 2, h + 0.02), 0.015, metal)
    return s


def stand(d: Draw) -> Shape:
    """A lectern: foot plate, one post, a tilted board."""
    h, metal, wood = d.f(0.9, 1.1), d.color("metal", "wood"), d.color("wood", "plastic")
    s = Shape().box((0.45, 0.38, 0.04), (0, 0, 0), metal).box((0.09, 0.09, h), (0, 0, 0.04), metal)
    s.join(Shape().box((0.55, 0.42, 0.03), (0, 0, 0), wood), (0, 0, h + 0.02), pitch=0.35)
    return s.box((0.5, 0.03, 0.06), (0, 0.2, h - 0.07), wood)


def ironing_board(d: Draw) -> Shape:
    """A long narrow board, pointed at one end, on crossed bars; or folded and upright."""
    cover, metal = d.color("fabric"), d.color("metal")
    w, depth, h = d.f(1.15, 1.35), d.f(0.32, 0.4), d.f(0.8, 0.92)
    tip = [(-w / 2, -depth / 2), (w * 0.2, -depth / 2), (w / 2, -0.06)]
    outline_ = [*tip, *[(x, -y) for x, y in reversed(tip)]]
    s = Shape().prism(np.asarray(outline_, np.float32), 0.04, (0, 0, h), cover)
    for sy in (-1, 1):
        s.rod((-0.42, sy * 0.1, 0.02), (0.3, sy * 0.06, h), 0.014, metal)
        s.rod((0.42, sy * 0.14, 0.02), (-0.3, sy * 0.06, h), 0.014, metal)
    for x in (-0.42, 0.42):
        s.rod((x, -0.2, 0.02), (x, 0.2, 0.02), 0.018, metal)
    return s


RECIPES = (
    row("table", table, "center floor wall", "conference 6, classroom 4, kitchen 3, office 2, lounge 2, "
        "apartment 2,copyroom 2, storage, gym 0.5", textures="plain wood", open_below=True),
    row("dining table", dining_table, "center floor", "kitchen 6, apartment 5, lounge",
        textures="wood plain", open_below=True),
    row("desk", desk, "wall floor", "office 9, bedroom 4, classroom 2, copyroom, apartment",
        textures="wood plain", open_below=True, group=2),
    row("coffee table", coffee_table, "center floor", "lounge 9, apartment 5, bedroom, office 0.5, hallway",
        textures="wood plain"),
    row("end table", end_table, "wall floor", "lounge 7, bedroom 3, apartment 3, hallway",
        textures="wood plain"),
    row("nightstand", nightstand, "bedside wall", "bedroom 9, apartment 4", textures="wood plain", group=2),
    row("counter", counter, "wall floor", "kitchen 3, copyroom 4, hallway 2, office, lounge, laundry, "
        "storage", textures="speckle wood plain"),
    row("tv stand", tv_stand, "wall", "lounge 6, bedroom 4, apartment 4", textures="wood plain"),
    row("cart", cart, "wall floor", "storage 4, copyroom 3, office, classroom, kitchen, laundry"),
    row("stand", stand, "floor wall", "classroom 4, conference 3, lounge, office, hallway 2",
        textures="wood plain"),
    row("ironing board", ironing_board, "floor wall", "laundry 5, bedroom 3, storage", turns=True,
        textures="stripes plain"),
)  # fmt: skip
