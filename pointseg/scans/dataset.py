"""StoreData: the options of a data set that lies in a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field

from pointseg.core.labels import LabelSpace
from pointseg.data.reader import SceneReader
from pointseg.data.source import DataConfig
from pointseg.scans.features import COLOR_FEATURES, FeatureName, check_scene_has
from pointseg.scans.paste import InstancePaster, PasteConfig
from pointseg.scans.pipeline import ScenePipeline, split_at_voxelize
from pointseg.scans.store import Store
from pointseg.scans.transforms import TransformConfig


class StoreData(DataConfig):
    """Options of a data set that lies in a store, beside those of every data set.

    Args:
        voxel_size_m: edge of a voxel in metres.
        features: what the network sees of a voxel, in this order; see ``pointseg.scans.features``.
        max_voxels: most voxels of a scene in training, a random sphere of it; None for no limit.
        paste: objects of rare classes to put into training scenes, see ``pointseg.scans.paste``; None for
            none.
    """

    kind: ClassVar[Literal["scans", "images"]] = "scans"

    type: Literal["store"] = "store"
    voxel_size_m: float = Field(default=0.02, gt=0)
    features: tuple[FeatureName, ...] = Field(default=("color",), min_length=1)
    max_voxels: int | None = Field(default=None, ge=1)
    paste: PasteConfig | None = None

    def open(self) -> Store:
        """The store.

        Raises:
            FileNotFoundError: if there is none at ``path``.
        """
        return Store.open(self.path)

    def check(self, augment: Sequence[TransformConfig], mix3d_p: float) -> None:
        """Raises ValueError for transforms in an order that cannot be."""
        split_at_voxelize(augment)

    def check_scenes(self, store: Store, names: Sequence[str]) -> list[str]:
        """Whether the files of scenes are there and whole, with what the features need; pages are not read.

        Raises:
            ValueError: naming a scene that cannot be used.
        """
        for name in names:
            check_scene_has(self.features, store.load(name))
        bare = [name for name in names if not store.has_colors(name)]
        if not bare or not COLOR_FEATURES & set(self.features):
            return []
        return [
            f"WARNING: the network sees colours, and {len(bare)} of {len(names)} scenes have none, such as "
            f"{bare[0]}: there it sees grey"
        ]

    def build_reader(self, store: Store, names: Sequence[str], *, seed: int) -> SceneReader:
        """What loader workers do.

        Raises:
            ValueError: if there is nothing to paste where that is asked for.
        """
        paste = None if self.paste is None else InstancePaster(store, names, self.paste, seed=seed)
        return SceneReader(store, names, paste)

    def build_pipeline(
        self,
        label_space: LabelSpace,
        device: torch.device | str,
        *,
        augment: Sequence[TransformConfig] = (),
        mix3d_p: float = 0.0,
    ) -> ScenePipeline:
        """What makes batches on a device."""
        return ScenePipeline(
            voxel_size_m=self.voxel_size_m,
            features=self.features,
            transforms=augment,
            label_space=label_space,
            device=device,
            mix3d_p=mix3d_p,
            max_voxels=self.max_voxels,
        )
