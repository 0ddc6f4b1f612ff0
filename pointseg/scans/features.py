"""The columns a network can see of a voxel, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from pointseg.core.cloud import PointCloud
from pointseg.core.scene import Scene

#: coord: metres, where the center shifts of the transforms left them (3). color: rgb / 127.5 - 1, in -1..1,
#: Pointcept's convention (3). color_half: rgb / 255 - 0.5, in -0.5..0.5, LanguageGroundedSemseg's (3).
#: normal: unit vector, zero where undefined (3). height: metres above the lowest point at voxelisation (1).
#: ones: the constant 1 (1).
FeatureName = Literal["coord", "color", "color_half", "normal", "height", "ones"]
WIDTHS: dict[str, int] = {"coord": 3, "color": 3, "color_half": 3, "normal": 3, "height": 1, "ones": 1}

#: Features that come from colours.
COLOR_FEATURES = frozenset({"color", "color_half"})
#: Colour given to the points of a scene without colour: zero in both colour features.
NO_COLOR = 127.5


def check_features(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        ValueError: for an empty list, an unknown or a repeated name.
    """
    known = get_args(FeatureName)
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) != len(names):
        raise ValueError(
            f"features: expected different names of {', '.join(known)}, at least one; got {list(names)}."
        )
    return tuple(names)


def check_scene_has(names: Sequence[str], scene: Scene) -> None:
    """Refuse a scene that lacks what the features need.

    Missing normals are an error: a network trained with them is worthless on zeros. Missing colour is not: it
    becomes zero, mid-grey, so that one network serves clouds with and without (compare ``color_drop``).

    Raises:
        ValueError: if normals are asked for and the scene has none.
    """
    if "normal" in names and scene.normal is None:
        raise ValueError(
            f"{scene.name}: the features {list(names)} include 'normal', but the scene has no normals. "
            "Prepare it with normals, or train without 'normal'."
        )


def stack_features(names: Sequence[str], cloud: PointCloud, height_m: Tensor) -> Tensor:
    """(M, C) float32 columns in the order of ``names``; ``height_m`` is (M,)."""
    columns = {
        "coord": lambda: cloud.xyz_m,
        "color": lambda: cloud.color / 127.5 - 1.0,
        "color_half": lambda: cloud.color / 255.0 - 0.5,
        "normal": lambda: cloud.normal,
        "height": lambda: height_m[:, None],
        "ones": lambda: torch.ones(cloud.num_points, 1, device=cloud.device),
    }
    return torch.cat([columns[name]() for name in names], dim=1).float()
