"""What every engine does: the Backend protocol, and the epilogue of a convolution in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pointseg.sparse.kernel_map import KernelMap


@dataclass(frozen=True)
class Epilogue:
    """What follows a convolution at evaluation: out = relu(out + bias + residual), each part optional.

    Args:
        bias: (C_out,), the shift of a batch norm that was folded into the weights.
        residual: (M, C_out), the shortcut of a residual block.
        relu: whether negative values become zero.
    """

    bias: Tensor | None = None
    residual: Tensor | None = None
    relu: bool = False

    def apply(self, out: Tensor) -> Tensor:
        """The epilogue in plain torch, in place, for engines that do not fuse it."""
        if self.bias is not None:
            out += self.bias
        if self.residual is not None:
            out += self.residual
        return out.relu_() if self.relu else out


class Backend(Protocol):
    """out[target] += features[source] @ weight[tap] over the pairs of a kernel map, and its gradients.

    Tensors are on one device and of one floating type; ``weight`` is (T, C_in, C_out) in the tap order of
    the map. Results have that type; sums may be kept in a wider one.
    """

    def unavailable(self, device: torch.device) -> str | None:
        """Why the engine cannot run on a device, and what would help; None where it can."""
        ...

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
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


@runtime_checkable
class PlanningBackend(Backend, Protocol):
    """An engine that can make ahead what it needs of a kernel map, such as in another thread.

    The others make it in the first convolution.
    """

    def plan(self, kernel_map: KernelMap) -> None:
        """Leave in the map what a convolution over it will look for."""
        ...


@runtime_checkable
class JoiningBackend(Backend, Protocol):
    """An engine that reads two feature tensors as if their channels lay side by side in one.

    The first C1 input channels of ``weight`` (T, C1 + C2, C_out) are those of ``first``. No tensor of both is
    made, forward or backward. The others get their concatenation.
    """

    def forward_joined(
        self,
        first: Tensor,
        second: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """(N, C1) and (N, C2) features -> (M, C_out)."""
        ...

    def backward_joined(
        self,
        grad: Tensor,
        first: Tensor,
        second: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """(M, C_out) gradient -> gradients of ``first``, ``second`` and ``weight``, None where not needed."""
        ...
