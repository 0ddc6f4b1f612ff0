"""SceneReader: what loader workers do, reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch.utils.data import Dataset

from pointseg.data.source import Source

#: (scene, number of the batch, place in the batch) -> the scene with objects of others in it.
Paste: TypeAlias = Callable[[Any, int, int], Any]


@dataclass(frozen=True)
class LoadedBatch:
    """Scenes in memory, waiting for augmentation and voxelisation.

    Args:
        index: number of this batch in the plan; its seed follows from it.
        scenes: the scenes or images.
    """

    index: int
    scenes: tuple[Any, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(scene.name for scene in self.scenes)


class SceneReader(Dataset[LoadedBatch]):
    """Reads the scenes of a batch, those from which objects are pasted too; it runs in loader workers.

    Args:
        store: the data set.
        names: scene names; a batch is given as (index, positions in this list).
        paste: what puts objects of other scenes into a scene, or None.
    """

    def __init__(self, store: Source, names: Sequence[str], paste: Paste | None = None) -> None:
        self.store = store
        self.names = tuple(names)
        self.paste = paste

    def __getitem__(self, batch: tuple[int, tuple[int, ...]]) -> LoadedBatch:
        index, positions = batch
        scenes: list[Any] = [self.store.read(self.names[position]) for position in positions]
        if self.paste is not None:
            scenes = [self.paste(scene, index, place) for place, scene in enumerate(scenes)]
        return LoadedBatch(index, tuple(scenes))
