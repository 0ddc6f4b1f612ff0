"""Source: what training and evaluation ask of a data set, be it a store of scans or folders of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from pointseg.core.derived_labels import DerivedLabels
from pointseg.core.labels import LabelSpace
from pointseg.core.member import Member
from pointseg.core.notebook import html_table
from pointseg.core.scene import Scene
from pointseg.core.statistics import ClassStatistics


@dataclass(frozen=True)
class Source:
    """A data set, opened for reading; small enough to be sent to loader workers.

    Args:
        path: its folder.
        label_space: the classes; ``raw_label`` of every scene or image is in its raw ids.
        entries: for each scene or image its split, number of vertices or pixels, and class points.
    """

    #: What its members and their parts are called.
    members: ClassVar[str] = "scenes"
    unit: ClassVar[str] = Scene.unit

    path: Path
    label_space: LabelSpace
    entries: Mapping[str, Mapping[str, Any]]

    def __repr__(self) -> str:
        splits = ", ".join(f"{name} {len(names)}" for name, names in self.splits().items())
        return f"{type(self).__name__}({str(self.path)!r}, {self.label_space!r}, {self.members}: {splits})"

    def _repr_html_(self) -> str:
        rows = [
            (split, f"{len(names):,}", f"{sum(self.num_vertices(name) for name in names):,}")
            for split, names in self.splits().items()
        ]
        return html_table(repr(self), ("split", self.members, self.unit), rows)

    def has_labels(self, name: str) -> bool:
        """Whether a scene or image is labelled."""
        raise TypeError(f"{type(self).__name__} must define has_labels(name).")

    def load(self, name: str) -> Member:
        """A scene or image as it lies on disk, every vertex or pixel of it."""
        raise TypeError(f"{type(self).__name__} must define load(name).")

    def read(self, name: str) -> Member:
        """A scene or image in memory, with what training needs of it."""
        raise TypeError(f"{type(self).__name__} must define read(name).")

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

    def class_statistics(self, split: str, derived: DerivedLabels | None = None) -> ClassStatistics:
        """Points and scenes of each class in the labelled scenes of a split, from the manifest alone.

        Args:
            split: name of the split.
            derived: labels that follow from those of the data set, to count these instead.

        Raises:
            ValueError: if there is no such split or none of its scenes is labelled.
        """
        names = [name for name in self.scene_names(split) if self.has_labels(name)]
        if not names:
            raise ValueError(f"{self.path}: no scene of split {split!r} is labelled; it has no class counts.")
        entries = [self.entries[name] for name in names]
        if derived is None:
            return count_classes(entries, self.label_space)
        return count_classes([derived.entry(entry) for entry in entries], derived.space)


def count_classes(entries: list[Mapping[str, Any]], label_space: LabelSpace) -> ClassStatistics:
    """Class statistics of scenes from their manifest entries."""
    position = {raw_id: index for index, raw_id in enumerate(label_space.raw_ids)}
    # Lists: to add to an element of a tensor takes over a hundred times as long, and there may be millions.
    points, samples = [0] * label_space.num_classes, [0] * label_space.num_classes
    for entry in entries:
        for raw_id, count in entry["class_points"].items():
            index = position.get(int(raw_id))
            if index is not None and count > 0:
                points[index] += count
                samples[index] += 1
    return ClassStatistics(torch.tensor(points), torch.tensor(samples), len(entries))
