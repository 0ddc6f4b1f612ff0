"""ImageUNet: a small residual U-Net for images, which learns from scratch on a CPU in minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.core.prediction import FeatureMap
from pointseg.models.backbone import BackboneConfig
from pointseg.models.recompute import recomputed_dense


class ImageUNetConfig(BackboneConfig):
    """Options of :class:`ImageUNet`."""

    kind: ClassVar[str] = "images"

    type: Literal["image_unet"] = "image_unet"
    widths: tuple[int, ...] = Field(default=(32, 64, 96, 128, 192), min_length=2)
    out_channels: int = Field(default=64, ge=1)

    def build(self, in_channels: int) -> ImageUNet:
        return ImageUNet(in_channels, self.widths, self.out_channels)


class ImageUNet(nn.Module):
    """A stem of stride 2, a halving and a residual block for each further width, and the way back.

    Args:
        in_channels: channels of the images.
        widths: channels at stride 2, 4, 8, ...
        out_channels: D.

    Attributes:
        checkpoint_activations: whether stages in training keep their input alone and compute the rest again
            in the backward pass.
        nonnegative: whether features end with a ReLU.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.checkpoint_activations = False
        self.nonnegative = True
        self.stem = _convolution(in_channels, widths[0], stride=2)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(low, high, stride=2), _Residual(high)) for low, high in pairs
        )
        self.up = nn.ModuleList(_convolution(low + high, low) for low, high in reversed(pairs))
        self.last = _convolution(widths[0], out_channels, kernel=1)

    def recompute_activations(self) -> None:
        """From now on, set :attr:`checkpoint_activations`."""
        self.checkpoint_activations = True

    def rows(self, batch: ImageBatch) -> FeatureMap:
        """Features of a batch at stride 2."""
        return FeatureMap.of(self(batch.images), batch.images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))."""
        out = self.stem(images)
        skips = []
        for stage in self.down:
            skips.append(out)
            out = self._stage(stage, out)
        for stage in self.up:
            skip = skips.pop()
            out = F.interpolate(out, skip.shape[-2:], mode="bilinear", align_corners=False)
            out = self._stage(stage, torch.cat([skip, out], dim=1))
        features: Tensor = self.last(out)
        return features

    def _stage(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            return recomputed_dense(stage, x)
        out: Tensor = stage(x)
        return out


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _convolution(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
