"""Kitchens and laundries: worktops, cupboards, large appliances."""

from __future__ import annotations

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import fronts, handle, pad, rings
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Color, Shape, Slot


def slab_with_hole(s: Shape, w: float, d: float, z: float, thick: float, color: Color) -> Shape:
    """Worktop with a plate over a hole that a sink may take; its free parts are slots."""
    hole_w, hole_d = min(0.5, w * 0.5), d * 0.62
    side = (w - hole_w) / 2
    for sx in (-1, 1):
        s.box((side, d, thick), (sx * (hole_w + side) / 2, 0, z), color)
        s.slot("counter", (sx * (hole_w + side) / 2, 0, z + thick), (side - 0.03, d - 0.06), 0.55)
    for sy in (-1, 1):
        s.box((hole_w, (d - hole_d) / 2, thick), (0, sy * (hole_d + d) / 4, z), color)
    first = len(s)
    s.box((hole_w, hole_d, thick), (0, 0, z), color)
    s.slots.append(Slot("sink_hole", (0.0, 0.0, z + thick), cover=(first, len(s))))
    return s


def kitchen_counter(d: Draw) -> Shape:
    """A worktop with an upstand at the wall; what is below it is somebody else's."""
    w, depth, h = d.f(1.2, 2.4), d.f(0.6, 0.66), 0.88
    stone, side = d.color("stone", "wood"), d.color("wood", "paint")
    s = Shape()
    slab_with_hole(s, w, depth, h, 0.045, stone)
    s.box((w, 0.03, 0.14), (0, -depth / 2 + 0.015, h + 0.045), stone)
    for sx in (-1, 1):
        s.box((0.03, depth - 0.05, h), (sx * (w / 2 - 0.015), 0, 0), side)
    s.box((w, 0.02, h), (0, -depth / 2 + 0.03, 0), shade(side, 0.7))
    s.slot("undercounter", (0, 0.0, 0), (w - 0.08, depth - 0.06), h - 0.01)
    return s


def kitchen_cabinet(d: Draw) -> Shape:
    """A cupboard with doors under a row of drawers, made to stand in line under a worktop."""
    w, depth, h = d.f(0.45, 0.9), 0.54, 0.85
    wood, grip = d.color("wood", "paint"), d.color("metal")
    s = Shape().box((w, depth - 0.06, 0.1), (0, -0.03, 0), shade(wood, 0.5))
    s.box((w, depth, h - 0.1), (0, 0, 0.1), wood)
    cols = 2 if w > 0.6 else 1
    fronts(s, w, (0.12, h * 0.74), depth / 2, shade(wood, 1.08), grip, cols=cols, style="door", relief=0.03)
    return fronts(s, w, (h * 0.74, h - 0.01), depth / 2, shade(wood, 1.08), grip, cols=cols, relief=0.03)


def wall_cupboard(d: Draw) -> Shape:
    """A shallow cupboard at head height, doors only, with a light rail below."""
    w, depth, h = d.f(0.6, 1.3), d.f(0.3, 0.36), d.f(0.6, 0.8)
    wood = d.color("wood", "paint")
    s = Shape().box((w, depth, h), (0, depth / 2, 0), wood)
    fronts(s, w, (0.0, h), depth, shade(wood, 1.08), d.color("metal"), cols=2 + (w > 1.0), style="door")
    return s.box((w, 0.03, 0.05), (0, depth - 0.02, -0.05), shade(wood, 0.8))


def refrigerator(d: Draw) -> Shape:
    """Man-high, two doors one above the other or side by side, long bar handles, rounded edges."""
    w, depth, h = d.f(0.68, 0.92), d.f(0.62, 0.74), d.f(1.65, 1.85)
    body, grip = d.color("metal", "plastic", "ceramic"), d.color("metal")
    s = Shape().box((w - 0.02, depth, h), (0, 0, 0), shade(body, 0.9))
    if d.chance(0.6):
        split = h * (0.34 if d.chance(0.5) else 0.66)
        for low, high in ((0.06, split - 0.01), (split + 0.01, h)):
            pad(s, (w, 0.08, high - low), (0, depth / 2 + 0.04, low), body, round_=0.02, chamfer=0.5)
            handle(
                s,
                (-w * 0.4, depth / 2 + 0.08, (low + high) / 2),
                (high - low) * 0.6,
                grip,
                upright=True,
                reach=0.06,
            )
    else:
        for sx in (-1, 1):
            pad(
                s,
                (w / 2 - 0.01, 0.08, h - 0.06),
                (sx * w / 4, depth / 2 + 0.04, 0.06),
                body,
                round_=0.02,
                chamfer=0.5,
            )
            handle(s, (sx * 0.05, depth / 2 + 0.08, h * 0.55), h * 0.5, grip, upright=True, reach=0.06)
    s.slot("top", (0, 0, h), (w - 0.1, depth - 0.1), 0.5)
    return s


def mini_fridge(d: Draw) -> Shape:
    """Knee- to hip-high, one door with a grip recess along its top edge."""
    w, depth, h = d.f(0.46, 0.56), d.f(0.46, 0.54), d.f(0.55, 0.86)
    body = d.color("metal", "plastic", "ceramic")
    s = (
        Shape()
        .box((w, depth, h), (0, 0, 0.03), body)
        .box((w - 0.06, depth - 0.06, 0.03), (0, 0, 0), shade(body, 0.4))
    )
    pad(s, (w, 0.07, h - 0.1), (0, depth / 2 + 0.035, 0.04), shade(body, 1.06), round_=0.03, chamfer=0.5)
    s.box((w, 0.04, 0.05), (0, depth / 2 + 0.01, h - 0.03), shade(body, 0.5))
    s.slot("top", (0, 0, h + 0.03), (w, depth), 0.8)
    return s


def dishwasher(d: Draw) -> Shape:
    """A flat full-width door with one long level handle under a control strip; fits under a worktop."""
    w, depth, h = 0.6, 0.52, 0.84
    body = d.color("metal", "plastic", "ceramic")
    s = Shape().box((w, depth, h - 0.1), (0, 0, 0.1), shade(body, 0.9))
    s.box((w, depth - 0.08, 0.1), (0, -0.04, 0), shade(body, 0.4))
    s.box((w - 0.02, 0.03, 0.54), (0, depth / 2 + 0.015, 0.12), body)
    s.box((w - 0.02, 0.04, 0.12), (0, depth / 2 + 0.02, h - 0.13), d.color("plastic", "metal"))
    return handle(s, (0, depth / 2 + 0.03, 0.65), w * 0.85, d.color("metal"), upright=False, reach=0.06)


def stove(d: Draw) -> Shape:
    """Four burners on a hob with a raised panel behind, an oven door with a window below."""
    w, depth, h = d.f(0.58, 0.76), d.f(0.6, 0.66), 0.9
    body, dark, metal = d.color("metal", "ceramic", "plastic"), d.color("screen"), d.color("metal")
    s = Shape().box((w, depth, h), (0, 0, 0), body).box((w, 0.07, 0.2), (0, -depth / 2 + 0.035, h), body)
    for sx in (-1, 1):
        for sy in (-1, 1):
            s.cylinder(0.1, 0.03, (sx * w * 0.24, sy * depth * 0.2 + 0.03, h), dark)
    s.box((w - 0.04, 0.03, 0.46), (0, depth / 2 + 0.015, 0.22), body)
    s.box((w * 0.6, 0.015, 0.24), (0, depth / 2 + 0.035, 0.32), dark)
    s.box((w - 0.04, 0.03, 0.16), (0, depth / 2 + 0.015, 0.03), body)
    handle(s, (0, depth / 2 + 0.03, 0.66), w * 0.8, metal, upright=False, reach=0.06)
    for k in (-0.36, -0.18, 0.18, 0.36):
        s.box((0.05, 0.04, 0.05), (k * w, depth / 2 + 0.02, h - 0.1), metal)
    s.slot("above_stove", (0, -depth / 2, 1.55))
    s.slot("hob", (w * 0.24, -depth * 0.17 + 0.03, h + 0.03))
    return s


def oven(d: Draw) -> Shape:
    """Two ovens one above the other in a tall housing: two windows, two level handles."""
    w, depth, h = d.f(0.62, 0.76), d.f(0.58, 0.64), d.f(1.5, 1.9)
    body, dark, metal = d.color("wood", "metal"), d.color("screen"), d.color("metal", "ceramic")
    s = Shape().box((w, depth, h), (0, 0, 0), body)
    for low in (0.35, 0.35 + h * 0.36):
        s.box((w - 0.06, 0.04, h * 0.33), (0, depth / 2 + 0.02, low), metal)
        s.box((w * 0.65, 0.015, h * 0.17), (0, depth / 2 + 0.045, low + 0.07), dark)
        handle(s, (0, depth / 2 + 0.04, low + h * 0.26), w * 0.75, metal, upright=False, reach=0.07)
    return s


def range_hood(d: Draw) -> Shape:
    """A flat wide skirt that narrows into a duct up to the ceiling."""
    w, depth = d.f(0.6, 0.9), d.f(0.45, 0.52)
    metal = d.color("metal", "ceramic", "plastic")
    s = Shape().box((w, depth, 0.07), (0, depth / 2, 0), metal)
    narrow, up = 0.3, d.f(0.25, 0.4)
    levels = rings([(w, depth, 0.07), (narrow, narrow, up)])
    levels[1, :, 1] -= (depth - narrow) / 2
    s.loft(levels, (0, depth / 2, 0), metal)
    return s.box((narrow, narrow, min(0.8, max(0.1, d.room_height - 1.62 - up))), (0, narrow / 2, up), metal)


def washing_machine(d: Draw) -> Shape:
    """A cube with a round door in front and a narrow control strip."""
    w, depth, h = d.f(0.58, 0.68), d.f(0.56, 0.66), d.f(0.84, 0.96)
    body = d.color("ceramic", "metal", "plastic")
    s = Shape().box((w, depth, h), (0, 0, 0), body)
    center = (0, depth / 2, h * 0.48)
    s.rod(center, (0, depth / 2 + 0.06, h * 0.48), 0.22, d.color("metal", "plastic"), sides=12, top=0.9)
    s.rod(
        (0, depth / 2 + 0.06, h * 0.48), (0, depth / 2 + 0.075, h * 0.48), 0.15, d.color("screen"), sides=12
    )
    s.box((w - 0.03, 0.025, 0.12), (0, depth / 2 + 0.012, h - 0.14), shade(body, 0.85))
    s.slot("top", (0, 0, h), (w, depth), 0.8)
    return s


def clothes_dryer(d: Draw) -> Shape:
    """Like a washing machine, but with a square door and a console that rises at the back."""
    w, depth, h = d.f(0.64, 0.7), d.f(0.64, 0.72), d.f(0.88, 0.98)
    body = d.color("ceramic", "metal", "plastic")
    s = Shape().box((w, depth, h), (0, 0, 0), body)
    console = rings([(w, 0.2, 0), (w, 0.08, 0.22)])
    console[1, :, 1] -= 0.06
    s.loft(console, (0, -depth / 2 + 0.1, h), shade(body, 0.9))
    s.box((w * 0.62, 0.04, h * 0.42), (0, depth / 2 + 0.02, h * 0.4), shade(body, 1.1))
    s.box((0.05, 0.06, 0.14), (w * 0.26, depth / 2 + 0.05, h * 0.55), shade(body, 0.6))
    s.slot("top", (0, 0.08, h), (w, depth - 0.24), 0.8)
    return s


def microwave(d: Draw) -> Shape:
    """A shoe box with a dark window on the left and a panel of keys on the right."""
    w, depth, h = d.f(0.46, 0.58), d.f(0.34, 0.42), d.f(0.26, 0.32)
    body = d.color("plastic", "metal", "ceramic")
    s = (
        Shape()
        .box((w, depth, h - 0.02), (0, 0, 0.02), body)
        .box((w - 0.06, depth - 0.06, 0.02), (0, 0, 0), body)
    )
    s.box((w * 0.68, 0.025, h - 0.07), (-w * 0.13, depth / 2 + 0.012, 0.05), d.color("screen"))
    s.box((w * 0.2, 0.015, h - 0.07), (w * 0.36, depth / 2 + 0.007, 0.05), shade(body, 0.7))
    return handle(
        s, (w * 0.2, depth / 2 + 0.02, h * 0.55), h * 0.7, d.color("metal"), upright=True, reach=0.05
    )


def water_cooler(d: Draw) -> Shape:
    """A waist-high column with a tap niche and a big bottle upside down on top."""
    body = d.color("plastic", "ceramic", "metal")
    s = Shape().box((0.32, 0.32, 0.95), (0, 0, 0), body)
    s.box((0.26, 0.05, 0.25), (0, 0.17, 0.6), shade(body, 0.5)).box((0.28, 0.12, 0.03), (0, 0.2, 0.57), body)
    for sx in (-1, 1):
        s.box((0.04, 0.08, 0.05), (sx * 0.06, 0.21, 0.78), d.color("plastic"))
    return s.lathe(
        [(0.04, 0), (0.13, 0.08), (0.14, 0.38), (0.1, 0.4)], (0, 0, 0.95), d.color("glass"), sides=10
    )


KITCHEN = "kitchen 8, apartment 4, copyroom"

RECIPES = (
    row("kitchen counter", kitchen_counter, "wall floor", "kitchen 9, apartment 5, office 0.3, copyroom",
        textures="speckle plain"),
    row("kitchen cabinet", kitchen_cabinet, "undercounter wall", "kitchen 9, apartment 5, copyroom",
        group=4, textures="wood plain"),
    row("kitchen cabinet", wall_cupboard, "hang", z=(1.35, 1.5), textures="wood plain"),
    row("refrigerator", refrigerator, "wall", KITCHEN),
    row("mini fridge", mini_fridge, "wall under", "bedroom 4, office 2, lounge 2, apartment 2, kitchen"),
    row("dishwasher", dishwasher, "undercounter wall", "kitchen 8, apartment 3"),
    row("stove", stove, "wall", "kitchen 9, apartment 5"),
    row("oven", oven, "wall", "kitchen 9, apartment 4"),
    row("range hood", range_hood, "above_stove hang", "kitchen 9, apartment 4", z=(1.5, 1.65)),
    row("washing machine", washing_machine, "wall", "laundry 9, bathroom, apartment, kitchen 0.5", group=3),
    row("clothes dryer", clothes_dryer, "wall", "laundry 9, bathroom 0.3, apartment 0.5", group=3),
    row("microwave", microwave, "counter table top shelf desk", "kitchen 9, apartment 4, copyroom 2, "
        "office, bedroom 2, lounge"),
    row("water cooler", water_cooler, "wall", "copyroom 3, office 2, hallway 3, kitchen 2, gym 3, lounge"),
)  # fmt: skip
