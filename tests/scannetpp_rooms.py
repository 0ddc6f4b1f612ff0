"""ScanNet++ v2 in its true layout, made here: small rooms of a few objects, and what their labels must be."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pointseg.formats.ply import write_scannet_mesh

CLASSES = ("wall", "floor", "office chair", "cushion", "table")
#: class,count,semantic_map_to,instance_map_to: as it is, renamed, dropped, and renamed to what is no class.
MAP = (
    "class,count,semantic_map_to,instance_map_to\n"
    "wall,9,,\nfloor,9,,\nchair,8,office chair,office chair\noffice chair,7,,\ncushion,5,,\ntable,4,,\n"
    "remove,3,None,None\nposter,2,picture,picture\n"
)
#: Name of an object -> its id, by the two tables.
IDS = {"wall": 0, "floor": 1, "chair": 2, "office chair": 2, "cushion": 3, "table": 4}

Objects = Sequence[tuple[str, Sequence[int]]]


def add_tables(source: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Metadata and lists; ``splits`` is by the name of the list."""
    folder = source / "metadata" / "semantic_benchmark"
    folder.mkdir(parents=True)
    (folder / "top100.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "map_benchmark.csv").write_text(MAP)
    (source / "splits").mkdir()
    for name, scenes in splits.items():
        (source / "splits" / f"{name}.txt").write_text("".join(f"{scene}\n" for scene in scenes))


def add_scene(
    source: Path,
    name: str,
    segments: Sequence[int] | None,
    objects: Objects = (),
    *,
    side: int = 3,
    mask: Sequence[int] | None = (),
) -> Path:
    """A square of ``side`` x ``side`` vertices, 1 m apart, red rising along x; returns its folder scans."""
    folder = source / "data" / name / "scans"
    folder.mkdir(parents=True)
    y, x = np.divmod(np.arange(side * side), side)
    xyz = np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float32)
    rgba = np.stack([10 * x, np.full_like(x, 50), 10 * y, np.full_like(x, 255)], axis=1).astype(np.uint8)
    low = np.flatnonzero((x < side - 1) & (y < side - 1))
    faces = np.concatenate(
        [np.stack([low, low + 1, low + side], 1), np.stack([low + 1, low + side + 1, low + side], 1)]
    )
    write_scannet_mesh(folder / "mesh_aligned_0.05.ply", xyz, rgba, faces)
    if mask is not None:
        (folder / "mesh_aligned_0.05_mask.txt").write_text("".join(f"{number}\n" for number in mask))
    if segments is not None:
        (folder / "segments.json").write_text(json.dumps({"sceneId": name, "segIndices": list(segments)}))
        groups = [
            {"id": i + 1, "objectId": i + 1, "label": label, "segments": list(parts)}
            for i, (label, parts) in enumerate(objects)
        ]
        (folder / "segments_anno.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))
    return folder


def labels_by_hand(segments: Sequence[int], objects: Objects) -> list[list[int]]:
    """The labels of each vertex, that of the smallest object first; slow, vertex by vertex.

    The size of an object is the number of its vertices that had room for one label more.
    """
    taken: list[list[tuple[int, int]]] = [[] for _ in segments]  # (size, id) in the order of the file
    for label, parts in objects:
        if label in IDS:
            members = [v for v, s in enumerate(segments) if s in set(parts) and len(taken[v]) < 3]
            for v in members:
                taken[v].append((len(members), IDS[label]))
    found = []
    for labels in taken:
        sizes = [size for size, _ in labels]
        first = sizes.index(min(sizes)) if sizes else 0
        ids = [number for _, number in labels]
        rest = ids[:first] + ids[first + 1 :]
        found.append([ids[first], *sorted(rest)] if ids else [])
    return found
