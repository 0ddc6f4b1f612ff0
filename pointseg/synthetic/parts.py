"""Parts that many recipes are put together from: legs, boards, drawers, tubs, pads, cloth, knobs, handles.

Lengths are metres; ``w``, ``d`` and ``h`` are width (x), depth (y) and height (z), as in the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.shapes import Color, Shape, Vec

TABLE_LEGS = ("four", "panel", "sled", "trestle")


def outline(w: float, d: float, chamfer: float = 0.0) -> npt.NDArray[np.float32]:
    """Rectangle, (4, 2), or with cut corners, (8, 2); counter-clockwise."""
    x, y = w / 2, d / 2
    if not chamfer:
        return np.array([[-x, -y], [x, -y], [x, y], [-x, y]], np.float32)
    c = min(chamfer, 0.9 * x, 0.9 * y)
    return np.array(
        [
            [-x + c, -y],
            [x - c, -y],
            [x, -y + c],
            [x, y - c],
            [x - c, y],
            [-x + c, y],
            [-x, y - c],
            [-x, -y + c],
        ],
        np.float32,
    )


def rings(levels: Sequence[tuple[float, float, float]], chamfer: float = 0.0) -> npt.NDArray[np.float32]:
    """(R, 4 or 8, 3) rings for :meth:`Shape.loft` from (width, depth, height) levels."""
    stack = []
    for w, d, h in levels:
        ring = outline(max(w, 1e-3), max(d, 1e-3), chamfer)
        stack.append(np.column_stack([ring, np.full(len(ring), h, np.float32)]))
    return np.stack(stack)


def tub(
    s: Shape,
    size: Vec,
    at: Vec,
    color: Color,
    *,
    base: float = 1.0,
    wall: float = 0.02,
    floor: float = 0.02,
    chamfer: float = 0.0,
) -> Shape:
    """Vessel open above; ``base`` is the lower over the upper width, ``floor`` the bottom's thickness."""
    w, d, h = size
    levels = [
        (w * base, d * base, 0.0),
        (w, d, h),
        (w - 2 * wall, d - 2 * wall, h),
        (w * base - 2 * wall, d * base - 2 * wall, floor),
    ]
    return s.loft(rings(levels, chamfer), at, color)


def pad(s: Shape, size: Vec, at: Vec, color: Color, *, round_: float = 0.3, chamfer: float = 0.25) -> Shape:
    """Upholstered block: edges rounded by ``round_`` of the height, corners cut by ``chamfer``."""
    w, d, h = size
    inset = round_ * h
    levels = [
        (w - inset, d - inset, 0.0),
        (w, d, inset * 0.7),
        (w, d, h - inset * 0.7),
        (w - 1.4 * inset, d - 1.4 * inset, h),
    ]
    return s.loft(rings(levels, chamfer * min(w, d) * 0.5), at, color)


def legs(
    s: Shape, w: float, d: float, h: float, color: Color, *, style: str = "four", thick: float = 0.05
) -> Shape:
    """What carries a board of w x d at height h: ``four``, ``panel``, ``sled``, ``trestle``, ``pedestal``,
    ``splay``."""
    x, y = w / 2 - thick / 2 - 0.02, d / 2 - thick / 2 - 0.02
    if style == "four":
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            s.box((thick, thick, h), (sx * x, sy * y, 0), color)
    elif style == "splay":
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            s.rod((sx * x * 1.05, sy * y * 1.05, 0), (sx * x * 0.7, sy * y * 0.7, h), thick / 2, color)
    elif style == "panel":
        for sx in (-1, 1):
            s.box((thick, d * 0.9, h), (sx * x, 0, 0), color)
    elif style == "sled":
        for sx in (-1, 1):
            s.box((thick, 2 * y, thick), (sx * x, 0, 0), color)
            for sy in (-1, 1):
                s.box((thick, thick, h), (sx * x, sy * y, 0), color)
    elif style == "trestle":
        for sx in (-1, 1):
            s.box((thick, 2 * y, thick), (sx * x * 0.75, 0, 0), color)
            s.box((thick * 1.4, thick * 1.4, h), (sx * x * 0.75, 0, 0), color)
        s.box((1.5 * x, thick, thick), (0, 0, h * 0.35), color)
    else:
        s.cylinder(min(w, d) * 0.32, 0.04, (0, 0, 0), color)
        s.cylinder(thick * 0.9, h, (0, 0, 0), color)
    return s


def board(
    s: Shape, w: float, d: float, z: float, color: Color, *, thick: float = 0.035, sides: int = 4
) -> Shape:
    """Table top whose lower face is at ``z``: a rectangle, or an ellipse of ``sides`` > 4."""
    if sides == 4:
        return s.box((w, d, thick), (0, 0, z), color)
    angle = (np.arange(sides) + 0.5) * (2 * math.pi / sides)
    ellipse = np.stack([np.cos(angle) * w / 2, np.sin(angle) * d / 2], axis=1)
    return s.prism(ellipse, thick, (0, 0, z), color)


def handle(s: Shape, at: Vec, length: float, color: Color, *, upright: bool, reach: float = 0.035) -> Shape:
    """Bar handle in front of the face at ``at``."""
    size = (0.022, reach, length) if upright else (length, reach, 0.022)
    return s.box(size, (at[0], at[1] + reach / 2, at[2] - size[2] / 2), color)


def fronts(
    s: Shape,
    w: float,
    z: tuple[float, float],
    y: float,
    color: Color,
    grip: Color,
    *,
    rows: int = 1,
    cols: int = 1,
    style: str = "drawer",
    relief: float = 0.02,
) -> Shape:
    """Drawer or door fronts on the face at ``y``: plates with a seam between and a grip on each."""
    seam = 0.02
    cell_w, cell_h = w / cols, (z[1] - z[0]) / rows
    for r in range(rows):
        for c in range(cols):
            x = -w / 2 + (c + 0.5) * cell_w
            low = z[0] + r * cell_h
            s.box((cell_w - seam, relief, cell_h - seam), (x, y + relief / 2, low + seam / 2), color)
            if style == "drawer":
                handle(s, (x, y + relief, low + 0.6 * cell_h), cell_w * 0.35, grip, upright=False)
            else:
                side = (1 if c % 2 == 0 else -1) if cols > 1 else 1
                at = (x + side * (cell_w / 2 - 0.06), y + relief, low + cell_h * 0.5)
                handle(s, at, min(0.25, cell_h * 0.4), grip, upright=True)
    return s


def shelves(
    s: Shape, w: float, d: float, h: float, color: Color, *, count: int, back: bool, kind: str = "shelf"
) -> Shape:
    """Open carcass with ``count`` boards (top and bottom included), each a slot."""
    t = 0.03
    for sx in (-1, 1):
        s.box((t, d, h), (sx * (w - t) / 2, 0, 0), color)
    if back:
        s.box((w - 2 * t, 0.015, h), (0, -d / 2 + 0.0075, 0), shade(color, 0.9))
    pitch = (h - t) / (count - 1)
    for i in range(count):
        z = 0.02 + i * pitch if i < count - 1 else h - t
        s.box((w - 2 * t, d - 0.02, t), (0, 0.005, z), color)
        headroom = pitch - t - 0.01 if i < count - 1 else 3.0
        s.slot(kind, (0, 0.01, z + t), (w - 2 * t - 0.02, d - 0.04), headroom)
    return s


def wavy(w: float, h: float, *, waves: float, depth: float, phase: float = 0.0) -> npt.NDArray[np.float32]:
    """(2, M, 3) grid of a hanging cloth that faces +y, its folds ``depth`` deep."""
    steps = max(6, round(waves * 4) + 1)
    x = np.linspace(-w / 2, w / 2, steps)
    y = depth * (0.55 + 0.45 * np.sin(np.linspace(0, 2 * math.pi * waves, steps) + phase))
    rows = [np.column_stack([x, y * (1.15 if z == 0 else 0.8), np.full(steps, z)]) for z in (0.0, h)]
    return np.stack(rows).astype(np.float32)


def heap(d: Draw, w: float, depth: float, h: float, *, cells: int = 5) -> npt.NDArray[np.float32]:
    """(N, N, 3) grid of crumpled cloth that lies on z = 0, at most ``h`` high, facing up."""
    t = np.linspace(-1, 1, cells + 1)
    gx, gy = np.meshgrid(t, t, indexing="ij")
    bulge = np.clip(1.05 - np.maximum(np.abs(gx), np.abs(gy)) ** 3, 0, 1)
    z = bulge * d.rng.uniform(0.35, 1.0, gx.shape) * h
    edge = (np.abs(gx) == 1) | (np.abs(gy) == 1)
    z[edge] = 0.004
    jitter = d.rng.uniform(-0.5, 0.5, (2, *gx.shape)) / cells
    x = (gx + jitter[0]) * w / 2
    y = (gy + jitter[1]) * depth / 2
    return np.stack([x, y, z], axis=-1).astype(np.float32)


def frame(s: Shape, w: float, h: float, color: Color, *, wide: float, deep: float, z: float = 0.0) -> Shape:
    """Upright rectangular frame in the x-z plane, its back at y = 0."""
    y = deep / 2
    for sx in (-1, 1):
        s.box((wide, deep, h), (sx * (w - wide) / 2, y, z), color)
    for low in (z, z + h - wide):
        s.box((w - 2 * wide, deep, wide), (0, y, low), color)
    return s


def arc(
    radius: float, start: float, stop: float, steps: int, *, center: Vec = (0, 0, 0), plane: str = "xz"
) -> list[tuple[float, float, float]]:
    """Points on a circle in one of the planes ``xy``, ``xz``, ``yz``; angles in degrees."""
    points = []
    for a in np.radians(np.linspace(start, stop, steps)):
        u, v = radius * math.cos(a), radius * math.sin(a)
        offset = {"xy": (u, v, 0.0), "xz": (u, 0.0, v), "yz": (0.0, u, v)}[plane]
        points.append((center[0] + offset[0], center[1] + offset[1], center[2] + offset[2]))
    return points


def bent(s: Shape, points: Sequence[Vec], radius: float, color: Color, *, sides: int = 4) -> Shape:
    """Bar along a chain of points."""
    for a, b in pairwise(points):
        s.rod(a, b, radius, color, sides=sides)
    return s


def wheels(s: Shape, w: float, d: float, color: Color, radius: float = 0.04) -> Shape:
    """Four castors under a w x d base; they stand on z = 0."""
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (w / 2 - radius), sy * (d / 2 - radius)
            s.rod((x - 0.015, y, radius), (x + 0.015, y, radius), radius, color)
    return s
