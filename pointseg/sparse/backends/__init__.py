"""Implementations of the sparse convolution behind one Protocol, and the chooser."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pointseg.sparse.backends.cpu import CpuBackend
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.kernel_map import KernelMap


class Backend(Protocol):
    """out[target] += features[source] @ weight[tap] over the pairs of a kernel map, and its gradients.

    Tensors are on one device and of one floating type; ``weight`` is (T, C_in, C_out) in the tap order of
    the map. Results have that type; sums may be kept in a wider one.
    """

    def forward(self, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        """(N, C_in) features -> (M, C_out)."""
        ...

    def backward(
        self,
        grad: Tensor,
        features: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs_features: bool,
        needs_weight: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        """(M, C_out) gradient -> gradients of features and weight, None where not needed."""
        ...


_CPU = CpuBackend()
_REFERENCE = ReferenceBackend()


def choose_backend(device: torch.device) -> Backend:
    """The quickest implementation for tensors on this device."""
    return _CPU if device.type == "cpu" else _REFERENCE
