"""The shell of a room: its plan, walls with openings, floor, ceiling, doors and windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pointseg.synthetic.catalogue.openings import door_leaf, doorframe, window
from pointseg.synthetic.draw import Draw, shade
from pointseg.synthetic.kinds import Kind
from pointseg.synthetic.placement import Space, Wall
from pointseg.synthetic.shapes import Color, Shape, Slot

#: Receives a finished shape in the room's frame: class name, shape, texture, annotated.
Emit = Callable[[str, Shape, str, bool], None]


@dataclass(frozen=True)
class Hole:
    """An opening in a wall: ``left`` to ``right`` along it, ``low`` to ``high`` above the floor."""

    left: float
    right: float
    low: float
    high: float


@dataclass
class Shell:
    """A room's plan and the openings that its walls have so far."""

    space: Space
    holes: list[list[Hole]] = field(default_factory=list)


def floor_plan(draw: Draw, area_m2: float, height_m: float) -> Shell:
    """A rectangle, or one time in four an L."""
    ratio = draw.f(1.0, 1.7)
    w, d = (area_m2 * ratio) ** 0.5, (area_m2 / ratio) ** 0.5
    if draw.chance(0.5):
        w, d = d, w
    corners = [(0.0, 0.0), (w, 0.0), (w, d), (0.0, d)]
    notch = None
    if area_m2 > 14 and draw.chance(0.25):
        w, d = w * 1.08, d * 1.08
        a, b = w * draw.f(0.25, 0.4), d * draw.f(0.25, 0.4)
        corners = [(0.0, 0.0), (w, 0.0), (w, d - b), (w - a, d - b), (w - a, d), (0.0, d)]
        notch = (w - a, d - b)
    walls = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = float(np.hypot(x1 - x0, y1 - y0))
        walls.append(Wall((x0, y0), ((x1 - x0) / length, (y1 - y0) / length), length))
    space = Space((w, d, height_m), walls)
    if notch:
        space.take((notch[0], notch[1], 0), (w, d, height_m))
    return Shell(space, [[] for _ in walls])


def open_wall(shell: Shell, draw: Draw, width: float, low: float, high: float) -> tuple[Wall, float] | None:
    """Cut a hole where a wall is whole, and keep things from standing in front of it."""
    for _ in range(20):
        k = draw.n(0, len(shell.space.walls) - 1)
        wall = shell.space.walls[k]
        if wall.length < width + 0.5:
            continue
        middle = draw.f(width / 2 + 0.2, wall.length - width / 2 - 0.2)
        hole = Hole(middle - width / 2, middle + width / 2, low, high)
        if all(hole.left > h.right + 0.25 or hole.right < h.left - 0.25 for h in shell.holes[k]):
            shell.holes[k].append(hole)
            return wall, middle
    return None


def keep_clear(
    space: Space, wall: Wall, middle: float, width: float, depth: float, low: float, high: float
) -> None:
    """Take the box in front of an opening."""
    ends = np.array([wall.point(middle - width / 2), wall.point(middle + width / 2, depth)])
    space.take((*ends.min(axis=0), low), (*ends.max(axis=0), high))


def put(shape: Shape, wall: Wall, along: float, z: float, out: float = 0.0) -> Shape:
    """A copy of a hanging shape at a wall."""
    return Shape().join(shape, at=(*wall.point(along, out), z), yaw=wall.yaw)


def add_door(shell: Shell, draw: Draw, emit: Emit, *, leaf: bool, frame: bool) -> bool:
    """An opening with a leaf, shut or ajar, and a frame, as asked; False where no wall has room for it."""
    w, h = draw.f(0.78, 0.98), draw.f(2.0, 2.1)
    found = open_wall(shell, draw, w, 0.0, h)
    if found is None:
        return False
    wall, middle = found
    keep_clear(shell.space, wall, middle, w + 0.2, 0.75, 0.0, h)
    if frame:
        emit("doorframe", put(doorframe(draw, w, h), wall, middle, 0.0), "wood", True)
    else:
        emit("wall", put(_reveal(w, h, draw.color("paint")), wall, middle, 0.0), "plain", False)
    shut = leaf and draw.chance(0.65)
    if leaf:
        panel = door_leaf(draw, w - 0.02, h - 0.02)
        yaw = wall.yaw if shut else wall.yaw + draw.f(0.9, 1.6)
        out = -draw.f(0.02, 0.08) if shut else 0.0
        hinge = wall.point(middle - w / 2 + 0.01, out)
        emit("door", Shape().join(panel, at=(*hinge, 0.005), yaw=yaw), draw.pick("wood", "plain"), True)
    if not shut:
        emit("wall", put(_beyond(w, h, draw), wall, middle, 0.0), "plain", False)
    n = wall.point(middle + w / 2 + 0.28)
    shell.space.slots.append((-1, Slot("door_side", (n[0], n[1], draw.f(1.05, 1.2)), yaw=wall.yaw)))
    return True


def add_window(shell: Shell, draw: Draw, emit: Emit) -> bool:
    """A window with slots for what dresses it; False where no wall has room for it."""
    w, h, sill = draw.f(0.8, 1.7), draw.f(0.9, 1.3), draw.f(0.8, 1.0)
    h = min(h, shell.space.size[2] - sill - 0.15)
    found = open_wall(shell, draw, w, sill, sill + h)
    if found is None:
        return False
    wall, middle = found
    keep_clear(shell.space, wall, middle, w, 0.015, sill, sill + h)
    emit("window", put(window(draw, w, h), wall, middle, sill), "plain", True)
    for kind, out, z in (
        ("window_cover", 0.0, sill + h + 0.12),
        ("window_sill", 0.0, sill - 0.16),
        ("radiator", 0.11, 0.0),
    ):
        x, y = wall.point(middle, out)
        shell.space.slots.append((-1, Slot(kind, (x, y, z), yaw=wall.yaw)))
    return True


def _reveal(w: float, h: float, color: Color) -> Shape:
    """The three sides of a bare opening, a hand deep."""
    s = Shape()
    for sx in (-1, 1):
        x = sx * w / 2
        s.sheet(np.array([[[x, 0.0, 0.0], [x, -0.15, 0.0]], [[x, 0.0, h], [x, -0.15, h]]])[::-sx], color)
    top = np.array([[[-w / 2, 0.0, h], [w / 2, 0.0, h]], [[-w / 2, -0.15, h], [w / 2, -0.15, h]]])
    return s.sheet(top[::-1], color)


def _beyond(w: float, h: float, draw: Draw) -> Shape:
    """What one sees through an open door: a strip of floor and a wall."""
    back = np.array([[[-w / 2, -0.22, z], [w / 2, -0.22, z]] for z in (0.0, h)])
    strip = np.array([[[-w / 2, y, 0.0], [-w / 2, -0.22, 0.0]] for y in (0.0,)])
    strip = np.concatenate([strip, strip * (-1, 1, 1)])
    return Shape().sheet(back, draw.color("paint")).sheet(strip[::-1], draw.color("wood", "carpet"))


def add_walls(shell: Shell, draw: Draw, emit: Emit, count: int, paint: Color) -> None:
    """All walls around their holes, cut into ``count`` objects or more; some strips stay unannotated."""
    pieces: list[tuple[int, float, float]] = [
        (k, 0.0, wall.length) for k, wall in enumerate(shell.space.walls)
    ]
    while len(pieces) < count:
        widest = max(pieces, key=lambda piece: piece[2] - piece[1])
        if widest[2] - widest[1] < 1.2:
            break
        pieces.remove(widest)
        cut = widest[1] + draw.f(0.35, 0.65) * (widest[2] - widest[1])
        pieces += [(widest[0], widest[1], cut), (widest[0], cut, widest[2])]
    texture = draw.pick("plain", "plain", "speckle", "stripes")
    for k, left, right in pieces:
        color = shade(paint if draw.chance(0.8) else draw.color("paint", "wood", "stone"), draw.f(0.92, 1.06))
        shape = _wall_piece(shell, k, left, right, color)
        if draw.chance(0.45) and right - left > 1.2:
            cut = draw.f(0.45, 0.8) * (right - left) + left
            emit("wall", _wall_piece(shell, k, cut, right, color), texture, False)
            shape = _wall_piece(shell, k, left, cut, color)
        emit("wall", shape, texture, True)


def _wall_piece(shell: Shell, k: int, left: float, right: float, color: Color) -> Shape:
    """The rectangles of wall ``k`` between two places along it that are not holes."""
    wall, top = shell.space.walls[k], shell.space.size[2]
    cells: list[tuple[float, float, float, float]] = []
    x = left
    for hole in sorted(shell.holes[k], key=lambda h: h.left):
        a, b = max(hole.left, left), min(hole.right, right)
        if a >= b:
            continue
        cells += [(x, a, 0.0, top), (a, b, 0.0, hole.low), (a, b, hole.high, top)]
        x = b
    cells.append((x, right, 0.0, top))
    s = Shape()
    for a, b, low, high in cells:
        if b - a > 1e-3 and high - low > 1e-3:
            p, q = wall.point(a), wall.point(b)
            s.sheet(np.array([[[*q, low], [*p, low]], [[*q, high], [*p, high]]])[::-1], color)
    return s


def add_floor(shell: Shell, draw: Draw, emit: Emit, kind: Kind) -> None:
    """The floor, in two rectangles where the plan is an L."""
    color = draw.color(*kind.floors)
    texture = draw.pick("wood", "checker", "plain", "speckle")
    emit("floor", _level(shell, 0.0, color, up=True), texture, True)


def add_ceiling(shell: Shell, draw: Draw, emit: Emit, *, annotated: bool) -> None:
    """As much of the ceiling as a person sees who holds the scanner level: a strip, or all of it."""
    w, d, h = shell.space.size
    color = draw.color("paint", "ceramic")
    if draw.chance(0.35) and annotated:
        emit("ceiling", _level(shell, h, color, up=False), "plain", True)
        return
    part = draw.f(0.2, 0.6)
    y0, y1 = (0.0, d * part) if draw.chance(0.5) else (d * (1 - part), d)
    x1 = min(wall.start[0] for wall in shell.space.walls if wall.start[1] > 0) if len(shell.holes) == 6 else w
    x1 = w if x1 <= 0 else x1
    if len(shell.holes) == 6 and y1 > shell.space.walls[2].start[1]:
        x1 = shell.space.walls[3].start[0]
    emit("ceiling", _rectangle(0.0, x1, y0, y1, h, color, up=False), "plain", annotated)


def _level(shell: Shell, z: float, color: Color, *, up: bool) -> Shape:
    w, d, _ = shell.space.size
    if len(shell.space.walls) == 4:
        return _rectangle(0.0, w, 0.0, d, z, color, up=up)
    split, inner = shell.space.walls[2].start[1], shell.space.walls[3].start[0]
    s = _rectangle(0.0, w, 0.0, split, z, color, up=up)
    return s.join(_rectangle(0.0, inner, split, d, z, color, up=up))


def _rectangle(x0: float, x1: float, y0: float, y1: float, z: float, color: Color, *, up: bool) -> Shape:
    grid = np.array([[[x0, y0, z], [x0, y1, z]], [[x1, y0, z], [x1, y1, z]]])
    return Shape().sheet(grid if up else grid.transpose(1, 0, 2), color)
