"""Sparse convolution on CUDA devices with Triton: implicit GEMM over the pairs of a kernel map.

``kernel_forward`` and ``kernel_weight`` hold what runs on the device, ``plan`` what a kernel map is turned
into for it, ``launch`` how the kernels are started and ``tuning`` with which tile sizes. Importing this
package needs no Triton; the modules with kernels do.
"""
