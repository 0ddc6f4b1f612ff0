"""Residual block of the MinkUNets."""

from __future__ import annotations

from torch import nn

from pointseg.sparse import SparseBatchNorm, SparseConv3d, SparseTensor, convolve_normalised


class BasicBlock(nn.Module):
    """Two 3^3 convolutions with a shortcut: relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x)).

    Args:
        in_channels: C_in.
        out_channels: C_out; where it differs from C_in the shortcut is a 1^3 convolution and a norm.
        bn_momentum: momentum of the batch norms.
        bn_eps: what the batch norms add to the variance.
        final_relu: whether to end with the ReLU.

    Source: He et al., Deep Residual Learning for Image Recognition, 2016; names as in MinkowskiEngine.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bn_momentum: float = 0.1,
        bn_eps: float = 1e-5,
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = SparseConv3d(in_channels, out_channels, 3)
        self.norm1 = SparseBatchNorm(out_channels, momentum=bn_momentum, eps=bn_eps)
        self.conv2 = SparseConv3d(out_channels, out_channels, 3)
        self.norm2 = SparseBatchNorm(out_channels, momentum=bn_momentum, eps=bn_eps)
        self.final_relu = final_relu
        self.downsample = (
            None
            if in_channels == out_channels
            else nn.Sequential(
                SparseConv3d(in_channels, out_channels, 1),
                SparseBatchNorm(out_channels, momentum=bn_momentum, eps=bn_eps),
            )
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = convolve_normalised(self.conv1, self.norm1, x)
        return convolve_normalised(self.conv2, self.norm2, out, shortcut=shortcut, relu=self.final_relu)
