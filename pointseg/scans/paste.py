"""Tail-instance paste: objects of rare classes from other training scenes, put on the floor of a scene."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pointseg.config import Config
from pointseg.core.scene import Scene
from pointseg.scans.store import Store

#: What stands between a box and the floor it rests on does not count as a collision, in metres.
FLOOR_CLEARANCE_M = 0.1
#: Keeps these random numbers apart from those of other parts with the same seed.
_STREAM = 0x9A57E
#: Class whose vertices are stood on where a scene has them.
FLOOR = "floor"


class PasteConfig(Config):
    """Options of :class:`InstancePaster`.

    Args:
        p: probability that a scene gets any.
        max_objects: most objects a scene gets; their number is drawn from 1 to this.
        classes: names of the classes to paste; None takes the tail classes of the label set.
        min_points: objects with fewer vertices are left alone.
        max_overlap: vertices of the scene that may lie in the box of an object, as a share of its own.
        attempts: places that are tried for an object before it is given up.
    """

    p: float = Field(default=0.5, ge=0, le=1)
    max_objects: int = Field(default=3, ge=1)
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    min_points: int = Field(default=30, ge=1)
    max_overlap: float = Field(default=0.05, ge=0)
    attempts: int = Field(default=10, ge=1)


class InstancePaster:
    """Pastes objects into a scene; a function of the scene and a key, in whichever process it runs.

    A class is drawn first, all alike, then a scene that holds it, then one of its objects: the rarest class
    is pasted as often as the others. The object is turned about z, and stood on a random place of the floor
    where its box holds next to nothing of the scene. What has been pasted is part of the scene for the next
    object.

    Args:
        store: where the scenes are.
        names: training scenes, the donors.
        config: options.
        seed: seed of everything random.

    Raises:
        ValueError: if a class is unknown, there is no tail, or no scene has an object of these classes.
    """

    def __init__(self, store: Store, names: Sequence[str], config: PasteConfig, *, seed: int = 0) -> None:
        self.store, self.config, self.seed = store, config, seed
        space = store.label_space
        self.floor_raw_ids = [i for i, name in zip(space.raw_ids, space.names, strict=True) if name == FLOOR]
        with_objects = [name for name in names if "instance" in store.entry(name)["files"]]
        donors = {
            raw_id: tuple(
                name for name in with_objects if store.entry(name)["class_points"].get(str(raw_id), 0) > 0
            )
            for raw_id in classes_to_paste(store, config.classes)
        }
        self.donors = {raw_id: scenes for raw_id, scenes in donors.items() if scenes}
        if not self.donors:
            raise ValueError(
                f"data.paste: no training scene of {store.path} holds objects of these classes "
                f"({len(with_objects)} of {len(names)} scenes have instances). Prepare the store with "
                "instances, name other classes in data.paste.classes, or remove data.paste."
            )

    def __call__(self, scene: Scene, *key: int) -> Scene:
        """The scene, perhaps with objects after its own vertices; ``key`` says which draw it is."""
        rng = np.random.default_rng([_STREAM, self.seed, *key])
        if rng.random() >= self.config.p or not scene.num_vertices:
            return scene
        # Of the scene as it was: objects are not stacked on each other.
        floor = floor_vertices(scene, self.floor_raw_ids)
        for _ in range(int(rng.integers(1, self.config.max_objects + 1))):
            instance = self._draw(scene, rng)
            placed = None if instance is None else self._place(instance, scene, scene.xyz_m[floor], rng)
            scene = scene if placed is None else join(scene, placed)
        return scene

    def _draw(self, scene: Scene, rng: np.random.Generator) -> Scene | None:
        """A random object as a scene of its own; None where the drawn class has none to give."""
        raw_id = list(self.donors)[rng.integers(len(self.donors))]
        names = [name for name in self.donors[raw_id] if name != scene.name]
        if not names:
            return None
        donor = self.store.load(names[rng.integers(len(names))])
        if (scene.rgb is not None and donor.rgb is None) or (
            scene.normal is not None and donor.normal is None
        ):
            return None
        assert donor.raw_label is not None and donor.instance is not None
        of_class = np.flatnonzero((donor.raw_label == raw_id) & (donor.instance >= 0))
        objects, count = np.unique(donor.instance[of_class], return_counts=True)
        objects = objects[count >= self.config.min_points]
        if not len(objects):
            return None
        return select(donor, of_class[donor.instance[of_class] == objects[rng.integers(len(objects))]])

    def _place(
        self, instance: Scene, scene: Scene, floor_m: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> Scene | None:
        """The object, turned and standing on the floor; None where no free place was found."""
        allowed = self.config.max_overlap * instance.num_vertices
        for _ in range(self.config.attempts):
            turned = turn(instance, rng.uniform(0, 2 * math.pi))
            low, high = turned.xyz_m.min(axis=0), turned.xyz_m.max(axis=0)
            foot = np.array([*(low[:2] + high[:2]) / 2, low[2]], dtype=np.float32)
            shift = floor_m[rng.integers(len(floor_m))] - foot
            low, high = low + shift, high + shift
            low[2] += FLOOR_CLEARANCE_M
            if np.count_nonzero(((scene.xyz_m >= low) & (scene.xyz_m <= high)).all(axis=1)) <= allowed:
                return Scene(
                    instance.name,
                    turned.xyz_m + shift,
                    rgb=turned.rgb,
                    normal=turned.normal,
                    raw_label=turned.raw_label,
                )
        return None


def classes_to_paste(store: Store, names: Sequence[str] | None) -> tuple[int, ...]:
    """Raw ids of the named classes, or of the tail.

    Raises:
        ValueError: for an unknown name, or if the label set has no groups and no class is named.
    """
    space = store.label_space
    if names is None:
        tail = space.group_indices("tail")
        if not len(tail):
            raise ValueError(
                f"data.paste: label set {space.name!r} has no tail classes; name those to paste in "
                "data.paste.classes."
            )
        return tuple(space.raw_ids[i] for i in tail)
    for name in names:
        if name not in space.names:
            near = difflib.get_close_matches(name, space.names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"data.paste.classes: label set {space.name!r} has no class {name!r}{hint}")
    return tuple(space.raw_ids[space.names.index(name)] for name in names)


def floor_vertices(scene: Scene, floor_raw_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    """Vertices labelled as floor; without any, the lowest ones (within 5 cm of the second percentile)."""
    if scene.raw_label is not None:
        labelled = np.flatnonzero(np.isin(scene.raw_label, floor_raw_ids))
        if len(labelled):
            return labelled
    z = scene.xyz_m[:, 2]
    return np.flatnonzero(z <= np.quantile(z, 0.02) + 0.05)


def select(scene: Scene, vertices: npt.NDArray[np.int64]) -> Scene:
    """Copies of these vertices, without instance numbers."""
    return Scene(
        scene.name,
        np.array(scene.xyz_m[vertices]),
        rgb=None if scene.rgb is None else scene.rgb[vertices],
        normal=None if scene.normal is None else scene.normal[vertices],
        raw_label=None if scene.raw_label is None else scene.raw_label[vertices],
    )


def turn(scene: Scene, angle: float) -> Scene:
    """Turned about the z axis by ``angle`` radians, normals too."""
    cosine, sine = math.cos(angle), math.sin(angle)
    matrix = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], dtype=np.float32)
    normal = None if scene.normal is None else scene.normal @ matrix
    return Scene(scene.name, scene.xyz_m @ matrix, rgb=scene.rgb, normal=normal, raw_label=scene.raw_label)


def join(scene: Scene, placed: Scene) -> Scene:
    """The scene with the vertices of an object after its own; what the scene lacks is not added."""

    def joined(name: str) -> npt.NDArray[Any] | None:
        ours, theirs = getattr(scene, name), getattr(placed, name)
        return None if ours is None else np.concatenate([ours, theirs])

    return Scene(
        scene.name,
        np.concatenate([scene.xyz_m, placed.xyz_m]),
        rgb=joined("rgb"),
        normal=joined("normal"),
        raw_label=joined("raw_label"),
    )
