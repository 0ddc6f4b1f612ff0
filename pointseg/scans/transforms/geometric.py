"""Transforms of positions that keep every point: shift, rotation, scale, flip, jitter. Normals follow."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pointseg.core.cloud import PointCloud
from pointseg.core.transfer import to_device
from pointseg.scans.transforms.base import RandomTransform, Transform, coin, normal, uniform, uniform_row


class CenterShift(Transform):
    """Put the middle of the bounding box at x = y = 0 and, with ``z: ground``, the lowest point at z = 0.

    Source: CenterShift of Pointcept; ``z: keep`` is its ``apply_z=False``.
    """

    type: Literal["center_shift"] = "center_shift"
    z: Literal["ground", "keep"] = "ground"

    keeps_grid: ClassVar[bool] = True
    at_eval: ClassVar[bool] = True

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        low, high = torch.aminmax(cloud.xyz_m, dim=0)
        ground = low[2:] if self.z == "ground" else torch.zeros_like(low[2:])
        return cloud.with_(xyz_m=cloud.xyz_m - torch.cat([((low + high) / 2)[:2], ground]))


class Rotate(RandomTransform):
    """Rotate by a uniform angle in [-max_angle_deg, max_angle_deg] about an axis through the origin."""

    type: Literal["rotate"] = "rotate"
    axis: Literal["x", "y", "z"] = "z"
    max_angle_deg: float = Field(default=180.0, ge=0.0, le=180.0)

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        limit = math.radians(self.max_angle_deg)
        angle = uniform(-limit, limit, generator)
        cosine, sine = math.cos(angle), math.sin(angle)
        axis = "xyz".index(self.axis)
        return cloud.with_(
            xyz_m=rotate_vectors(cloud.xyz_m, axis, cosine, sine),
            normal=rotate_vectors(cloud.normal, axis, cosine, sine),
        )


def rotate_vectors(vectors: Tensor, axis: int, cosine: float, sine: float) -> Tensor:
    """(P, 3) vectors turned counter-clockwise about a coordinate axis, seen from its positive end."""
    # No matrix product: with TF32 allowed it would round positions to 10 bits, centimetres in a room.
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turned = vectors.clone()
    turned[:, first] = cosine * vectors[:, first] - sine * vectors[:, second]
    turned[:, second] = sine * vectors[:, first] + cosine * vectors[:, second]
    return turned


class Scale(RandomTransform):
    """Scale about the origin by a uniform factor in [low, high]; ``anisotropic`` draws one for each axis."""

    type: Literal["scale"] = "scale"
    low: float = Field(default=0.9, gt=0.0)
    high: float = Field(default=1.1, gt=0.0)
    anisotropic: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"scale: low must not exceed high; got {self.low} and {self.high}")
        return self

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        if not self.anisotropic:
            return cloud.with_(xyz_m=cloud.xyz_m * uniform(self.low, self.high, generator))
        factor = uniform_row(self.low, self.high, generator, cloud.device)
        scaled = cloud.with_(xyz_m=cloud.xyz_m * factor)
        # A normal is a plane, not an arrow: it goes with the inverse of the scale. Undefined ones stay zero.
        return scaled.with_(normal=torch.nn.functional.normalize(cloud.normal / factor, dim=1))


class Flip(RandomTransform):
    """Mirror x and y, each with its own coin of probability ``p``."""

    type: Literal["flip"] = "flip"
    p: float = Field(default=0.5, ge=0.0, le=1.0)
    x: bool = True
    y: bool = True

    def __call__(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        return self.apply(cloud, generator)

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        if self.x and coin(self.p, generator):
            cloud = mirror(cloud, 0)
        if self.y and coin(self.p, generator):
            cloud = mirror(cloud, 1)
        return cloud


def mirror(cloud: PointCloud, axis: int) -> PointCloud:
    """Negate one coordinate of positions and normals."""
    sign = to_device(torch.tensor([-1.0 if place == axis else 1.0 for place in range(3)]), cloud.device)
    return cloud.with_(xyz_m=cloud.xyz_m * sign, normal=cloud.normal * sign)


class Jitter(RandomTransform):
    """Move every point by independent Gaussian noise of ``sigma_m``, each coordinate cut at ``clip_m``."""

    type: Literal["jitter"] = "jitter"
    sigma_m: float = Field(default=0.005, ge=0.0)
    clip_m: float = Field(default=0.02, ge=0.0)

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        noise = normal((cloud.num_points, 3), generator, cloud.device) * self.sigma_m
        return cloud.with_(xyz_m=cloud.xyz_m + noise.clamp(-self.clip_m, self.clip_m))
