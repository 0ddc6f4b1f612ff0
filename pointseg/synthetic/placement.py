"""Finding free places: boxes that are taken, walls, and the search for a pose that collides with nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.draw import Generator
from pointseg.synthetic.shapes import Slot

#: Boxes may touch, and overlap by this much, before they count as colliding.
TOLERANCE_M = 0.015

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where an object's origin goes and where its front looks; ``host`` is the object whose slot it uses."""

    at: tuple[float, float, float]
    yaw: float
    host: int = -1
    slot: Slot | None = None


@dataclass(frozen=True)
class Wall:
    """A straight piece of wall, traversed with the room on its left.

    Args:
        start: (x, y) of its first end.
        direction: (x, y) unit vector to the other.
        length: metres.
    """

    start: tuple[float, float]
    direction: tuple[float, float]
    length: float

    @property
    def inward(self) -> tuple[float, float]:
        return (-self.direction[1], self.direction[0])

    @property
    def yaw(self) -> float:
        """Heading that turns an object's front, its +y, into the room."""
        return math.atan2(self.direction[1], self.direction[0])

    def point(self, along: float, out: float = 0.0) -> tuple[float, float]:
        n = self.inward
        return (
            self.start[0] + along * self.direction[0] + out * n[0],
            self.start[1] + along * self.direction[1] + out * n[1],
        )


@dataclass
class Space:
    """The room while it fills up.

    Args:
        size: (width, depth, height) of the room.
        walls: its walls.
    """

    size: tuple[float, float, float]
    walls: list[Wall]
    low: Floats = field(default_factory=lambda: np.empty((0, 3)))
    high: Floats = field(default_factory=lambda: np.empty((0, 3)))
    owner: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    slots: list[tuple[int, Slot]] = field(default_factory=list)

    def take(self, low: npt.ArrayLike, high: npt.ArrayLike, owner: int = -1) -> None:
        """Mark a box as taken."""
        self.low = np.vstack([self.low, np.asarray(low, np.float64)])
        self.high = np.vstack([self.high, np.asarray(high, np.float64)])
        self.owner = np.append(self.owner, owner)

    def free(self, low: Floats, high: Floats, *, but: int = -2) -> npt.NDArray[np.bool_]:
        """(K,) which of the boxes (K, 3) lie in the room and hit nothing but what ``but`` owns."""
        inside = np.all(low > -TOLERANCE_M, axis=1) & np.all(
            high < np.asarray(self.size) + TOLERANCE_M, axis=1
        )
        others = self.owner != but
        apart = (low[:, None] > self.high[others] - TOLERANCE_M) | (
            high[:, None] < self.low[others] + TOLERANCE_M
        )
        return inside & np.all(apart.any(axis=2), axis=1)


@dataclass(frozen=True)
class Body:
    """The bounding box of an object in its own frame, origin where its mount holds it."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def height(self) -> float:
        return self.high[2] - self.low[2]

    def turned(self, yaw: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Lowest and highest (K, 3) corner of the box turned by each of K headings."""
        c, s = np.cos(yaw), np.sin(yaw)
        xs, ys = np.array([self.low[0], self.high[0]]), np.array([self.low[1], self.high[1]])
        gx, gy = (g.ravel() for g in np.meshgrid(xs, ys))
        x = np.multiply.outer(c, gx) - np.multiply.outer(s, gy)
        y = np.multiply.outer(s, gx) + np.multiply.outer(c, gy)
        z = np.ones(len(x))
        low = np.column_stack([x.min(axis=1), y.min(axis=1), z * self.low[2]])
        return low, np.column_stack([x.max(axis=1), y.max(axis=1), z * self.high[2]])


def search(space: Space, body: Body, at: Floats, yaw: Floats, *, but: int = -2) -> int | None:
    """Index of the first of K candidate poses ((K, 3), (K,)) that is free, or None."""
    low, high = body.turned(yaw)
    good = np.flatnonzero(space.free(low + at, high + at, but=but))
    return int(good[0]) if len(good) else None


def pose_of(at: Floats, yaw: Floats, index: int | None) -> Pose | None:
    if index is None:
        return None
    return Pose((float(at[index, 0]), float(at[index, 1]), float(at[index, 2])), float(yaw[index]))


def along_wall(
    space: Space, body: Body, rng: Generator, z: Floats, *, gap: float, corner: bool = False, tries: int = 40
) -> Pose | None:
    """A pose with the back to a wall, anywhere along it or in a corner; ``z``: heights to choose from."""
    width = body.high[0] - body.low[0]
    lengths = np.array([wall.length for wall in space.walls])
    fits = np.where(lengths > width + 0.02, lengths, 0.0)
    if not fits.any():
        return None
    chosen = rng.choice(len(lengths), size=tries, p=fits / fits.sum())
    t = rng.random(tries)
    # Rooms look furnished rather than strewn when half of the things stand at a wall's end.
    end = np.where(rng.random(tries) < 0.5, 0.0, 1.0)
    t = np.where(rng.random(tries) < (1.0 if corner else 0.25), end, t)
    along = 0.01 + width / 2 + t * (lengths[chosen] - width - 0.02) - (body.high[0] + body.low[0]) / 2
    at = np.empty((tries, 3))
    yaw = np.empty(tries)
    for k, w in enumerate(chosen):
        wall = space.walls[int(w)]
        at[k, :2] = wall.point(float(along[k]), gap - body.low[1])
        yaw[k] = wall.yaw
    at[:, 2] = rng.choice(z, size=tries)
    return pose_of(at, yaw, search(space, body, at, yaw))


def on_floor(
    space: Space,
    body: Body,
    rng: Generator,
    *,
    turns: bool,
    center: bool = False,
    z: float = 0.0,
    tries: int = 40,
) -> Pose | None:
    """A pose anywhere in the room, or around its middle; with any heading, or nearly along the walls."""
    reach = np.asarray(space.size[:2])
    spot = rng.normal(0.5, 0.13, (tries, 2)) if center else rng.random((tries, 2))
    at = np.column_stack([spot * reach, np.full(tries, z)])
    quarter = rng.integers(0, 4, tries) * (math.pi / 2)
    yaw = rng.random(tries) * 2 * math.pi if turns else quarter + rng.normal(0, 0.03, tries)
    return pose_of(at, yaw, search(space, body, at, yaw))


def in_slot(
    space: Space, body: Body, rng: Generator, kind: str, *, mount: str, turns: bool, tries: int = 10
) -> Pose | None:
    """A pose in one of the room's slots of a kind; anchors are used up, areas stay open."""
    found = [entry for entry in space.slots if entry[1].kind == kind]
    for k in rng.permutation(len(found)):
        host, slot = found[int(k)]
        if slot.headroom < body.height - (0.05 if slot.size != (0.0, 0.0) else math.inf):
            continue
        if slot.size == (0.0, 0.0):
            z = slot.at[2] - (body.height if kind == "window_cover" else 0.0)
            at, yaw = np.array([[slot.at[0], slot.at[1], z]]), np.array([slot.yaw])
        else:
            at, yaw = _candidates(slot, body, rng, turns, tries)
        if not len(at):
            continue
        # A sunk guest is inside its host; all others only stand on it.
        index = 0 if mount == "sunk" else search(space, body, at, yaw, but=host)
        pose = pose_of(at, yaw, index)
        if pose is not None:
            if slot.size == (0.0, 0.0):
                space.slots = [entry for entry in space.slots if entry[1] is not slot]
            return Pose(pose.at, pose.yaw, host, slot)
    return None


def _candidates(slot: Slot, body: Body, rng: Generator, turns: bool, tries: int) -> tuple[Floats, Floats]:
    """Poses on an area that do not jut out over its edge; ((K, 3), (K,)), K may be 0."""
    local = rng.random(tries) * 2 * math.pi if turns else rng.integers(0, 2, tries) * math.pi
    if not turns:
        local = np.where(rng.random(tries) < 0.8, 0.0, local) + rng.normal(0, 0.05, tries)
    low, high = body.turned(local)
    half = np.asarray(slot.size) / 2 + 0.02
    range_low, range_high = -half - low[:, :2], half - high[:, :2]
    fits = np.all(range_high >= range_low, axis=1)
    where = range_low + rng.random((tries, 2)) * (range_high - range_low)
    c, s = math.cos(slot.yaw), math.sin(slot.yaw)
    x = slot.at[0] + c * where[:, 0] - s * where[:, 1]
    y = slot.at[1] + s * where[:, 0] + c * where[:, 1]
    at = np.column_stack([x, y, np.full(tries, slot.at[2])])
    yaw: Floats = np.asarray(local + slot.yaw, np.float64)
    return at[fits], yaw[fits]
