"""How much work a forward pass is: operations, and bytes that have to move if every value moves once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.sparse import Grid, SparseBatchNorm, SparseConv3d, SparseConvTranspose3d, SparseTensor


@dataclass(frozen=True)
class Workload:
    """One forward pass.

    Args:
        flop: operations of the convolutions, over the pairs that exist.
        bytes: 2 bytes for each input, output and weight of a convolution, 4 for each pair, and a norm's
            input and output.
        gathered_bytes: the same with the input of a convolution read once for each pair, as without a cache.
        layers: (name, pairs, C_in, C_out, output rows) of each convolution.
    """

    flop: float
    bytes: float
    gathered_bytes: float
    layers: list[tuple[str, int, int, int, int]]


def workload(network: nn.Module, coords: Tensor, in_channels: int = 3) -> Workload:
    """Count one forward pass on these voxels, by running it."""
    layers: list[tuple[str, int, int, int, int]] = []
    totals = {"flop": 0.0, "bytes": 0.0, "gathered": 0.0}

    def convolution(name: str, layer: Any, inputs: tuple[SparseTensor, ...], output: SparseTensor) -> None:
        fine, coarse = sorted((inputs[0].grid, output.grid), key=lambda grid: grid.stride)
        pairs = len(output.grid)
        if layer.kernel.ndim == 3:
            pairs = fine.kernel_map(coarse, layer.kernel_size, layer.dilation).num_pairs
        c_in, c_out = layer.in_channels, layer.out_channels
        rest = 2 * len(output.grid) * c_out + 2 * layer.kernel.numel() + 4 * pairs
        totals["flop"] += 2.0 * pairs * c_in * c_out
        totals["bytes"] += rest + 2 * len(inputs[0].grid) * c_in
        totals["gathered"] += rest + 2 * pairs * c_in
        layers.append((name, pairs, c_in, c_out, len(output.grid)))

    def norm(layer: Any, inputs: tuple[SparseTensor, ...], output: SparseTensor) -> None:
        moved = 2 * 2 * output.features.numel()
        totals["bytes"] += moved
        totals["gathered"] += moved

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, SparseConv3d | SparseConvTranspose3d):
            hooks.append(
                module.register_forward_hook(lambda layer, i, o, name=name: convolution(name, layer, i, o))
            )
        elif isinstance(module, SparseBatchNorm):
            hooks.append(module.register_forward_hook(norm))
    was_training, before = network.training, {k: v.clone() for k, v in network.state_dict().items()}
    try:
        with torch.no_grad():
            # In training mode each layer runs for itself; at evaluation norms are folded into convolutions.
            network.train()
            network(SparseTensor(torch.zeros(len(coords), in_channels, device=coords.device), Grid(coords)))
    finally:
        network.train(was_training)
        network.load_state_dict(before)
        for hook in hooks:
            hook.remove()
    return Workload(totals["flop"], totals["bytes"], totals["gathered"], layers)
