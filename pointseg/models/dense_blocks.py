"""Blocks that the U-Nets for images share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.models.recompute import recomputed_dense


def convolution(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, its norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def way_up(
    stages: Iterable[nn.Module],
    deepest: Tensor,
    skips: Sequence[Tensor],
    apply: Callable[[nn.Module, Tensor], Tensor],
) -> Tensor:
    """The decoder of a U-Net: enlarge, put the features of the way down beside it, convolve.

    Args:
        stages: one for each skip, the coarsest first.
        deepest: (B, D, h, w) where the way begins.
        skips: (B, D_i, h_i, w_i) of the way down, the finest first.
        apply: applies a stage.
    """
    out = deepest
    for stage, skip in zip(stages, reversed(skips), strict=True):
        out = F.interpolate(out, skip.shape[-2:], mode="bilinear", align_corners=False)
        out = apply(stage, torch.cat([skip, out], dim=1))
    return out


class Recomputing(nn.Module):
    """A network of stages that can keep their inputs alone in training and compute the rest again.

    Attributes:
        checkpoint_activations: whether they do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.checkpoint_activations = False

    def recompute_activations(self) -> None:
        """From now on, set :attr:`checkpoint_activations`."""
        self.checkpoint_activations = True

    def stage(self, stage: nn.Module, x: Tensor) -> Tensor:
        """``stage(x)``."""
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            return recomputed_dense(stage, x)
        out: Tensor = stage(x)
        return out
