"""Sparse convolution on CUDA devices with Triton: implicit GEMM over the pairs of a kernel map.

``kernels_*`` hold what runs on the device, ``plan`` what a kernel map is turned into for it, ``launch_*`` how the
kernels are started and ``tuning`` with which tile sizes. The import of this package needs no Triton; the modules
with kernels do.
"""
