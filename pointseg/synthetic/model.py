"""What a generated room is made of: coloured quads with a category, before anybody scans it.

The content of a room (this module, the catalogue and ``rooms.py``) and the scanner that turns it into a mesh
meet in these three types only::

    sampler = ClassSampler.for_split(seed=0, num_scenes=40, temper=0.6, split="train")   # sampler.py
    room = make_room(sampler.rng(i), sampler.scene(i))                                   # rooms.py

``sampler.scene(i)`` and ``sampler.rng(i)`` depend on the seed, the split and ``i`` alone, so that a worker
process can make scene ``i`` without its predecessors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Hints for the scanner's colour noise.
TEXTURES = ("plain", "wood", "stripes", "speckle", "checker")


@dataclass(frozen=True)
class ObjectModel:
    """One annotated object, or a piece of clutter that nobody annotated.

    Args:
        raw_category: free text as in the label table; often a synonym of the class name, and for some objects
            a category that leads to none of the 200 classes.
        raw_id: ScanNet200 valid id, or 0 where the category leads to none or the object is not annotated.
        quads: (Q, 4, 3) float32 metres, +Z up, corners counter-clockwise seen from outside. A triangle is a
            quad with two equal neighbouring corners.
        color: (Q, 3) uint8 base colour of each quad.
        texture: one of :data:`TEXTURES`.
        annotated: False where the annotators left the object out.
    """

    raw_category: str
    raw_id: int
    quads: npt.NDArray[np.float32]
    color: npt.NDArray[np.uint8]
    texture: str = "plain"
    annotated: bool = True


@dataclass(frozen=True)
class RoomModel:
    """One room: z = 0 is the floor, x and y run from 0 to ``size_m``; window recesses reach a little beyond.

    Args:
        kind: ScanNet's ``sceneType`` text, such as ``Office`` or ``Bedroom / Hotel``.
        objects: every object, walls and floor included.
        size_m: (3,) width, depth and height.
        camera_positions_m: (M, 3) places on free floor, 1.4-1.8 m high, where the scanning person stood.
    """

    kind: str
    objects: tuple[ObjectModel, ...]
    size_m: npt.NDArray[np.float32]
    camera_positions_m: npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScenePlan:
    """What one scene shall hold.

    Args:
        kind: a key of :data:`pointseg.synthetic.kinds.KINDS`.
        counts: raw id -> number of objects wanted; the room adds the walls and the floor it needs anyway.
    """

    kind: str
    counts: Mapping[int, int]
