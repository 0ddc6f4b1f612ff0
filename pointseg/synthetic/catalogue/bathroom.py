"""Bathrooms: basins, tubs, showers, washstands."""

from __future__ import annotations

import math

from pointseg.synthetic.catalogue.kitchen import slab_with_hole
from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.parts import bent, frame, fronts, rings, tub, wavy
from pointseg.synthetic.recipe import row
from pointseg.synthetic.shapes import Color, Shape


def toilet(d: Draw) -> Shape:
    """A cistern at the wall, an egg-shaped bowl on a foot, a lid that is up or down."""
    white = d.color("ceramic")
    tall = d.f(0.7, 0.8)
    s = (
        Shape()
        .box((0.44, 0.18, tall - 0.4), (0, -0.26, 0.38), white)
        .box((0.47, 0.21, 0.04), (0, -0.26, tall - 0.02), white)
    )
    bowl = rings(
        [(0.22, 0.4, 0), (0.24, 0.36, 0.18), (0.38, 0.52, 0.38), (0.3, 0.42, 0.39), (0.16, 0.24, 0.2)], 0.13
    )
    s.loft(bowl, (0, 0.08, 0), white)
    lid = Shape().loft(rings([(0.37, 0.44, 0), (0.36, 0.43, 0.03)], 0.13), (0, 0.22, 0), shade(white, 0.95))
    if d.chance(0.5):
        s.join(lid, (0, -0.14, 0.4))
    else:
        s.join(lid, (0, -0.15, 0.42), pitch=math.radians(96))
    s.slot("tank", (0, -0.26, tall + 0.02), (0.4, 0.17), 0.5)
    s.slot("beside_toilet", (0.42, -0.2, 0))
    return s


def sink(d: Draw) -> Shape:
    """A basin with a rim and a tap; alone it hangs from nothing but its own foot."""
    w, depth, white, metal = d.f(0.44, 0.56), d.f(0.38, 0.46), d.color("ceramic", "metal"), d.color("metal")
    s = Shape().cylinder(0.1, 0.66, (0, -0.06, 0), white, top=0.8)
    _basin(s, w, depth, 0.64, 0.2, white)
    return _tap(s, depth, 0.84, metal)


def sunk_sink(d: Draw) -> Shape:
    """The same basin without a foot, its rim at the origin's height: sunk into a worktop."""
    w, depth, white = d.f(0.48, 0.56), d.f(0.38, 0.44), d.color("ceramic", "metal")
    s = Shape()
    _basin(s, w, depth, -0.18, 0.2, white)
    return _tap(s, depth, 0.02, d.color("metal"))


def _basin(s: Shape, w: float, d: float, z: float, h: float, color: Color) -> Shape:
    levels = [(w * 0.5, d * 0.5, 0), (w * 0.86, d * 0.84, h * 0.8), (w, d, h * 0.88), (w, d, h)]
    inner = [(w - 0.07, d - 0.07, h), (w * 0.75, d * 0.72, h * 0.4), (w * 0.4, d * 0.35, h * 0.22)]
    return s.loft(rings(levels + inner, 0.1), (0, 0, z), color)


def _tap(s: Shape, d: float, z: float, color: Color) -> Shape:
    y = -d / 2 + 0.04
    return bent(
        s,
        [(0, y, z), (0, y, z + 0.16), (0, y + 0.06, z + 0.2), (0, y + 0.15, z + 0.17)],
        0.018,
        color,
        sides=5,
    )


def bathtub(d: Draw) -> Shape:
    """A long trough with a broad rim, one end sloped, a tap at the other."""
    w, depth, h = d.f(1.45, 1.7), d.f(0.7, 0.8), d.f(0.42, 0.56)
    white = d.color("ceramic")
    outer = [(w, depth, 0), (w, depth, h)]
    inner = [(w - 0.16, depth - 0.16, h), (w - 0.3, depth - 0.24, h * 0.5), (w - 0.5, depth - 0.34, 0.1)]
    s = Shape().loft(rings(outer + inner), (0, 0, 0), white)
    bent(
        s,
        [(w / 2 - 0.05, 0, h), (w / 2 - 0.05, 0, h + 0.12), (w / 2 - 0.2, 0, h + 0.1)],
        0.022,
        d.color("metal"),
    )
    s.slot("tub_front", (0, depth / 2 + 0.03, 0.15))
    s.slot("tub_rod", (0, depth / 2 + 0.03, 2.0))
    s.slot("tub_head", (w / 2 - 0.02, 0, 1.85), yaw=math.pi / 2)
    s.slot("tub_rim", (-w * 0.3, -depth / 2 + 0.05, h))
    return s


def shower_curtain(d: Draw) -> Shape:
    """A deeply folded cloth from above the head to the shins, standing free of any wall."""
    w, h = d.f(0.7, 1.5), d.f(1.65, 1.85)
    grid = wavy(w, h, waves=w * 6, depth=0.12)
    return Shape().sheet(grid, d.color("fabric", "paper", "glass"), 0.012)


def shower_rod(d: Draw) -> Shape:
    """A tube with a round plate at each end."""
    w, metal, r = d.f(1.3, 1.6), d.color("metal", "ceramic"), d.f(0.02, 0.028)
    s = Shape().rod((-w / 2, 0, 0), (w / 2, 0, 0), r, metal)
    for sx in (-1, 1):
        s.rod((sx * (w / 2 - 0.03), 0, 0), (sx * w / 2, 0, 0), 0.055, metal, sides=8)
    return s


def shower(d: Draw) -> Shape:
    """A whole cabin: tray, two panes at the walls, a framed front, a pipe with a head inside."""
    w, h = d.f(0.85, 1.0), d.f(1.95, 2.1)
    pane, metal = d.color("glass", "ceramic"), d.color("metal")
    s = tub(Shape(), (w, w, 0.12), (0, 0, 0), d.color("ceramic"), wall=0.05, floor=0.04)
    s.box((w, 0.02, h), (0, -w / 2 + 0.01, 0.1), pane).box((0.02, w, h), (-w / 2 + 0.01, 0, 0.1), pane)
    front = frame(Shape(), w, h, metal, wide=0.05, deep=0.04)
    s.join(front, (0, w / 2 - 0.04, 0.1)).join(front, (w / 2 - 0.04, 0, 0.1), yaw=-math.pi / 2)
    if d.chance(0.5):
        s.box((w / 2, 0.012, h - 0.1), (-w / 4, w / 2 - 0.03, 0.15), d.color("glass"))
    bent(s, [(0, -w / 2 + 0.03, 1.0), (0, -w / 2 + 0.03, 1.9), (0, -w / 2 + 0.2, 1.95)], 0.02, metal)
    return s.cylinder(0.03, 0.05, (0, -w / 2 + 0.22, 1.89), metal, top=3.0)


def shower_wall(d: Draw) -> Shape:
    """Tiled panels round a corner: two or three tall slabs with a low kerb between them."""
    w, h, t = d.f(0.9, 1.5), d.f(1.9, 2.15), 0.04
    tile = d.color("ceramic", "stone", "paint")
    side = d.f(0.75, 0.9)
    s = Shape().box((w, t, h), (0, -side / 2, 0), tile)
    for sx in (-1, 1):
        s.box((t, side, h), (sx * (w - t) / 2, t / 2, 0), tile)
    s.slot("shower_tray", (0, 0.02, 0.0))
    s.slot("tub_head", (0, -side / 2 + t, 1.85))
    s.slot("shower_front", (0, side / 2 + 0.02, 0.0))
    s.slot("tub_rod", (0, side / 2, 2.0))
    s.slot("tub_front", (0, side / 2 + 0.02, 0.15))
    s.slot("shower_niche", (-w * 0.2, -side / 2 + t, 1.1))
    return s


def shower_door(d: Draw) -> Shape:
    """A glass leaf in a thin metal frame with a long pull bar across."""
    w, h, metal = d.f(0.65, 0.85), d.f(1.8, 2.0), d.color("metal")
    s = frame(Shape(), w, h, metal, wide=0.04, deep=0.04)
    s.box((w - 0.06, 0.012, h - 0.06), (0, 0.02, 0.03), d.color("glass"))
    s.rod((-w * 0.35, 0.08, h * 0.5), (w * 0.35, 0.08, h * 0.5), 0.016, metal)
    for sx in (-1, 1):
        s.rod((sx * w * 0.3, 0.02, h * 0.5), (sx * w * 0.3, 0.08, h * 0.5), 0.012, metal)
    return s


def shower_floor(d: Draw) -> Shape:
    """A flat tray with a raised kerb and a drain in the middle."""
    w = d.f(0.78, 0.84)
    s = tub(Shape(), (w, 0.72, 0.1), (0, 0, 0), d.color("ceramic", "stone"), wall=0.06, floor=0.03)
    return s.cylinder(0.06, 0.012, (0, 0, 0.03), d.color("metal"))


def shower_head(d: Draw) -> Shape:
    """A bent arm from the wall that ends in a wide rose."""
    metal, r = d.color("metal", "ceramic"), d.f(0.08, 0.12)
    s = Shape().rod((0, 0, 0.12), (0, 0.02, 0.12), 0.05, metal)
    bent(s, [(0, 0.01, 0.12), (0, 0.12, 0.16), (0, 0.2, 0.1)], 0.02, metal)
    return s.cylinder(r, 0.05, (0, 0.22, 0.03), metal, top=0.35, sides=10)


def bathroom_vanity(d: Draw) -> Shape:
    """A washstand: doors below, a top with an upstand and a hole for the basin."""
    w, depth, h = d.f(0.75, 1.4), d.f(0.5, 0.56), d.f(0.76, 0.84)
    wood, stone = d.color("wood", "paint"), d.color("stone", "ceramic")
    s = Shape()
    for sx in (-1, 1):
        s.box((0.03, depth - 0.04, h - 0.08), (sx * (w / 2 - 0.03), 0, 0.08), wood)
    s.box((w - 0.04, 0.03, h - 0.08), (0, depth / 2 - 0.04, 0.08), wood)
    s.box((w - 0.1, depth - 0.1, 0.08), (0, 0, 0), shade(wood, 0.5)).box(
        (w - 0.04, 0.02, h - 0.08), (0, -depth / 2 + 0.02, 0.08), wood
    )
    fronts(
        s,
        w - 0.04,
        (0.1, h - 0.12),
        depth / 2 - 0.025,
        shade(wood, 1.1),
        d.color("metal"),
        cols=2 + (w > 1.1),
        style="door",
    )
    slab_with_hole(s, w, depth, h, 0.05, stone)
    s.box((w, 0.03, 0.1), (0, -depth / 2 + 0.015, h + 0.05), stone)
    s.slot("above_basin", (0, -depth / 2, h + 0.35))
    return s


def bathroom_counter(d: Draw) -> Shape:
    """A long top fixed to the wall with a deep apron in front and nothing below but two brackets."""
    w, depth, h = d.f(1.2, 2.0), d.f(0.5, 0.58), d.f(0.76, 0.84)
    stone = d.color("stone", "ceramic", "wood")
    s = Shape()
    slab_with_hole(s, w, depth, h, 0.05, stone)
    s.box((w, 0.04, 0.2), (0, depth / 2 - 0.02, h - 0.2), stone).box(
        (w, 0.03, 0.12), (0, -depth / 2 + 0.015, h + 0.05), stone
    )
    for sx in (-1, 1):
        s.box((0.05, depth * 0.9, 0.2), (sx * (w / 2 - 0.03), 0, h - 0.2), stone)
        s.box((0.06, 0.1, h - 0.2), (sx * (w / 2 - 0.1), -depth / 2 + 0.07, 0), d.color("metal"))
    s.slot("above_basin", (0, -depth / 2, h + 0.35))
    return s


def bathroom_cabinet(d: Draw) -> Shape:
    """A shallow cupboard at face height over an open shelf."""
    w, depth, h = d.f(0.5, 0.8), d.f(0.14, 0.2), d.f(0.55, 0.75)
    wood = d.color("wood", "paint", "metal")
    s = Shape().box((w, depth, h - 0.18), (0, depth / 2, 0.18), wood)
    fronts(s, w, (0.18, h), depth, shade(wood, 1.1), d.color("metal"), cols=2, style="door")
    for sx in (-1, 1):
        s.box((0.025, depth, 0.18), (sx * (w / 2 - 0.012), depth / 2, 0), wood)
    s.box((w, depth, 0.025), (0, depth / 2, 0), wood)
    s.slot("shelf", (0, depth / 2, 0.025), (w - 0.06, depth - 0.01), 0.14)
    return s


RECIPES = (
    row("toilet", toilet, "stall_in wall", "bathroom 9"),
    row("sink", sunk_sink, "sink_hole", "bathroom 9, kitchen 6, apartment 3, laundry, bedroom",
        mount="sunk"),
    row("sink", sink, "wall"),
    row("bathtub", bathtub, "wall corner", "bathroom 9, apartment"),
    row("shower curtain", shower_curtain, "tub_front hang", "bathroom 9", z=(0.1, 0.2),
        textures="stripes plain checker"),
    row("shower curtain rod", shower_rod, "tub_rod hang", "bathroom 9", z=(1.9, 2.1)),
    row("shower", shower, "corner wall", "bathroom 9", textures="checker plain"),
    row("shower wall", shower_wall, "corner wall", "bathroom 9", textures="checker plain speckle"),
    row("shower door", shower_door, "shower_front hang", "bathroom 9", z=(0.05, 0.12)),
    row("shower floor", shower_floor, "shower_tray corner floor", "bathroom 9", textures="checker speckle"),
    row("shower head", shower_head, "tub_head hang", "bathroom 9, gym", z=(1.75, 1.95)),
    row("bathroom vanity", bathroom_vanity, "wall", "bathroom 9, bedroom", textures="plain wood"),
    row("bathroom counter", bathroom_counter, "wall", "bathroom 9", textures="speckle plain"),
    row("bathroom cabinet", bathroom_cabinet, "hang", "bathroom 9", z=(1.25, 1.45)),
)  # fmt: skip
