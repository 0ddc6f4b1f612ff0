"""StoreData: which scenes a run trains and validates on; SceneReader: what loader workers do, reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch.utils.data import Dataset

from pointseg.config import Config
from pointseg.core.scene import Scene
from pointseg.data.features import FeatureName
from pointseg.data.store import Store


class StoreData(Config):
    """Options of a data set that lies in a store.

    Args:
        path: folder of the store.
        train_split: split to train on.
        val_split: split to validate on, or None for no validation.
        voxel_size_m: edge of a voxel in metres.
        features: what the network sees of a voxel, in this order; see ``pointseg.data.features``.
        max_voxels: most voxels of a scene in training, a random sphere of it; None for no limit.
        passes: how often an epoch goes through the scenes; it scales ``train.epochs`` and nothing else.
    """

    type: Literal["store"] = "store"
    path: Path
    train_split: str = "train"
    val_split: str | None = "val"
    voxel_size_m: float = Field(default=0.02, gt=0)
    features: tuple[FeatureName, ...] = Field(default=("color",), min_length=1)
    max_voxels: int | None = Field(default=None, ge=1)
    passes: int = Field(default=1, ge=1)

    def open(self) -> Store:
        """The store.

        Raises:
            FileNotFoundError: if there is none at ``path``.
        """
        return Store.open(self.path)


@dataclass(frozen=True)
class LoadedBatch:
    """Scenes in memory, waiting for augmentation and voxelisation.

    Args:
        index: number of this batch in the plan; its seed follows from it.
        scenes: the scenes.
    """

    index: int
    scenes: tuple[Scene, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(scene.name for scene in self.scenes)


class SceneReader(Dataset[LoadedBatch]):
    """Reads the scenes of a batch; it runs in loader workers, so it does nothing else.

    Args:
        store: the store.
        names: scene names; a batch is given as (index, positions in this list).
    """

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        self.store = store
        self.names = tuple(names)

    def __getitem__(self, batch: tuple[int, tuple[int, ...]]) -> LoadedBatch:
        index, positions = batch
        return LoadedBatch(index, tuple(read_whole(self.store.load(self.names[p])) for p in positions))


def read_whole(scene: Scene) -> Scene:
    """A scene in memory, with what training needs of it: here the disk is waited for."""

    def copied(values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if values is None else np.array(values)

    return Scene(
        scene.name,
        np.array(scene.xyz_m),
        rgb=copied(scene.rgb),
        normal=copied(scene.normal),
        raw_label=copied(scene.raw_label),
    )
