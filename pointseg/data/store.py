"""Store: a prepared data set, opened for reading. StoreWriter makes one; see store_layout for its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.core.statistics import ClassStatistics
from pointseg.data.store_layout import ARRAYS, SCENES, check_scene_name, read_manifest
from pointseg.data.store_writer import StoreWriter

__all__ = ["Store", "StoreWriter", "count_classes"]


@dataclass(frozen=True)
class Store:
    """A prepared data set, opened for reading; small enough to be sent to loader workers.

    Args:
        path: its folder.
        label_space: the classes; ``raw_label`` of every scene is in its raw ids.
        options: how it was prepared (source, axis alignment, tables and their hashes).
        entries: for each scene its split, number of vertices, files with hashes, class points and notes.
    """

    path: Path
    label_space: LabelSpace
    options: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Any]]

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Read the manifest; no scene is touched.

        Raises:
            FileNotFoundError: if there is no store at ``path``.
            ValueError: if its preparation has not ended, or it was written in another format version.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if not manifest["complete"]:
            raise ValueError(
                f"{path}: its preparation was stopped before the end. Run the same data_prep command again; "
                "it continues where it stopped."
            )
        return cls(
            path, LabelSpace.from_dict(manifest["label_space"]), manifest["options"], manifest["scenes"]
        )

    def splits(self) -> dict[str, list[str]]:
        """Scene names of every split, sorted."""
        names: dict[str, list[str]] = {}
        for name in sorted(self.entries):
            names.setdefault(self.entries[name]["split"], []).append(name)
        return names

    def scene_names(self, split: str) -> list[str]:
        """Scene names of one split, sorted.

        Raises:
            ValueError: if the store has no such split.
        """
        splits = self.splits()
        if split not in splits:
            held = ", ".join(f"{name} ({len(scenes)} scenes)" for name, scenes in splits.items())
            raise ValueError(f"{self.path}: no split {split!r}; it holds {held or 'no scene'}.")
        return splits[split]

    def entry(self, name: str) -> Mapping[str, Any]:
        """The manifest's entry of a scene.

        Raises:
            ValueError: if the store has no such scene.
        """
        if name not in self.entries:
            raise ValueError(f"{self.path}: no scene {name!r}; it holds {len(self.entries)} other scenes.")
        return self.entries[name]

    def num_vertices(self, name: str) -> int:
        return int(self.entry(name)["num_vertices"])

    def has_labels(self, name: str) -> bool:
        return "raw_label" in self.entry(name)["files"]

    def has_colors(self, name: str) -> bool:
        return "rgb" in self.entry(name)["files"]

    def load(self, name: str) -> Scene:
        """A scene whose arrays are read-only memory maps: pages are read when they are used.

        Raises:
            ValueError: if there is no such scene, or its files do not agree with the manifest.
        """
        entry = self.entry(name)
        folder = self.path / SCENES / check_scene_name(name)
        arrays: dict[str, Any] = {}
        for array in entry["files"]:
            if array not in ARRAYS:
                raise ValueError(f"{self.path}: scene {name} lists an unknown array {array!r}.")
            file = folder / f"{array}.npy"
            try:
                arrays[array] = np.load(file, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise ValueError(
                    f"{file}: cannot be read ({error}). Delete {folder} and run data_prep again."
                ) from None
            rows, kind = len(arrays[array]), arrays[array].dtype
            if kind != ARRAYS[array] or rows != entry["num_vertices"]:
                raise ValueError(
                    f"{file}: expected {entry['num_vertices']} rows of {ARRAYS[array]}; got {rows} of "
                    f"{kind}. Delete {folder} and run data_prep again."
                )
        return Scene(name, **arrays)

    def class_statistics(self, split: str) -> ClassStatistics:
        """Points and scenes of each class in the labelled scenes of a split, from the manifest alone.

        Raises:
            ValueError: if there is no such split or none of its scenes is labelled.
        """
        names = [name for name in self.scene_names(split) if self.has_labels(name)]
        if not names:
            raise ValueError(f"{self.path}: no scene of split {split!r} is labelled; it has no class counts.")
        return count_classes([self.entries[name] for name in names], self.label_space)


def count_classes(entries: list[Mapping[str, Any]], label_space: LabelSpace) -> ClassStatistics:
    """Class statistics of scenes from their manifest entries."""
    position = {raw_id: index for index, raw_id in enumerate(label_space.raw_ids)}
    points = torch.zeros(label_space.num_classes, dtype=torch.int64)
    samples = torch.zeros(label_space.num_classes, dtype=torch.int64)
    for entry in entries:
        for raw_id, count in entry["class_points"].items():
            index = position.get(int(raw_id))
            if index is not None and count > 0:
                points[index] += count
                samples[index] += 1
    return ClassStatistics(points, samples, len(entries))
