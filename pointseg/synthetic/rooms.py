"""make_room: from the plan of a scene to a furnished room."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointseg.synthetic import structure
from pointseg.synthetic.catalogue import SHELL, catalogue
from pointseg.synthetic.catalogue.household import CLUTTER
from pointseg.synthetic.categories import UNLISTED, class_ids, class_names, raw_category
from pointseg.synthetic.draw import Draw, room_style
from pointseg.synthetic.kinds import KINDS, Kind
from pointseg.synthetic.model import ObjectModel, RoomModel, ScenePlan
from pointseg.synthetic.placement import Body, Pose, Space, along_wall, in_slot, on_floor
from pointseg.synthetic.recipe import Recipe
from pointseg.synthetic.shapes import Shape

OPENINGS = ("door", "doorframe", "window")
#: Share of objects of other categories, and of objects without annotation, added to what a plan asks for.
UNLISTED_SHARE, UNANNOTATED_SHARE = 0.05, 0.22


@dataclass(frozen=True)
class Item:
    """One object that looks for its place: its recipe and shape, and the words it is annotated with."""

    recipe: Recipe
    shape: Shape
    category: str
    raw_id: int
    annotated: bool = True

    @property
    def body(self) -> Body:
        low, high = self.shape.bounds.astype(np.float64)
        return Body((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def make_room(rng: np.random.Generator, plan: ScenePlan, *, kind: str | None = None) -> RoomModel:
    """Furnish one room.

    Args:
        rng: all its random choices; the same stream makes the same room.
        plan: what shall be in it, from :meth:`ClassSampler.scene`.
        kind: overrides the plan's kind of room, a key of :data:`KINDS`.

    Raises:
        ValueError: for an unknown kind or raw id.
    """
    kind = plan.kind if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of room {kind!r}; there are {', '.join(KINDS)}.")
    counts = _by_name(plan.counts)
    height = float(rng.uniform(*KINDS[kind].height_m))
    draw = Draw(rng, height, room_style(rng))
    items = _items(draw, counts)
    shell = structure.floor_plan(draw, _area(KINDS[kind], items), height)
    room = _Builder(draw, shell.space)
    _build_shell(room, shell, KINDS[kind], counts)
    for item in sorted(items, key=_order):
        room.furnish(item)
    return RoomModel(
        kind=KINDS[kind].scene_type,
        objects=tuple(room.models()),
        size_m=np.asarray(shell.space.size, np.float32),
        camera_positions_m=_cameras(rng, shell.space),
    )


def _by_name(counts: Mapping[int, int]) -> dict[str, int]:
    names = class_names()
    unknown = sorted(raw_id for raw_id in counts if raw_id not in names)
    if unknown:
        raise ValueError(f"Raw ids {unknown[:10]} are no classes of ScanNet200.")
    return {names[raw_id]: count for raw_id, count in sorted(counts.items())}


def _items(draw: Draw, counts: Mapping[str, int]) -> list[Item]:
    """Every object that has to find a place, built: those of the plan and those that lead to no class."""
    items: list[Item] = []
    for name, count in counts.items():
        if name not in SHELL and name not in OPENINGS:
            items += _same_class(draw, name, count)
    usual = [item.recipe.name for item in items] or ["box"]
    total = len(items)
    for _ in range(int(draw.rng.poisson(UNLISTED_SHARE * total))):
        words = list(UNLISTED)
        category = words[draw.n(0, len(words) - 1)]
        recipe = catalogue()[UNLISTED[category]][0]
        items.append(Item(recipe, recipe.build(draw).anchored(recipe.mount), category, 0))
    for _ in range(1 + int(draw.rng.poisson(UNANNOTATED_SHARE * total))):
        recipe = CLUTTER if draw.chance(0.3) else catalogue()[usual[draw.n(0, len(usual) - 1)]][0]
        items.append(Item(recipe, recipe.build(draw).anchored(recipe.mount), "", 0, annotated=False))
    return items


def _same_class(draw: Draw, name: str, count: int) -> list[Item]:
    """``count`` objects of one class; in most rooms several of them are the same model."""
    recipes, raw_id = catalogue()[name], class_ids()[name]
    shared = draw.chance(0.65)
    items: list[Item] = []
    for _ in range(count):
        # A sink goes into a hole where there is one; the other classes with variants take either.
        recipe = recipes[0] if recipes[0].mount == "sunk" else recipes[draw.n(0, len(recipes) - 1)]
        twin = next((item for item in items if item.recipe is recipe), None) if shared else None
        shape = twin.shape if twin else recipe.build(draw).anchored(recipe.mount)
        items.append(Item(recipe, shape, raw_category(raw_id, draw.rng), raw_id))
    return items


def _area(kind: Kind, items: list[Item]) -> float:
    """Square metres of floor that the objects need, within what is usual for the kind."""
    footprint, wall = 0.0, 3.0
    for item in items:
        size, spot = item.shape.size, item.recipe.spots[0]
        if item.recipe.mount == "stand" and spot in ("wall", "floor", "corner", "center", "place", "bedside"):
            footprint += float(size[0] * size[1]) + 0.05
        if spot in ("wall", "corner"):
            wall += float(size[0])
    return max(
        kind.area_m2[0], min(kind.area_m2[1] * 1.2, max(2.4 * footprint + 4.0, (wall * 1.15 / 4) ** 2))
    )


def _order(item: Item) -> tuple[int, float]:
    """Hosts before guests, large before small."""
    size, first = item.shape.size, item.recipe.spots[0]
    bulk = float(size[0] * max(size[1], size[2] if item.recipe.mount == "hang" else 0.0))
    stage = {"window_cover": 0, "window_sill": 0, "wall": 1, "corner": 1, "center": 1}.get(first)
    if stage is None:
        large_on_wall = first == "hang" and (bulk > 0.8 or size[0] > 1.1)
        stage = 1 if large_on_wall else 3 if first == "floor" else 4 if first in ("hang", "ceiling") else 2
    area_guest = first in (
        "desk",
        "table",
        "top",
        "shelf",
        "counter",
        "bed",
        "couch",
        "under",
        "desk_back",
        "hob",
    )
    return (5 if area_guest else stage, -bulk)


def _build_shell(room: _Builder, shell: structure.Shell, kind: Kind, counts: Mapping[str, int]) -> None:
    draw = room.draw
    doors, frames = counts.get("door", 0), counts.get("doorframe", 0)
    for k in range(max(doors, frames)):
        structure.add_door(shell, draw, room.emit, leaf=k < doors, frame=k < frames)
    for _ in range(counts.get("window", 0)):
        structure.add_window(shell, draw, room.emit)
    structure.add_walls(shell, draw, room.emit, counts.get("wall", 4), draw.color("paint"))
    structure.add_floor(shell, draw, room.emit, kind)
    asked = counts.get("ceiling", 0) > 0
    if asked or draw.chance(0.6):
        structure.add_ceiling(shell, draw, room.emit, annotated=asked)


class _Builder:
    """Collects the objects of a room, in the room's frame, as they find their places."""

    def __init__(self, draw: Draw, space: Space) -> None:
        self.draw = draw
        self.space = space
        self._placed: list[tuple[str, int, Shape, str, bool]] = []
        self._removed: dict[int, list[tuple[int, int]]] = {}

    def emit(self, name: str, shape: Shape, texture: str, annotated: bool) -> None:
        """Take over a part of the shell."""
        raw_id = class_ids()[name]
        self._placed.append((raw_category(raw_id, self.draw.rng), raw_id, shape, texture, annotated))

    def furnish(self, item: Item) -> bool:
        """Find a place for an object, by its own recipe or another of its class; False when there is none."""
        pose = self._find(item.recipe, item.body)
        if pose is None:
            for other in catalogue().get(item.recipe.name, ()):
                if other is not item.recipe:
                    shape = other.build(self.draw).anchored(other.mount)
                    item = Item(other, shape, item.category, item.raw_id, item.annotated)
                    pose = self._find(other, item.body)
                    break
        if pose is None:
            return False
        self._place(item, pose)
        return True

    def _find(self, recipe: Recipe, body: Body) -> Pose | None:
        rng, space = self.draw.rng, self.space
        for spot in recipe.spots:
            pose: Pose | None
            if spot in ("wall", "corner"):
                pose = along_wall(space, body, rng, np.zeros(1), gap=0.02, corner=spot == "corner")
            elif spot == "hang":
                pose = along_wall(space, body, rng, self._heights(recipe, body), gap=0.0)
            elif spot in ("floor", "center"):
                pose = on_floor(space, body, rng, turns=recipe.turns, center=spot == "center")
            elif spot == "ceiling":
                pose = on_floor(space, body, rng, turns=False, z=space.size[2] - 0.005)
            else:
                pose = in_slot(space, body, rng, spot, mount=recipe.mount, turns=recipe.turns)
            if pose is not None:
                return pose
        if recipe.mount == "stand" and "floor" not in recipe.spots:
            return on_floor(space, body, rng, turns=recipe.turns, tries=60)
        return None

    def _heights(self, recipe: Recipe, body: Body) -> npt.NDArray[np.float64]:
        """Heights of the lower edge to choose from."""
        low, high = recipe.z
        ceiling = self.space.size[2]
        if low < 0:
            low, high = ceiling + low - body.height, ceiling + high - body.height
        highest = max(0.0, ceiling - body.height - 0.02)
        return np.minimum(np.linspace(low, high, 6), highest)

    def _place(self, item: Item, pose: Pose) -> None:
        owner = len(self._placed)
        shape = Shape().join(item.shape, at=pose.at, yaw=pose.yaw)
        if pose.slot is not None and pose.slot.cover is not None:
            self._removed.setdefault(pose.host, []).append(pose.slot.cover)
        low, high = shape.bounds.astype(np.float64)
        if item.recipe.open_below:
            # Chairs and bins may go under a top; the legs at its ends are in the way all the same.
            self.space.take((low[0], low[1], high[2] - 0.13), high, owner)
        else:
            self.space.take(low, high, owner)
        self.space.slots += [(owner, slot) for slot in shape.slots]
        textures = item.recipe.textures
        texture = textures[self.draw.n(0, len(textures) - 1)]
        self._placed.append((item.category, item.raw_id, shape, texture, item.annotated))

    def models(self) -> list[ObjectModel]:
        """All objects, without the covers that sunk guests replaced."""
        models = []
        for index, (category, raw_id, shape, texture, annotated) in enumerate(self._placed):
            keep = np.ones(len(shape), bool)
            for start, stop in self._removed.get(index, ()):
                keep[start:stop] = False
            models.append(
                ObjectModel(
                    raw_category=category if annotated else "",
                    raw_id=raw_id if annotated else 0,
                    quads=shape.quads[keep],
                    color=shape.color[keep],
                    texture=texture,
                    annotated=annotated,
                )
            )
        return models


def _cameras(rng: np.random.Generator, space: Space) -> npt.NDArray[np.float32]:
    """(M, 3) places where a person fits, spread over the floor; more of them in larger rooms."""
    wanted = 4 + round(space.size[0] * space.size[1] / 6)
    for clearance in (0.3, 0.15, 0.02):
        spot = 0.35 + rng.random((300, 2)) * (np.asarray(space.size[:2]) - 0.7)
        low = np.column_stack([spot - clearance, np.full(300, 0.25)])
        high = np.column_stack([spot + clearance, np.full(300, 1.9)])
        free = spot[space.free(low, high)]
        if len(free) >= 3:
            break
    else:
        free = spot[:wanted]
    chosen = [0]
    distance = np.full(len(free), math.inf)
    while len(chosen) < min(wanted, len(free)):
        distance = np.minimum(distance, np.linalg.norm(free - free[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    height = rng.uniform(1.4, 1.8, len(chosen))
    return np.column_stack([free[chosen], height]).astype(np.float32)
