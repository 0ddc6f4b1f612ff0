"""Source: what training and evaluation ask of a data set, be it a store of scans or folders of images;
DataConfig: the options that all of them have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from pointseg.config import Config
from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.core.statistics import ClassStatistics


class DataConfig(Config):
    """Base of the options of data sets; each derives from it and adds ``kind`` and ``type: Literal[...]``.

    Args:
        path: its folder.
        train_split: split to train on.
        val_split: split to validate on, or None for no validation.
        passes: how often an epoch goes through the scenes; it scales ``train.epochs`` and nothing else.
        repeat_threshold: scenes with a class that fewer than this share of the scenes hold come more
            often, see ``pointseg.training.sampling``; an epoch has as many scenes as without. None: all
            scenes alike.
    """

    kind: ClassVar[Literal["scans", "images"]]

    path: Path
    train_split: str = "train"
    val_split: str | None = "val"
    passes: int = Field(default=1, ge=1)
    repeat_threshold: float | None = Field(default=None, gt=0, le=1)

    def check_scenes(self, store: Any, names: Sequence[str]) -> list[str]:
        """Look at scenes before the first step, as far as that is quick; what the user ought to know of them.

        Raises:
            ValueError: naming one that cannot be used, which would end a training only when it is its turn.
        """
        return []


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

    def has_labels(self, name: str) -> bool:
        """Whether a scene or image is labelled."""
        raise TypeError(f"{type(self).__name__} must define has_labels(name).")

    def load(self, name: str) -> Scene | ImageScene:
        """A scene or image as it lies on disk, every vertex or pixel of it."""
        raise TypeError(f"{type(self).__name__} must define load(name).")

    def read(self, name: str) -> Scene | ImageScene:
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
    # Lists: to add to an element of a tensor takes over a hundred times as long, and there may be millions.
    points, samples = [0] * label_space.num_classes, [0] * label_space.num_classes
    for entry in entries:
        for raw_id, count in entry["class_points"].items():
            index = position.get(int(raw_id))
            if index is not None and count > 0:
                points[index] += count
                samples[index] += 1
    return ClassStatistics(torch.tensor(points), torch.tensor(samples), len(entries))
