"""A convolution, its batch norm, a shortcut and a ReLU: four layers in training, one pass at evaluation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu_

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.grid import Grid
from pointseg.sparse.nn import SparseBatchNorm, SparseConv3d, SparseConvTranspose3d
from pointseg.sparse.ops import convolve_and_finish, parts_to_read
from pointseg.sparse.tensor import SparseTensor


def convolve_normalised(
    conv: SparseConv3d | SparseConvTranspose3d,
    norm: SparseBatchNorm,
    x: SparseTensor,
    *,
    onto: Grid | None = None,
    shortcut: SparseTensor | None = None,
    relu: bool = True,
) -> SparseTensor:
    """relu(norm(conv(x)) + shortcut).

    In evaluation mode and without gradients the norm is folded into the kernel: w' = w s and b' = beta +
    (b - mean) s with s = gamma / sqrt(var + eps); shortcut and ReLU are applied while the sums are at hand.

    Args:
        conv: the convolution; its kernel is not changed.
        norm: the batch norm behind it.
        x: input.
        onto: target grid of a transposed convolution.
        shortcut: added behind the norm, on the output's grid.
        relu: whether to end with a ReLU.
    """
    pointwise = conv.kernel.ndim == 2
    if norm.training or torch.is_grad_enabled() or pointwise or not _has_statistics(norm):
        out = norm(conv(x) if onto is None else conv(x, onto))
        # In place: neither a batch norm nor a sum needs its output again.
        features = out.features if shortcut is None else out.features.add_(shortcut.features)
        return out.with_features(relu_(features) if relu else features)
    kernel_map, target = conv.map_of(x, onto) if isinstance(conv, SparseConvTranspose3d) else conv.map_of(x)
    scale, shift = _folded(conv.bias, norm)
    epilogue = Epilogue(shift, None if shortcut is None else shortcut.features, relu)
    out = convolve_and_finish(parts_to_read(x), conv.kernel * scale, kernel_map, epilogue)
    return SparseTensor(out, target)


def _has_statistics(norm: SparseBatchNorm) -> bool:
    return norm.bn.running_mean is not None and norm.bn.running_var is not None


def _folded(bias: Tensor | None, norm: SparseBatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and summand (C_out,) of a batch norm in evaluation mode, with the convolution's bias."""
    bn = norm.bn
    assert bn.running_mean is not None and bn.running_var is not None
    scale = torch.rsqrt(bn.running_var + bn.eps)
    scale = scale if bn.weight is None else scale * bn.weight
    mean = bn.running_mean if bias is None else bn.running_mean - bias.flatten()
    return scale, -mean * scale if bn.bias is None else bn.bias - mean * scale
