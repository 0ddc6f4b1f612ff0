"""A store of small rooms with twelve classes, and photographs, for the pretend GPU to work on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from pointseg.core.labels import LabelSpace, distinct_colors, groups_by_points
from pointseg.core.scene import Scene
from pointseg.scans.store import StoreWriter

NUM_CLASSES = 12


def make_store(path: Path) -> Path:
    """Four rooms to train on, two to validate on, one without labels: a floor and eleven heaps on it."""
    sizes = [200 // (1 + number) for number in range(NUM_CLASSES)]
    names = ("floor", *(f"thing {number}" for number in range(1, NUM_CLASSES)))
    space = LabelSpace(
        "twelve",
        tuple(range(1, NUM_CLASSES + 1)),
        names,
        groups_by_points(sizes),
        distinct_colors(NUM_CLASSES),
    )
    writer = StoreWriter(path, space, options={})
    for number in range(7):
        scene = _room(number, sizes)
        writer.add(scene, "test" if number == 6 else "val" if number >= 4 else "train")
    writer.finish()
    return path


def _room(number: int, sizes: list[int]) -> Scene:
    rng = np.random.default_rng(number)
    label = np.repeat(np.arange(1, NUM_CLASSES + 1), sizes).astype(np.int32)
    corner = np.stack([label % 4, label // 4, np.zeros_like(label)], axis=1)
    xyz_m = np.where(label[:, None] == 1, [4, 4, 0.01], 0.4) * rng.random((len(label), 3)) + corner
    normal = np.tile(np.array([0, 0, 1], np.float32), (len(label), 1))
    rgb = (20 * label[:, None] + rng.integers(0, 20, (len(label), 3))).astype(np.uint8)
    if number == 6:
        return Scene("test0", xyz_m.astype(np.float32), rgb, normal)
    instance = np.where(label == 1, -1, label).astype(np.int32)
    label[::17] = 0
    return Scene(f"room{number}", xyz_m.astype(np.float32), rgb, normal, label, instance)


def make_photographs(root: Path) -> Path:
    """Six images of three colours, which are their labels."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    splits = [("image", "split")]
    colors = np.zeros((256, 3), np.uint8)
    colors[[0, 3, 7]] = (120, 120, 120), (220, 30, 30), (30, 30, 220)
    for number in range(6):
        label = np.zeros((40, 50), np.uint8)
        label[:, : rng.integers(10, 20)] = 3
        label[rng.integers(25, 35) :] = 7
        Image.fromarray(colors[label]).save(root / "images" / f"{number}.jpg", quality=95)
        Image.fromarray(label).save(root / "labels" / f"{number}.png")
        splits.append((str(number), "val" if number == 5 else "train"))
    classes = [("raw_id", "name"), ("0", "grey"), ("3", "red"), ("7", "blue")]
    for name, rows in (("split.csv", splits), ("classes.csv", classes)):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root
