"""Layers on sparse tensors. Parameters have the names, shapes and tap order of MinkowskiEngine's layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pointseg.core.synced_norm import SyncedBatchNorm
from pointseg.sparse.grid import Grid
from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.ops import convolve, is_bfloat16_on_cpu, parts_to_read
from pointseg.sparse.tensor import SparseTensor


class _Convolution(nn.Module):
    """What both directions share: the kernel, the bias and their initial values."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        pointwise = kernel_size == 1 and stride == 1
        shape = (in_channels, out_channels) if pointwise else (kernel_size**3, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        self.reset_parameters()

    @property
    def fan(self) -> int:
        return self.in_channels

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan * taps), as MinkowskiEngine does."""
        bound = 1.0 / math.sqrt(self.fan * self.kernel_size**3)
        nn.init.uniform_(self.kernel, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def _pointwise(self, x: SparseTensor) -> SparseTensor:
        """A product for each row: the kernel of size 1 and stride 1."""
        parts = parts_to_read(x)
        if is_bfloat16_on_cpu(parts[0], self.kernel):
            # As a convolution of one tap: the engine's products are the quicker ones.
            own = x.grid.kernel_map(x.grid, 1)
            return x.with_features(self._with_bias(convolve(parts, self.kernel[None], own)))
        kernels = self.kernel.split([part.shape[1] for part in parts])
        features = parts[0] @ kernels[0]
        for part, kernel in zip(parts[1:], kernels[1:], strict=True):
            features = torch.addmm(features, part, kernel)
        return x.with_features(self._with_bias(features))

    def _with_bias(self, features: Tensor) -> Tensor:
        return features if self.bias is None else features + self.bias

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"dilation={self.dilation}, bias={self.bias is not None}"
        )


class SparseConv3d(_Convolution):
    """Convolution onto the same grid (stride 1, submanifold) or onto the grid coarsened by ``stride``.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: taps along an axis, K. Odd kernels are centred; even ones reach 0..K-1 upwards.
        stride: factor between the strides of the output and the input grid.
        dilation: distance of taps in voxels of the input grid.
        bias: whether to add a bias (1, C_out).

    ``kernel`` is (K^3, C_in, C_out), tap kx + K ky + K^2 kz; (C_in, C_out) for kernel size 1 and stride 1.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:
        if self.kernel.ndim == 2:
            return self._pointwise(x)
        kernel_map, target = self.map_of(x)
        return SparseTensor(self._with_bias(convolve(parts_to_read(x), self.kernel, kernel_map)), target)

    def map_of(self, x: SparseTensor) -> tuple[KernelMap, Grid]:
        """The kernel map for an input, and the grid of the output."""
        target = x.grid.coarsen(self.stride)
        return x.grid.kernel_map(target, self.kernel_size, self.dilation), target


class SparseConvTranspose3d(_Convolution):
    """The transpose of a strided convolution, onto a finer grid that the caller names.

    y[fine] += x[coarse] @ kernel[tap] wherever fine = coarse + tap * dilation * fine stride. Arguments as for
    :class:`SparseConv3d`.
    """

    @property
    def fan(self) -> int:
        return self.out_channels

    def forward(self, x: SparseTensor, onto: Grid) -> SparseTensor:
        """Features on the voxels of ``onto``.

        Raises:
            ValueError: unless the stride of ``x``'s grid is ``stride`` times that of ``onto``.
        """
        if self.kernel.ndim == 2 and x.grid is onto:
            return self._pointwise(x)
        kernel_map, onto = self.map_of(x, onto)
        kernel = self.kernel if self.kernel.ndim == 3 else self.kernel[None]
        return SparseTensor(self._with_bias(convolve(parts_to_read(x), kernel, kernel_map)), onto)

    def map_of(self, x: SparseTensor, onto: Grid | None) -> tuple[KernelMap, Grid]:
        """The kernel map for an input, and the grid of the output; errors as for ``forward``."""
        if onto is None or x.grid.stride != onto.stride * self.stride:
            raise ValueError(
                f"A transposed convolution of stride {self.stride} onto {onto} takes an input grid of "
                f"{self.stride} times its stride; got stride {x.grid.stride}."
            )
        return onto.kernel_map(x.grid, self.kernel_size, self.dilation).transposed(), onto


class SparseBatchNorm(nn.Module):
    """Batch normalisation over all voxels of a batch; its torch layer is ``bn``, as in MinkowskiEngine.

    A batch of fewer than two voxels has no variance: it is normalised with the running statistics, also in
    training, and leaves them alone. (Small scenes have single voxels at coarse strides.)
    """

    def __init__(self, num_channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(num_channels, eps=eps, momentum=momentum)

    def forward(self, x: SparseTensor) -> SparseTensor:
        bn = self.bn
        # A synchronised layer must meet the other processes even with an empty share of the batch.
        if self.training and len(x.features) < 2 and not isinstance(bn, SyncedBatchNorm):
            features = nn.functional.batch_norm(
                x.features, bn.running_mean, bn.running_var, bn.weight, bn.bias, False, 0.0, bn.eps
            )
            return x.with_features(features)
        return x.with_features(bn(x.features))


class SparseReLU(nn.Module):
    """ReLU in place: activations of large scenes are the memory of a network."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_features(nn.functional.relu(x.features, inplace=True))
