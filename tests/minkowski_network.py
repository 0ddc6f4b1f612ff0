"""Layers of MinkowskiEngine alone, for our engines to be compared with.

Nothing here runs our convolutions; its whole network is that of `pointseg bench` (``minkowski-own``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from pointseg.bench.minkowski_network import convolution
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
    module = convolution(
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
