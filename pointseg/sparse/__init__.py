"""The sparse-convolution engine, usable alone: grids, kernel maps, sparse tensors, layers."""

from pointseg.sparse.engines import ENGINES, current_engine, set_engine, using_engine
from pointseg.sparse.fused import convolve_normalised
from pointseg.sparse.grid import Grid
from pointseg.sparse.kernel_map import KernelMap, tap_offsets
from pointseg.sparse.nn import SparseBatchNorm, SparseConv3d, SparseConvTranspose3d, SparseReLU
from pointseg.sparse.ops import convolve
from pointseg.sparse.tensor import SparseTensor

__all__ = [
    "ENGINES",
    "Grid",
    "KernelMap",
    "SparseBatchNorm",
    "SparseConv3d",
    "SparseConvTranspose3d",
    "SparseReLU",
    "SparseTensor",
    "convolve",
    "convolve_normalised",
    "current_engine",
    "set_engine",
    "tap_offsets",
    "using_engine",
]
