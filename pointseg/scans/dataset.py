"""StoreData: the door to scans: a data set that lies in a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field

from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.data.kind import Kind
from pointseg.data.reader import SceneReader
from pointseg.formats.clouds import CLOUD_SUFFIXES
from pointseg.formats.submission import SubmissionCheck
from pointseg.scans.benchmark import Benchmark
from pointseg.scans.checker import ScanSubmission, check_by_rules
from pointseg.scans.features import COLOR_SCALES, FeatureName, check_scene_has
from pointseg.scans.file import CloudFile, read_for_network
from pointseg.scans.labelled import labelled_suffixes
from pointseg.scans.paste import InstancePaster, PasteConfig
from pointseg.scans.pipeline import ScenePipeline, split_at_voxelize
from pointseg.scans.store import Store
from pointseg.scans.submission import write_submission
from pointseg.scans.sweep_layouts import layout_for_split
from pointseg.scans.sweep_submission import write_sweeps
from pointseg.scans.transforms import TransformConfig


class StoreData(Kind):
    """Options of a data set that lies in a store, beside those of every data set.

    Args:
        voxel_size_m: edge of a voxel in metres.
        features: what the network sees of a voxel, in this order; see ``pointseg.scans.features``.
        max_voxels: most voxels of a scene in training, a random sphere of it; None for no limit.
        paste: objects of rare classes to put into training scenes, see ``pointseg.scans.paste``; None for
            none.
    """

    kind: ClassVar[str] = "scans"
    file_suffixes: ClassVar[tuple[str, ...]] = CLOUD_SUFFIXES
    keeps_more: ClassVar[bool] = True
    checker: ClassVar[Any] = ScanSubmission
    more_rows: ClassVar[str] = "a smaller data.voxel_size_m"

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
        return self.cut(Store.open(self.path))

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
        if not bare or not COLOR_SCALES.keys() & set(self.features):
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

    def read_file(self, path: Path, *, unit: str | None = None, want_labels: bool = False) -> CloudFile:
        """A file of CLOUD_SUFFIXES, with normals if the network wants to see them."""
        return read_for_network(path, self.features, self.voxel_size_m, want_labels=want_labels, unit=unit)

    def labelled_suffixes(self, source: Path) -> tuple[str, ...]:
        """See :func:`pointseg.scans.labelled.labelled_suffixes`."""
        return labelled_suffixes(source)

    def submitted_ranks(self, label_space: LabelSpace) -> int:
        """Three for ScanNet++, see ``pointseg.scans.benchmark``; else one."""
        return Benchmark.of(label_space.name).ranks

    def write_submission(
        self,
        path: Path,
        store: Store,
        names: Sequence[str],
        label_space: LabelSpace,
        predicted: Iterable[tuple[Scene, ScenePrediction]],
        description: bytes | None = None,
    ) -> SubmissionCheck:
        """A text of raw ids for each scan, one line a vertex, or what the server of the label set takes."""
        rules = Benchmark.of(label_space.name)
        layout = layout_for_split(rules.layout, store.entry(names[0])["split"], description)
        expected = {name: store.num_scored(name) for name in names}
        raw_ids = (
            (
                s.name,
                label_space.decode(p.train_index if p.top_index is None else p.top_index)[: expected[s.name]],
            )
            for s, p in predicted
        )
        if layout is None:
            write_submission(path, raw_ids)
        else:
            write_sweeps(path, layout, names, raw_ids)
        return check_by_rules(path, label_space, expected, layout)
