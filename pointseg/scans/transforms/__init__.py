"""Augmentations: strict configurations that are callable, ``transform(cloud, generator) -> cloud``.

Everything is torch code on the cloud's own device and draws only from the generator it is given, one of the
host: a seed repeats a result whatever else the program has drawn. A list of them is written in
YAML by ``type``::

    transforms:
      - {type: center_shift}
      - {type: rotate, axis: z, max_angle_deg: 180, p: 0.5}
      - {type: voxelize}
      - {type: sphere_crop, max_points: 100000}

``voxelize`` marks where in the list points become voxels (at the end where the list has none); what stands
after it works on voxels and must keep their grid: crops, shifts and colours.
"""

from typing import Annotated

from pydantic import Field

from pointseg.scans.transforms.base import RandomTransform, Transform
from pointseg.scans.transforms.color import (
    AutoContrast,
    ChromaticJitter,
    ChromaticTranslation,
    ColorDrop,
    HueSaturation,
)
from pointseg.scans.transforms.elastic import Elastic
from pointseg.scans.transforms.geometric import CenterShift, Flip, Jitter, Rotate, Scale
from pointseg.scans.transforms.subset import CuboidCrop, RandomDropout, SphereCrop
from pointseg.scans.voxelize import Voxelize

TransformConfig = Annotated[
    CenterShift
    | RandomDropout
    | Rotate
    | Scale
    | Flip
    | Jitter
    | Elastic
    | AutoContrast
    | ChromaticTranslation
    | ChromaticJitter
    | HueSaturation
    | ColorDrop
    | SphereCrop
    | CuboidCrop
    | Voxelize,
    Field(discriminator="type"),
]

__all__ = [
    "AutoContrast",
    "CenterShift",
    "ChromaticJitter",
    "ChromaticTranslation",
    "ColorDrop",
    "CuboidCrop",
    "Elastic",
    "Flip",
    "HueSaturation",
    "Jitter",
    "RandomDropout",
    "RandomTransform",
    "Rotate",
    "Scale",
    "SphereCrop",
    "Transform",
    "TransformConfig",
    "Voxelize",
]
