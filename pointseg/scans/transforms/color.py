"""Transforms of colour, all within 0..255."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pointseg.core.cloud import PointCloud
from pointseg.core.transfer import to_device
from pointseg.scans.transforms.base import RandomTransform, normal, uniform, uniform_row


class ColorTransform(RandomTransform):
    """A transform that changes nothing but colour, so it may stand before or after ``voxelize``."""

    keeps_grid: ClassVar[bool] = True

    def apply(self, cloud: PointCloud, generator: torch.Generator) -> PointCloud:
        return cloud.with_(color=self.recolor(cloud.color, generator).clamp(0.0, 255.0))

    @abstractmethod
    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        """(P, 3) colours 0..255 -> new colours, which the caller cuts to 0..255."""


class AutoContrast(ColorTransform):
    """Stretch each channel to 0..255 and blend it with the original.

    Args:
        blend: weight of the stretched colour, or None to draw it from [0, 1) each time.

    Source: ChromaticAutoContrast of the public MinkowskiEngine and Pointcept code. A channel with one value
    has nothing to stretch and stays (the original divides by zero).
    """

    type: Literal["auto_contrast"] = "auto_contrast"
    p: float = Field(default=0.2, ge=0.0, le=1.0)
    blend: float | None = Field(default=None, ge=0.0, le=1.0)

    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        low, high = torch.aminmax(color, dim=0)
        span = high - low
        stretched = torch.where(span > 0, (color - low) * (255.0 / span.clamp(min=1e-6)), color)
        blend = uniform(0.0, 1.0, generator) if self.blend is None else self.blend
        return color + (stretched - color) * blend


class ChromaticTranslation(ColorTransform):
    """Add one uniform shift in [-ratio, ratio] * 255 to each channel."""

    type: Literal["chromatic_translation"] = "chromatic_translation"
    p: float = Field(default=0.95, ge=0.0, le=1.0)
    ratio: float = Field(default=0.05, ge=0.0, le=1.0)

    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        return color + uniform_row(-255.0 * self.ratio, 255.0 * self.ratio, generator, color.device)


class ChromaticJitter(ColorTransform):
    """Add Gaussian noise of standard deviation ``std`` * 255 to every channel of every point."""

    type: Literal["chromatic_jitter"] = "chromatic_jitter"
    p: float = Field(default=0.95, ge=0.0, le=1.0)
    std: float = Field(default=0.05, ge=0.0)

    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        return color + normal((color.shape[0], 3), generator, color.device) * (255.0 * self.std)


class HueSaturation(ColorTransform):
    """Turn the hue by a uniform share of a full turn and multiply the saturation.

    Args:
        max_hue: largest turn; 0.5 is half a turn, that is any hue.
        max_saturation: the factor is uniform in [1 - max_saturation, 1 + max_saturation].
    """

    type: Literal["hue_saturation"] = "hue_saturation"
    p: float = Field(default=0.2, ge=0.0, le=1.0)
    max_hue: float = Field(default=0.5, ge=0.0, le=0.5)
    max_saturation: float = Field(default=0.2, ge=0.0, le=1.0)

    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        hue, saturation, value = rgb_to_hsv(color)
        hue = (hue + uniform(-self.max_hue, self.max_hue, generator)) % 1.0
        factor = uniform(1.0 - self.max_saturation, 1.0 + self.max_saturation, generator)
        return hsv_to_rgb(hue, (saturation * factor).clamp(0.0, 1.0), value)


class ColorDrop(ColorTransform):
    """Give every point the same colour, so that a network learns to do without.

    Args:
        fill: the colour, 0..255. The default is zero in every colour feature, the same as what a scene
            without colour gives; 0 is the black of Pointcept.
    """

    type: Literal["color_drop"] = "color_drop"
    p: float = Field(default=0.2, ge=0.0, le=1.0)
    fill: float = Field(default=127.5, ge=0.0, le=255.0)

    def recolor(self, color: Tensor, generator: torch.Generator) -> Tensor:
        return torch.full_like(color, self.fill)


def rgb_to_hsv(color: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(P, 3) colours 0..255 -> (P,) hue in 0..1, (P,) saturation in 0..1, (P,) value in 0..255."""
    red, green, blue = color.unbind(dim=1)
    value, largest = color.max(dim=1)
    spread = value - color.min(dim=1).values
    safe = spread.clamp(min=1e-6)
    sector = torch.stack(
        [(green - blue) / safe, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe], dim=1
    )
    hue = (sector.gather(1, largest[:, None]).squeeze(1) / 6.0) % 1.0
    return torch.where(spread > 0, hue, 0.0), spread / value.clamp(min=1e-6), value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse of :func:`rgb_to_hsv`, (P, 3) colours 0..255."""
    # Each channel is the value minus a trapezoid of the hue; the three lie a third of a turn apart.
    place = (hue[:, None] * 6.0 + to_device(torch.tensor([5.0, 3.0, 1.0]), hue.device)) % 6.0
    trapezoid = torch.minimum(place, 4.0 - place).clamp(0.0, 1.0)
    return value[:, None] * (1.0 - saturation[:, None] * trapezoid)
