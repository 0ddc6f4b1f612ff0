"""Layers and MinkUNets made of MinkowskiEngine alone, for our engines to be compared with.

Nothing here runs our convolutions; of pointseg only the import of MinkowskiEngine is used.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pointseg.sparse.backends.minkowski import MinkowskiBackend, minkowski_engine

_REASON = MinkowskiBackend().unavailable(torch.device("cpu"))
#: Skips a test where MinkowskiEngine is missing, unless its absence is a failure (CONTRIBUTING.md).
needs_minkowski = pytest.mark.skipif(
    _REASON is not None and os.environ.get("POINTSEG_CI_MINKOWSKI") != "1", reason=str(_REASON)
)


@dataclass(frozen=True)
class Layer:
    """A convolution; ``base`` is the stride of its finer grid."""

    kernel_size: int
    stride: int = 1
    dilation: int = 1
    transposed: bool = False
    bias: bool = False
    base: int = 1


LAYERS = {
    "pointwise": Layer(1),
    "pointwise with bias": Layer(1, bias=True),
    "pointwise, stride 2": Layer(1, 2),
    "even": Layer(2),
    "odd": Layer(3),
    "odd with bias": Layer(3, bias=True),
    "odd on a coarse grid": Layer(3, base=2),
    "even, stride 2": Layer(2, 2),
    "even, stride 2, with bias": Layer(2, 2, bias=True),
    "even, stride 2, on a coarse grid": Layer(2, 2, base=2),
    "odd, stride 2": Layer(3, 2),
    "odd, stride 3": Layer(3, 3),
    "odd, dilation 2": Layer(3, dilation=2),
    "odd, dilation 3, stride 2": Layer(3, 2, dilation=3),
    "even, dilation 2": Layer(2, dilation=2),
    "stem": Layer(5),
    "four": Layer(4, 2),
    "even transposed, stride 2": Layer(2, 2, transposed=True),
    "even transposed, stride 2, with bias": Layer(2, 2, transposed=True, bias=True),
    "even transposed, stride 2, on a coarse grid": Layer(2, 2, transposed=True, base=2),
    "odd transposed": Layer(3, transposed=True),
    "odd transposed, stride 2": Layer(3, 2, transposed=True),
    "odd transposed, stride 2, dilation 2": Layer(3, 2, dilation=2, transposed=True),
}


def rows_in(coords: Tensor, wanted: Tensor) -> Tensor:
    """(N,) the row of ``coords`` of every row of ``wanted``, which holds the same voxels."""
    place = {tuple(voxel): row for row, voxel in enumerate(coords.tolist())}
    assert len(place) == len(coords) == len(wanted)
    return torch.tensor([place[tuple(voxel)] for voxel in wanted.tolist()], dtype=torch.int64)


def sparse_tensor(features: Tensor, coords: Tensor, stride: int = 1, manager: Any = None) -> Any:
    engine = minkowski_engine()
    return engine.SparseTensor(features, coords, tensor_stride=stride, coordinate_manager=manager)


def run_layer(
    layer: Layer, tensors: dict[str, Tensor], fine: Tensor, coarse: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """A layer of MinkowskiEngine forward and backward.

    Args:
        layer: which one.
        tensors: ``x`` on the source voxels, ``kernel``, perhaps ``bias``, ``upstream`` on the target voxels.
        fine: coordinates of the finer side.
        coarse: coordinates of the coarser side, the same as ``fine`` for stride 1.

    Returns:
        The output on the target voxels, and the gradients of x, kernel and bias by name.
    """
    source, target = (coarse, fine) if layer.transposed else (fine, coarse)
    module = _convolution(
        *tensors["kernel"].shape[-2:],
        layer.kernel_size,
        layer.stride,
        up=layer.transposed,
        dilation=layer.dilation,
        bias=layer.bias,
    ).to(tensors["x"].dtype)
    module.load_state_dict({name: tensors[name] for name in ("kernel", "bias") if name in tensors})
    x = tensors["x"].clone().requires_grad_()
    if layer.transposed and layer.stride > 1:
        # The finer voxels have to be known before a layer goes back to them.
        given = sparse_tensor(torch.zeros(len(fine), 1, dtype=x.dtype), fine, layer.base)
        given = sparse_tensor(x, source, layer.base * layer.stride, given.coordinate_manager)
    else:
        given = sparse_tensor(x, source, layer.base)
    out = module(given)
    rows = rows_in(out.C, target)
    features = out.F[rows]
    features.backward(tensors["upstream"])
    assert x.grad is not None
    grads = {"x": x.grad} | {name: p.grad for name, p in module.named_parameters()}
    return features.detach(), grads


def _norm(channels: int, momentum: float) -> Any:
    return minkowski_engine().MinkowskiBatchNorm(channels, momentum=momentum)


def _convolution(
    c_in: int, c_out: int, kernel_size: int, stride: int = 1, *, up: bool = False, **options: Any
) -> Any:
    engine = minkowski_engine()
    kind = engine.MinkowskiConvolutionTranspose if up else engine.MinkowskiConvolution
    with warnings.catch_warnings():
        # It makes an instance of its autograd function, of which only static methods are used.
        warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
        return kind(c_in, c_out, kernel_size=kernel_size, stride=stride, dimension=3, **options)


class ResidualBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, momentum: float) -> None:
        super().__init__()
        self.conv1, self.norm1 = _convolution(c_in, c_out, 3), _norm(c_out, momentum)
        self.conv2, self.norm2 = _convolution(c_out, c_out, 3), _norm(c_out, momentum)
        self.relu = minkowski_engine().MinkowskiReLU(inplace=True)
        if c_in != c_out:
            self.downsample = nn.Sequential(_convolution(c_in, c_out, 1), _norm(c_out, momentum))

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
        self.conv0p1s1, self.bn0 = _convolution(c_in, stem, stem_kernel), _norm(stem, momentum)
        channels = stem
        for stage in range(8):
            up = stage >= 4
            stride = 2 ** (8 - stage) if up else 2**stage
            width = widths[stage] if up else channels
            name = f"conv{'tr' if up else ''}{stage if up else stage + 1}p{stride}s2"
            self.add_module(name, _convolution(channels, width, 2, 2, up=up))
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
