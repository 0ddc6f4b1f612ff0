"""Voxelisation, each augmentation, and whole batches of scenes, from points in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from pydantic import TypeAdapter

from gpu_check.record import Recorder
from pointseg.bench.rooms import VOXEL_M, room_points
from pointseg.config import changed
from pointseg.core.cloud import PointCloud
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.scans.pipeline import ScenePipeline
from pointseg.scans.transforms import RandomTransform, Transform, TransformConfig
from pointseg.scans.voxelize import voxelize

#: The augmentations of the MinkUNet34C recipe and the others that there are, one of each.
TRANSFORMS = TypeAdapter(tuple[TransformConfig, ...]).validate_python(
    [
        {"type": "center_shift"},
        {"type": "random_dropout"},
        {"type": "rotate"},
        {"type": "scale"},
        {"type": "flip"},
        {"type": "jitter"},
        {"type": "elastic"},
        {"type": "auto_contrast"},
        {"type": "chromatic_translation"},
        {"type": "chromatic_jitter"},
        {"type": "hue_saturation"},
        {"type": "color_drop"},
        {"type": "sphere_crop", "max_points": 100_000},
        {"type": "cuboid_crop", "size_m": [2.0, 2.0]},
    ]
)
_RECIPE = (
    "center_shift",
    "rotate",
    "scale",
    "flip",
    "jitter",
    "elastic",
    "auto_contrast",
    "chromatic_jitter",
)
_CLASSES = 20


def label_space() -> LabelSpace:
    """Twenty classes without a name of their own."""
    names = tuple(f"class{i}" for i in range(_CLASSES))
    return LabelSpace(
        "check", tuple(range(1, _CLASSES + 1)), names, ("",) * _CLASSES, distinct_colors(_CLASSES)
    )


def scene_of(num_points: int, seed: int = 0, name: str = "room") -> Scene:
    """A scan of rooms beside each other, with colours and random labels."""
    generator, missing = np.random.default_rng(seed), num_points
    parts: list[torch.Tensor] = []
    while missing > 0:
        points = room_points(seed=seed + len(parts))
        points = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))][:missing]
        points[:, 0] += 4.0 * len(parts)
        parts.append(points)
        missing -= len(points)
    return Scene(
        name,
        torch.cat(parts).numpy(),
        rgb=generator.integers(0, 256, (num_points, 3), dtype=np.uint8),
        raw_label=generator.integers(0, _CLASSES + 1, num_points).astype(np.int32),
    )


def measure_points(recorder: Recorder) -> None:
    """Milliseconds of each step from points to voxels."""
    for num_points in recorder.scale.points:
        _measure_size(recorder, num_points)


def _measure_size(recorder: Recorder, num_points: int) -> None:
    scene = scene_of(num_points)
    cloud = PointCloud.from_scene(scene, label_space(), recorder.device)
    generator = torch.Generator(recorder.device).manual_seed(0)
    steps: dict[str, Callable[[], object]] = {}
    for transform in TRANSFORMS:
        always = changed(transform, p=1.0) if isinstance(transform, RandomTransform) else transform
        assert isinstance(always, Transform)
        steps[always.type] = partial(always, cloud, generator)  # type: ignore[attr-defined]
    for label in ("point", "majority"):
        steps[f"voxelise, label {label}"] = partial(voxelize, cloud, VOXEL_M, label=label, seed=0)
    steps["whole batch"] = _batch(recorder, scene)
    for name, step in steps.items():
        if recorder.has_time(f"{num_points} points, {name}"):
            recorder.add("points", f"{num_points} points, {name}", **recorder.time_ms(step))


def _batch(recorder: Recorder, scene: Scene) -> Callable[[], object]:
    """Scenes in host memory to a batch on the device: two of half the points, mixed by Mix3D."""
    half = scene.num_vertices // 2
    halves = [
        Scene(f"{i}", scene.xyz_m[part], rgb=_part(scene.rgb, part), raw_label=_part(scene.raw_label, part))
        for i, part in enumerate((slice(0, half), slice(half, 2 * half)))
    ]
    pipeline = ScenePipeline(
        voxel_size_m=VOXEL_M,
        features=("color",),
        transforms=[t for t in TRANSFORMS if t.type in _RECIPE],
        label_space=label_space(),
        device=recorder.device,
        mix3d_p=1.0,
    )
    return lambda: pipeline.train_batch(halves, seed=0)


def _part(values: np.ndarray | None, part: slice) -> np.ndarray | None:
    return None if values is None else values[part]
