"""A MinkUNet of MinkowskiEngine's own layers, measured beside our engines.

The engine ``minkowski`` runs MinkowskiEngine's products under our layers. Whether that handicaps it is seen
by this network, which leaves all to MinkowskiEngine: tensors, layers, coordinate maps.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse.backends.minkowski import MinkowskiBackend, minkowski_engine

#: Its name among the engines of `pointseg bench network`.
OWN = "minkowski-own"


def own_unavailable(variant: str, device: torch.device) -> str | None:
    """Why a variant cannot be made of MinkowskiEngine's own layers here; None where it can."""
    options = MinkUNetConfig.model_validate({"variant": variant}).resolved()
    if options["widen"] != "block" or not options["final_relu"]:
        return f"its examples have no network like {variant}"
    return MinkowskiBackend().unavailable(device)


def own_network(options: MinkUNetConfig, in_channels: int) -> PlainMinkUNet:
    """The network with the layers of MinkowskiEngine; our state dict fits it."""
    given = options.resolved()
    return PlainMinkUNet(
        in_channels,
        given["widths"],
        given["blocks"],
        stem=given["stem_channels"],
        stem_kernel=given["stem_kernel"],
        momentum=given["bn_momentum"],
    )


def run_own(network: nn.Module, features: Tensor, coords: Tensor) -> Tensor:
    """A forward pass, rows in the order of ``coords``; coordinate maps are made anew, as in training."""
    engine = minkowski_engine()
    kinds = engine.CoordinateMapType
    manager = engine.CoordinateManager(
        D=3,
        # Left to itself it takes as many threads as there are cores.
        num_threads=torch.get_num_threads(),
        coordinate_map_type=kinds.CPU if coords.device.type == "cpu" else kinds.CUDA,
    )
    out = network(engine.SparseTensor(features, coords, coordinate_manager=manager))
    rows: Tensor = out.F
    if not torch.equal(out.C, coords):
        # On a GPU rows lie in the order of a hash table.
        _, rank = torch.unique(torch.cat((out.C, coords)), dim=0, return_inverse=True)
        rows = rows[torch.argsort(rank[: len(coords)])[rank[len(coords) :]]]
    return rows


def _norm(channels: int, momentum: float) -> Any:
    return minkowski_engine().MinkowskiBatchNorm(channels, momentum=momentum)


def convolution(
    c_in: int, c_out: int, kernel_size: int, stride: int = 1, *, up: bool = False, **options: Any
) -> Any:
    """A convolution of MinkowskiEngine, or with ``up`` a transposed one."""
    engine = minkowski_engine()
    kind = engine.MinkowskiConvolutionTranspose if up else engine.MinkowskiConvolution
    with warnings.catch_warnings():
        # It makes an instance of its autograd function, of which only static methods are used.
        warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
        return kind(c_in, c_out, kernel_size=kernel_size, stride=stride, dimension=3, **options)


class ResidualBlock(nn.Module):
    """Two 3^3 convolutions and a shortcut."""

    def __init__(self, c_in: int, c_out: int, momentum: float) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(c_in, c_out, 3), _norm(c_out, momentum)
        self.conv2, self.norm2 = convolution(c_out, c_out, 3), _norm(c_out, momentum)
        self.relu = minkowski_engine().MinkowskiReLU(inplace=True)
        if c_in != c_out:
            self.downsample = nn.Sequential(convolution(c_in, c_out, 1), _norm(c_out, momentum))

    def forward(self, x: Any) -> Any:
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        out = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        out += shortcut
        return self.relu(out)


class PlainMinkUNet(nn.Module):
    """A MinkUNet of MinkowskiEngine's layers; parameters have the public names."""

    def __init__(
        self,
        c_in: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        *,
        stem: int = 32,
        stem_kernel: int = 5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.conv0p1s1, self.bn0 = convolution(c_in, stem, stem_kernel), _norm(stem, momentum)
        channels = stem
        for stage in range(8):
            up = stage >= 4
            stride = 2 ** (8 - stage) if up else 2**stage
            width = widths[stage] if up else channels
            name = f"conv{'tr' if up else ''}{stage if up else stage + 1}p{stride}s2"
            self.add_module(name, convolution(channels, width, 2, 2, up=up))
            self.add_module(name.split("p")[0].replace("conv", "bn"), _norm(width, momentum))
            skip = (*widths[2::-1], stem)[stage - 4] if up else 0
            first = ResidualBlock(width + skip, widths[stage], momentum)
            rest = [ResidualBlock(widths[stage], widths[stage], momentum) for _ in range(blocks[stage] - 1)]
            self.add_module(f"block{stage + 1}", nn.Sequential(first, *rest))
            channels = widths[stage]
        self.relu = minkowski_engine().MinkowskiReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        part = self.get_submodule
        out = self.relu(self.bn0(self.conv0p1s1(x)))
        skips = []
        for stage, stride in enumerate((1, 2, 4, 8), start=1):
            skips.append(out)
            out = self.relu(part(f"bn{stage}")(part(f"conv{stage}p{stride}s2")(out)))
            out = part(f"block{stage}")(out)
        for stage, stride in enumerate((16, 8, 4, 2), start=4):
            out = self.relu(part(f"bntr{stage}")(part(f"convtr{stage}p{stride}s2")(out)))
            out = part(f"block{stage + 1}")(minkowski_engine().cat(out, skips.pop()))
        return out
