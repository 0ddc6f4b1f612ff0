"""Photometric distortion as mmsegmentation does it, for whole batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from types import ModuleType

#: Random numbers of an image: whether contrast comes first; whether, and by how much, brightness, contrast,
#: saturation and hue change.
NUM_DRAWS = 9
#: Brightness in shares of the range; hue in shares of the circle.
_BRIGHTNESS, _HUE = 32 / 255, 18 / 180
_LOW, _HIGH = 0.5, 1.5


def distorted(colors: Tensor, draws: Tensor, kornia: ModuleType) -> Tensor:
    """Colours after each of brightness, contrast, saturation and hue was changed with probability 1/2.

    Brightness by up to 32 of 255; contrast and saturation by factors of 0.5 to 1.5; hue by up to a tenth of
    the circle. Contrast is changed before saturation and hue, or after them.

    Args:
        colors: (B, 3, H, W) in 0..1.
        draws: (B, NUM_DRAWS) in [0, 1).
        kornia: the library.

    Source: ``PhotoMetricDistortion`` of mmsegmentation, which rounds to whole numbers after each change.
    """
    first, *pairs = draws.unbind(dim=1)
    brightness, contrast, saturation, hue = zip(pairs[0::2], pairs[1::2], strict=True)

    def changed(values: Tensor, coin: Tensor, change: Tensor) -> Tensor:
        return torch.where((coin < 0.5)[:, None, None, None], change.clamp(0, 1), values)

    def factor(draw: Tensor) -> Tensor:
        return _LOW + (_HIGH - _LOW) * draw

    def contrasted(values: Tensor, coin: Tensor) -> Tensor:
        return changed(values, coin, values * factor(contrast[1])[:, None, None, None])

    delta = (2 * brightness[1] - 1) * _BRIGHTNESS
    colors = changed(colors, brightness[0], colors + delta[:, None, None, None])
    before = first < 0.5
    colors = contrasted(colors, torch.where(before, contrast[0], 1.0))
    enhance = kornia.enhance
    colors = changed(colors, saturation[0], enhance.adjust_saturation(colors, factor(saturation[1])))
    turn = (2 * hue[1] - 1) * _HUE * 2 * math.pi
    colors = changed(colors, hue[0], enhance.adjust_hue(colors, turn))
    return contrasted(colors, torch.where(before, 1.0, contrast[0]))
