"""The simplex equiangular tight frame: as many unit vectors as classes, all equally far from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def simplex_etf(num_classes: int, dim: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Simplex equiangular tight frame: K unit rows whose cosines are all -1 / (K - 1).

    M = sqrt(K / (K-1)) (I - 11'/K) U' for orthonormal U. The centred identity has rank K - 1, so K - 1
    dimensions are enough; the published form with U'U = I (K x K) asks for one more.

    Args:
        num_classes: K, at least 2.
        dim: d, at least K - 1.
        seed: of the random orientation; the same on every process and machine.
        dtype: of the result; it is computed in float64.

    Returns:
        (K, d).

    Raises:
        ValueError: if d < K - 1 or K < 2.

    Source: Papyan, Han, Donoho, "Prevalence of neural collapse", PNAS 2020; Zhong et al., CVPR 2023.
    """
    if num_classes < 2:
        raise ValueError(f"A simplex needs at least 2 classes; got {num_classes}.")
    if dim < num_classes - 1:
        raise ValueError(
            f"A simplex of {num_classes} vectors needs at least {num_classes - 1} dimensions; got {dim}. "
            f"Use features of {num_classes - 1} dimensions or more, or projection: frozen | learned."
        )
    # Helmert's basis: K x (K-1), columns orthonormal and orthogonal to the vector of ones.
    helmert = torch.zeros(num_classes, num_classes - 1, dtype=torch.float64)
    for j in range(1, num_classes):
        helmert[:j, j - 1] = 1 / math.sqrt(j * (j + 1))
        helmert[j, j - 1] = -j / math.sqrt(j * (j + 1))
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(dim, num_classes - 1, dtype=torch.float64, generator=generator)
    orientation, _ = torch.linalg.qr(gaussian)
    return (math.sqrt(num_classes / (num_classes - 1)) * helmert @ orientation.T).to(dtype)
