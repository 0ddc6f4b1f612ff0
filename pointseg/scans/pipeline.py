"""ScenePipeline: scenes in, a SceneBatch on the device out. The only way from scenes to network input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pointseg.core.batch import SceneBatch
from pointseg.core.cloud import PointCloud
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.rows import IGNORE
from pointseg.core.scene import Scene
from pointseg.core.seeds import seeded_generator
from pointseg.data.kind import NUM_VIEWS
from pointseg.scans.features import NO_COLOR, WIDTHS, check_features, check_scene_has, stack_features
from pointseg.scans.mix import Sample, mix_pairs
from pointseg.scans.predict import predict
from pointseg.scans.transforms import SphereCrop, Transform, TransformConfig, Voxelize
from pointseg.scans.transforms.geometric import mirror, rotate_vectors
from pointseg.scans.voxelize import voxelize

#: Where random numbers are drawn: what the host knows it need not ask a device for.
HOST = torch.device("cpu")
# Streams of random numbers: those of a scene never depend on whether or how often pairs are mixed.
_SCENE_STREAM, _PAIR_STREAM = 0, 1


class ScenePipeline:
    """Augment, voxelise and batch scenes on a device.

    The transforms before ``voxelize`` see points, those after it voxels; a list without one has it at its
    end. Each scene then has at most ``max_voxels`` voxels, and pairs of scenes may be mixed.

    Args:
        voxel_size_m: edge of a voxel in metres.
        features: names of the input columns, see ``pointseg.scans.features``. A scene without colour gives
            zeros for it; one without normals is refused where ``normal`` is asked for.
        transforms: the augmentations of training, in order.
        label_space: raw ids -> train indices.
        device: where everything runs.
        mix3d_p: probability that a pair of scenes of a batch becomes one mixed sample.
        max_voxels: most voxels of a scene in training, a random sphere of it; None for no limit.

    Raises:
        ValueError: for unknown features, values out of range, two ``voxelize`` in the list, or a transform
            after ``voxelize`` that moves points out of their voxels.
    """

    def __init__(
        self,
        *,
        voxel_size_m: float,
        features: Sequence[str],
        transforms: Sequence[TransformConfig],
        label_space: LabelSpace,
        device: torch.device | str = "cpu",
        mix3d_p: float = 0.0,
        max_voxels: int | None = None,
    ) -> None:
        if not 0.0 < voxel_size_m < float("inf"):
            raise ValueError(f"voxel_size_m must be a positive length in metres; got {voxel_size_m}.")
        if not 0.0 <= mix3d_p <= 1.0:
            raise ValueError(f"mix3d_p must be a probability in [0, 1]; got {mix3d_p}.")
        if max_voxels is not None and max_voxels < 1:
            raise ValueError(f"max_voxels must be at least 1, or None for no limit; got {max_voxels}.")
        self.voxel_size_m = voxel_size_m
        self.features = check_features(features)
        self.label_space = label_space
        self.device = torch.device(device)
        self.mix3d_p = mix3d_p
        self.on_points, self.voxelizing, self.on_voxels = split_at_voxelize(transforms)
        self.budget = None if max_voxels is None else SphereCrop(max_points=max_voxels)

    @property
    def num_features(self) -> int:
        """Columns of the features, the input channels of the network."""
        return sum(WIDTHS[name] for name in self.features)

    def train_batch(self, scenes: Sequence[Scene], seed: int) -> SceneBatch:
        """Augmented scenes as a batch without inverse map.

        What becomes of a scene depends on ``seed`` and its position in the batch and on nothing else, and
        Mix3D on ``seed`` and the position of the pair. A mixed pair is one sample, so the batch may hold
        fewer samples than scenes.

        Args:
            scenes: at least one scene.
            seed: not negative; the same seed gives the same batch on the same kind of device.

        Raises:
            ValueError: for no scene, or a scene with a coordinate that is not finite.
        """
        on_points: list[Transform] = [*self.on_points]
        on_voxels: list[Transform] = [*self.on_voxels, *([self.budget] if self.budget else [])]
        samples = []
        for position, scene in enumerate(scenes):
            generator = seeded_generator(HOST, seed, _SCENE_STREAM, position)
            cloud = self.upload(scene)
            for transform in on_points:
                cloud = transform(cloud, generator)
            samples.append(self._sample(cloud, on_voxels, generator, turn=None))
        if self.mix3d_p > 0.0:
            pairs = (len(samples) + 1) // 2
            generators = [seeded_generator(HOST, seed, _PAIR_STREAM, i) for i in range(pairs)]
            samples = mix_pairs(samples, self.mix3d_p, generators)
        return collate(samples)

    def eval_batch(self, scenes: Sequence[Scene], view: int = 0) -> SceneBatch:
        """Whole scenes without augmentation, and the voxel of every vertex (``inverse``). Deterministic.

        Of the transforms only the center shifts are applied, so that the network sees the coordinates it was
        trained on.

        Args:
            scenes: at least one scene.
            view: 0..3 turn the scenes by 0, 90, 180, 270 degrees about z; 4..7 mirror x first. In view v a
                voxel of n points shows point v mod n (with ``features: point``), so views also differ in what
                they show of crowded voxels.

        Raises:
            ValueError: for no scene, an unknown view, or a scene with a coordinate that is not finite.
        """
        return self.view_batch([self.upload(scene) for scene in scenes], view)

    def view_batch(self, clouds: Sequence[PointCloud], view: int) -> SceneBatch:
        """:meth:`eval_batch` of scenes that :meth:`upload` has brought to the device, once for all views.

        Raises:
            ValueError: for no cloud, or an unknown view.
        """
        if not 0 <= view < NUM_VIEWS:
            raise ValueError(f"view must be 0..{NUM_VIEWS - 1}; got {view}.")
        unused = torch.Generator()
        samples = []
        for uploaded in clouds:
            cloud = turn_to_view(uploaded, view)
            for transform in self.on_points:
                cloud = transform(cloud, unused) if transform.at_eval else cloud
            at_eval = [transform for transform in self.on_voxels if transform.at_eval]
            samples.append(self._sample(cloud, at_eval, unused, turn=view))
        return collate(samples)

    def predict(
        self,
        network: nn.Module,
        scene: Scene,
        *,
        views: int,
        max_tile_points: int | None,
        top: int = 1,
        heads: Sequence[str] = (),
        entropy: bool = False,
    ) -> ScenePrediction:
        """The prediction for every vertex of a scene, see :func:`pointseg.scans.predict.predict`."""
        return predict(
            network,
            self,
            scene,
            views=views,
            max_tile_points=max_tile_points,
            top=top,
            heads=heads,
            entropy=entropy,
        )

    def upload(self, scene: Scene) -> PointCloud:
        """The scene on the device, its labels encoded.

        Raises:
            ValueError: for a coordinate that is not finite, or normals that are asked for and not there.
        """
        check_scene_has(self.features, scene)
        # Before they are on the device, which would have to be waited for.
        finite = np.asarray(np.isfinite(scene.xyz_m).all(axis=1))
        if not finite.all():
            raise ValueError(
                f"{scene.name}: {np.count_nonzero(~finite)} of {len(finite)} points have a NaN or infinite "
                "coordinate. Remove them or prepare the scene again."
            )
        cloud = PointCloud.from_scene(scene, self.label_space, self.device)
        return cloud.with_(color=torch.full_like(cloud.color, NO_COLOR)) if scene.rgb is None else cloud

    def _sample(
        self,
        cloud: PointCloud,
        on_voxels: Sequence[Transform],
        generator: torch.Generator,
        *,
        turn: int | None,
    ) -> Sample:
        """Voxelise and apply what comes after; with ``turn`` None points are drawn and no inverse is kept."""
        voxels = voxelize(
            cloud,
            self.voxel_size_m,
            features=self.voxelizing.features,
            label=self.voxelizing.label,
            seed=generator.initial_seed() if turn is None else None,
            turn=turn or 0,
        )
        before = voxels.cloud
        height_m = before.xyz_m[:, 2] - (cloud.xyz_m[:, 2].min() if cloud.num_points else 0.0)
        # Number the voxels in place of the vertices: the transforms then tell which of them are left.
        after = before.with_(vertex=torch.arange(before.num_points, device=self.device))
        for transform in on_voxels:
            after = transform(after, generator)
        rows = after.vertex
        return Sample(
            name=cloud.name,
            coords=shift_grid(voxels.coords[rows], before.xyz_m[rows], after.xyz_m, self.voxel_size_m),
            features=stack_features(self.features, after, height_m[rows]),
            labels=after.label,
            vertex=before.vertex[rows],
            inverse=None if turn is None else voxels.inverse,
        )


def split_at_voxelize(
    transforms: Sequence[TransformConfig],
) -> tuple[tuple[Transform, ...], Voxelize, tuple[Transform, ...]]:
    """Transforms of points, the voxelisation, transforms of voxels.

    Raises:
        ValueError: for two voxelisations, or a transform of voxels that would leave the grid.
    """
    places = [i for i, transform in enumerate(transforms) if isinstance(transform, Voxelize)]
    if len(places) > 1:
        raise ValueError(f"transforms: 'voxelize' may occur once; it stands at positions {places}.")
    place = places[0] if places else len(transforms)
    voxelizing = transforms[place] if places else Voxelize()
    assert isinstance(voxelizing, Voxelize)
    on_points = tuple(t for t in transforms[:place] if isinstance(t, Transform))
    on_voxels = tuple(t for t in transforms[place + 1 :] if isinstance(t, Transform))
    leaving = [t.type for t in transforms[place + 1 :] if isinstance(t, Transform) and not t.keeps_grid]
    if leaving:
        raise ValueError(
            f"transforms: {', '.join(leaving)} would leave the grid of voxels; put it before 'voxelize'."
        )
    return on_points, voxelizing, on_voxels


def turn_to_view(cloud: PointCloud, view: int) -> PointCloud:
    """Quarter turns about z, exact in floating point; views 4..7 mirror x first."""
    if view >= 4:
        cloud = mirror(cloud, 0)
    cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[view % 4]
    return cloud.with_(
        xyz_m=rotate_vectors(cloud.xyz_m, 2, cosine, sine),
        normal=rotate_vectors(cloud.normal, 2, cosine, sine),
    )


def shift_grid(coords: Tensor, before_m: Tensor, after_m: Tensor, voxel_size_m: float) -> Tensor:
    """Move voxels with their points by a whole number of voxels, so that mixed scenes meet where they lie."""
    if not coords.shape[0]:
        return coords
    return coords + ((after_m[0] - before_m[0]) / voxel_size_m).round().int()


def collate(samples: Sequence[Sample]) -> SceneBatch:
    """Samples one after the other, batch index first; the lowest coordinate of each sample becomes 0.

    Raises:
        ValueError: if there is no sample.
    """
    if not samples:
        raise ValueError("A batch needs at least one scene; got none.")
    coords, inverse, offset = [], [], 0
    for index, sample in enumerate(samples):
        batch_column = torch.full_like(sample.coords[:, :1], index)
        low = sample.coords.amin(dim=0) if sample.coords.shape[0] else 0
        coords.append(torch.cat([batch_column, sample.coords - low], dim=1))
        if sample.inverse is not None:
            inverse.append(sample.inverse + offset)
        offset += sample.coords.shape[0]
    labels = torch.cat([sample.labels for sample in samples])
    return SceneBatch(
        coords=torch.cat(coords),
        features=torch.cat([sample.features for sample in samples]),
        labels=labels,
        names=tuple(sample.name for sample in samples),
        inverse=torch.cat(inverse) if inverse else None,
        num_points=tuple(i.shape[0] for i in inverse),
        # Found while the batch is made: the training step then need not wait for the device. A label space
        # gives no other labels than classes and IGNORE.
        labelled=torch.nonzero(labels != IGNORE).squeeze(1),
    )
