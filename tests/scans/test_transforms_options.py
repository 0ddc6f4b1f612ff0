"""The options of the transforms: what holds where a recipe says nothing, and what is refused."""

from typing import Any

import pytest

from pointseg.scans.transforms.base import Transform
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

#: As in the public 3D recipes.
DEFAULTS: dict[type[Transform], dict[str, Any]] = {
    AutoContrast: {"p": 0.2, "blend": None},
    ChromaticTranslation: {"p": 0.95, "ratio": 0.05},
    ChromaticJitter: {"p": 0.95, "std": 0.05},
    HueSaturation: {"p": 0.2, "max_hue": 0.5, "max_saturation": 0.2},
    ColorDrop: {"p": 0.2, "fill": 127.5},
    Elastic: {"p": 0.95, "distortions": ((0.2, 0.4), (0.8, 1.6))},
    Rotate: {"p": 1.0, "axis": "z", "max_angle_deg": 180.0},
    Scale: {"p": 1.0, "low": 0.9, "high": 1.1, "anisotropic": False},
    Flip: {"p": 0.5, "x": True, "y": True},
    Jitter: {"p": 1.0, "sigma_m": 0.005, "clip_m": 0.02},
    RandomDropout: {"p": 1.0, "ratio": 0.2},
    CenterShift: {"z": "ground"},
}
#: (transform, option, values beyond its range, values at its ends)
RANGES: list[tuple[type[Transform], str, list[float], list[float]]] = [
    *((transform, "p", [-0.01, 1.01], [0, 1]) for transform, kept in DEFAULTS.items() if "p" in kept),
    (AutoContrast, "blend", [-0.01, 1.01], [0, 1]),
    (ChromaticTranslation, "ratio", [-0.01, 1.01], [0, 1]),
    (ChromaticJitter, "std", [-0.01], [0]),
    (HueSaturation, "max_hue", [-0.01, 0.51], [0, 0.5]),
    (HueSaturation, "max_saturation", [-0.01, 1.01], [0, 1]),
    (ColorDrop, "fill", [-0.01, 255.01], [0, 255]),
    (Rotate, "max_angle_deg", [-0.01, 180.01], [0, 180]),
    (Scale, "low", [0], [0.01]),
    (Scale, "high", [0], [1.5]),
    (Jitter, "sigma_m", [-0.01], [0]),
    (Jitter, "clip_m", [-0.01], [0]),
    (RandomDropout, "ratio", [-0.01, 1], [0, 0.99]),
    (SphereCrop, "max_points", [0], [1]),
]


@pytest.mark.parametrize("transform", DEFAULTS, ids=lambda t: t.__name__)
def test_what_holds_where_nothing_is_said(transform: type[Transform]) -> None:
    assert transform().model_dump(exclude={"type"}) == DEFAULTS[transform]


def test_crops_need_their_size_and_are_taken_anywhere() -> None:
    assert SphereCrop(max_points=5).mode == "random" and CuboidCrop(size_m=(1, 1)).mode == "random"
    for transform in (SphereCrop, CuboidCrop):
        with pytest.raises(ValueError, match="Field required"):
            transform()


@pytest.mark.parametrize(
    ("transform", "option", "beyond", "ends"), RANGES, ids=[f"{t.__name__}-{o}" for t, o, _, _ in RANGES]
)
def test_an_option_has_its_range(
    transform: type[Transform], option: str, beyond: list[float], ends: list[float]
) -> None:
    for value in beyond:
        with pytest.raises(ValueError, match=option):
            transform(**{option: value})
    for value in ends:
        assert getattr(transform(**{option: value}), option) == value
