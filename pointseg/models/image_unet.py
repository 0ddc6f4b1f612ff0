"""ImageUNet: a small residual U-Net for images, which learns from scratch on a CPU in minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.core.prediction import FeatureMap
from pointseg.models.backbone import BackboneConfig
from pointseg.models.dense_blocks import Recomputing, convolution, way_up


class ImageUNetConfig(BackboneConfig):
    """Options of :class:`ImageUNet`."""

    kind: ClassVar[str] = "images"

    type: Literal["image_unet"] = "image_unet"
    widths: tuple[int, ...] = Field(default=(32, 64, 96, 128, 192), min_length=2)
    out_channels: int = Field(default=64, ge=1)

    def build(self, in_channels: int) -> ImageUNet:
        return ImageUNet(in_channels, self.widths, self.out_channels)


class ImageUNet(Recomputing):
    """A stem of stride 2, a halving and a residual block for each further width, and the way back.

    Args:
        in_channels: channels of the images.
        widths: channels at stride 2, 4, 8, ...
        out_channels: D.

    Attributes:
        nonnegative: whether features end with a ReLU.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.nonnegative = True
        self.stem = convolution(in_channels, widths[0], stride=2)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(low, high, stride=2), _Residual(high)) for low, high in pairs
        )
        self.up = nn.ModuleList(convolution(low + high, low) for low, high in reversed(pairs))
        self.last = convolution(widths[0], out_channels, kernel=1)

    def rows(self, batch: ImageBatch) -> FeatureMap:
        """Features of a batch at stride 2."""
        return FeatureMap.of(self(batch.images), batch.images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))."""
        out = self.stem(images)
        skips = []
        for stage in self.down:
            skips.append(out)
            out = self.stage(stage, out)
        features: Tensor = self.last(way_up(self.up, out, skips, self.stage))
        return features


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))
