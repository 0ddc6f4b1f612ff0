"""Solids of quads: boxes, frusta, turned profiles, ellipsoids, rods, sheets, and how to put them together.

Shapes live in their own frame: +y towards whoever stands in front of it, +z up. Closed solids are wound
counter-clockwise as seen from outside, so their signed volume is positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

Vec = Sequence[float]
Color = npt.NDArray[np.uint8]
Quads = npt.NDArray[np.float32]

# Faces of the unit box, its bottom's centre at the origin, in the order -x +x -y +y -z +z.
_UNIT_BOX = np.array(
    [
        [[-0.5, 0.5, 0], [-0.5, -0.5, 0], [-0.5, -0.5, 1], [-0.5, 0.5, 1]],
        [[0.5, -0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 1], [0.5, -0.5, 1]],
        [[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, -0.5, 1], [-0.5, -0.5, 1]],
        [[0.5, 0.5, 0], [-0.5, 0.5, 0], [-0.5, 0.5, 1], [0.5, 0.5, 1]],
        [[-0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, -0.5, 0], [-0.5, -0.5, 0]],
        [[-0.5, -0.5, 1], [0.5, -0.5, 1], [0.5, 0.5, 1], [-0.5, 0.5, 1]],
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class Slot:
    """A place that an object offers to others: a table top, a shelf board, a seat at a table.

    Args:
        kind: what it is, such as ``table``; recipes name the kinds they go to.
        at: (x, y, z) centre of the area, or the anchor point, in the frame of the object that offers it.
        size: (width, depth) of the area; (0, 0) makes it an anchor that takes one object, at that very point.
        headroom: free height above ``z``.
        yaw: heading of the guest's front, radians; 0 is the host's own.
        cover: (start, stop) of the host's quads that a sunk guest replaces, such as a plate over a hole.
    """

    kind: str
    at: tuple[float, float, float]
    size: tuple[float, float] = (0.0, 0.0)
    headroom: float = 3.0
    yaw: float = 0.0
    cover: tuple[int, int] | None = None

    def moved(self, offset: Vec, yaw: float = 0.0, first_quad: int = 0) -> Slot:
        """The same place after its host was turned by ``yaw`` and then shifted."""
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, z = self.at
        at = (c * x - s * y + offset[0], s * x + c * y + offset[1], z + offset[2])
        cover = None if self.cover is None else (self.cover[0] + first_quad, self.cover[1] + first_quad)
        return replace(self, at=at, yaw=self.yaw + yaw, cover=cover)


@cache
def _ring(sides: int) -> npt.NDArray[np.float32]:
    """(sides, 2) unit circle; turned half a step, so that flat sides face the axes."""
    angle = (np.arange(sides) + 0.5) * (2 * math.pi / sides)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> npt.NDArray[np.float32]:
    """(3, 3) matrix: first pitch about x, then roll about y, then yaw about z; radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (pitch, roll, yaw))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).astype(np.float32)


class Shape:
    """Quads with colours and the slots they offer; grows by its methods, each of which returns self."""

    def __init__(self) -> None:
        self._quads: list[Quads] = []
        self._colors: list[Color] = []
        self._count = 0
        self.slots: list[Slot] = []

    def __len__(self) -> int:
        return self._count

    @property
    def quads(self) -> Quads:
        """(Q, 4, 3) float32."""
        if len(self._quads) != 1:
            self._quads = [np.concatenate(self._quads)] if self._quads else [np.empty((0, 4, 3), np.float32)]
        return self._quads[0]

    @property
    def color(self) -> Color:
        """(Q, 3) uint8."""
        if len(self._colors) != 1:
            self._colors = [np.concatenate(self._colors)] if self._colors else [np.empty((0, 3), np.uint8)]
        return self._colors[0]

    @property
    def bounds(self) -> npt.NDArray[np.float32]:
        """(2, 3) lowest and highest corner."""
        points = self.quads.reshape(-1, 3)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    @property
    def size(self) -> npt.NDArray[np.float32]:
        """(3,) width, depth and height of the bounding box."""
        low, high = self.bounds
        return high - low

    def add(self, quads: npt.NDArray[np.floating], color: Color) -> Shape:
        """Append (Q, 4, 3) quads in one colour (3,) or one each (Q, 3)."""
        self._quads.append(quads.astype(np.float32, copy=False))
        self._colors.append(np.broadcast_to(color, (len(quads), 3)).astype(np.uint8, copy=False))
        self._count += len(quads)
        return self

    def slot(
        self, kind: str, at: Vec, size: Vec = (0.0, 0.0), headroom: float = 3.0, yaw: float = 0.0
    ) -> Shape:
        """Offer a place to other objects; see :class:`Slot`."""
        self.slots.append(Slot(kind, (at[0], at[1], at[2]), (size[0], size[1]), headroom, yaw))
        return self

    def box(self, size: Vec, at: Vec, color: Color) -> Shape:
        """Box of (width, depth, height) whose bottom's centre is ``at``."""
        return self.add(_UNIT_BOX * np.asarray(size, np.float32) + np.asarray(at, np.float32), color)

    def loft(self, rings: npt.NDArray[np.floating], at: Vec, color: Color) -> Shape:
        """Skin over (R, N, 3) rings, each counter-clockwise from above; the first and the last are closed.

        Rings that go up outside and down inside make a vessel.
        """
        rings = rings.astype(np.float32, copy=False) + np.asarray(at, np.float32)
        after = np.roll(np.arange(rings.shape[1]), -1)
        skin = np.stack([rings[:-1], rings[:-1, after], rings[1:, after], rings[1:]], axis=2)
        fan = _fan(rings.shape[1])
        return self.add(
            np.concatenate([skin.reshape(-1, 4, 3), rings[-1][fan], rings[0][fan[:, ::-1]]]), color
        )

    def prism(
        self, outline: npt.NDArray[np.floating], height: float, at: Vec, color: Color, top: float = 1.0
    ) -> Shape:
        """Convex (N, 2) outline, counter-clockwise from above, raised by ``height``; ``top`` scales it."""
        rings = np.zeros((2, len(outline), 3), np.float32)
        rings[0, :, :2] = outline
        rings[1, :, :2] = outline * np.float32(top)
        rings[1, :, 2] = height
        return self.loft(rings, at, color)

    def cylinder(
        self, radius: float, height: float, at: Vec, color: Color, top: float = 1.0, sides: int = 8
    ) -> Shape:
        """Upright cylinder, cone or frustum on ``at``; ``top`` is the upper radius over the lower."""
        return self.prism(_ring(sides) * np.float32(radius), height, at, color, max(top, 1e-3))

    def lathe(self, profile: Sequence[Vec], at: Vec, color: Color, sides: int = 8) -> Shape:
        """Turned solid of (radius, height) pairs from the bottom up; see :meth:`loft` for vessels."""
        line = np.asarray(profile, np.float32)
        rings = np.empty((len(line), sides, 3), np.float32)
        rings[:, :, :2] = line[:, None, :1] * _ring(sides)
        rings[:, :, 2] = line[:, 1:]
        return self.loft(rings, at, color)

    def ball(self, radii: Vec, at: Vec, color: Color, sides: int = 8, rings: int = 5) -> Shape:
        """Ellipsoid with half-axes ``radii`` around ``at``."""
        angle = np.linspace(-math.pi / 2 + 0.15, math.pi / 2 - 0.15, rings)
        unit = Shape().lathe(
            np.stack([np.cos(angle), np.sin(angle)], axis=1).tolist(), (0, 0, 0), color, sides
        )
        return self.add(unit.quads * np.asarray(radii, np.float32) + np.asarray(at, np.float32), color)

    def rod(
        self, start: Vec, end: Vec, radius: float, color: Color, sides: int = 6, top: float = 1.0
    ) -> Shape:
        """Round bar from ``start`` to ``end``; ``top`` is the ratio of the radius at the end."""
        a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
        along = b - a
        length = float(np.linalg.norm(along))
        along /= length
        helper = np.array([1.0, 0, 0]) if abs(along[0]) < 0.9 else np.array([0, 1.0, 0])
        u = np.cross(helper, along)
        u /= np.linalg.norm(u)
        frame = np.stack([u, np.cross(along, u), along])
        bar = Shape().cylinder(radius, length, (0, 0, 0), color, top, sides)
        return self.add(bar.quads @ frame.astype(np.float32) + a.astype(np.float32), color)

    def sheet(
        self,
        grid: npt.NDArray[np.floating],
        color: Color,
        thickness: float = 0.0,
        at: Vec = (0.0, 0.0, 0.0),
    ) -> Shape:
        """(N, M, 3) points as a cloth facing (along N) x (along M), with a back where ``thickness`` > 0."""
        grid = grid + np.asarray(at, np.float32)
        front = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2).reshape(
            -1, 4, 3
        )
        self.add(front, color)
        if thickness:
            normal = np.cross(front[:, 1] - front[:, 0], front[:, 3] - front[:, 0]).sum(axis=0)
            normal /= np.linalg.norm(normal) + 1e-9
            self.add(front[:, ::-1] - (normal * thickness).astype(np.float32), color)
        return self

    def join(
        self, other: Shape, at: Vec = (0.0, 0.0, 0.0), yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0
    ) -> Shape:
        """Take over another shape, turned and then shifted; its slots come along when it stays upright."""
        first = len(self)
        quads = other.quads
        if yaw or pitch or roll:
            quads = quads @ rotation(yaw, pitch, roll).T
        self.add(quads + np.asarray(at, np.float32), other.color)
        if not pitch and not roll:
            self.slots += [slot.moved(at, yaw, first) for slot in other.slots]
        return self

    def tilted(self, *, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Shape:
        """A turned copy."""
        return Shape().join(self, yaw=yaw, pitch=pitch, roll=roll)

    def anchored(self, mount: str) -> Shape:
        """A copy with the origin where its mount holds it.

        ``stand``: centre of the bottom; ``hang``: middle of the back's lower edge; ``ceiling``: top centre;
        ``sunk``: the centre at the height it has.
        """
        low, high = self.bounds
        middle = (low + high) / 2
        y = low[1] if mount == "hang" else middle[1]
        z = high[2] if mount == "ceiling" else 0.0 if mount == "sunk" else low[2]
        return Shape().join(self, at=(-middle[0], -y, -z))


@cache
def _fan(corners: int) -> npt.NDArray[np.int64]:
    """Quads over a convex polygon, all from its first corner; an odd rest becomes a triangle."""
    rows = [(0, i, i + 1, min(i + 2, corners - 1)) for i in range(1, corners - 1, 2)]
    return np.asarray(rows)


def signed_volume(quads: npt.NDArray[np.floating]) -> float:
    """Cubic metres inside closed, outward-wound quads; negative when they are inside out."""
    q = np.asarray(quads, np.float64)
    return float(
        (
            np.einsum("qi,qi->q", q[:, 0], np.cross(q[:, 1], q[:, 2]))
            + np.einsum("qi,qi->q", q[:, 0], np.cross(q[:, 2], q[:, 3]))
        ).sum()
        / 6
    )
