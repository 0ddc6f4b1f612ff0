"""Time a MinkUNet on a generated room: kernel maps, forward, forward + backward.

    python scripts/bench_engine.py --variant 34C --threads 2

Maps are made anew in every step, as in training. Prints the minimum and the median over the repeats; compare
two versions within one run only, machines drift.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.models.minkunet import MinkUNetConfig
from pointseg.run.gpu_check.rooms import room
from pointseg.sparse import Grid, SparseConv3d, SparseConvTranspose3d, SparseTensor


def forward_gflop(network: nn.Module, x: SparseTensor) -> float:
    """1e9 floating-point operations of all convolutions in one forward; a step takes three times as many."""
    total = 0

    def count(layer: Any, inputs: tuple[SparseTensor, ...], output: SparseTensor) -> None:
        nonlocal total
        fine, coarse = sorted((inputs[0].grid, output.grid), key=lambda grid: grid.stride)
        pairs = fine.kernel_map(coarse, layer.kernel_size).num_pairs
        total += 2 * pairs * layer.in_channels * layer.out_channels

    layers = [m for m in network.modules() if isinstance(m, SparseConv3d | SparseConvTranspose3d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return total / 1e9


def timed(
    function: Callable[[], object], repeats: int, device: torch.device, clock: Callable[[], float]
) -> tuple[float, float]:
    """Minimum and median seconds of ``repeats`` calls after one call to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = clock()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(clock() - start)
    return min(seconds[1:]), statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", default="34C")
    parser.add_argument("--widths", type=int, nargs=8)
    parser.add_argument("--in-channels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="run under bfloat16 autocast")
    parser.add_argument("--processor-time", action="store_true", help="for one thread on a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # One thread's own time does not depend on what else the machine does.
    clock = time.process_time if options.processor_time else time.perf_counter
    torch.manual_seed(0)
    device = torch.device(options.device)
    network = (
        MinkUNetConfig(variant=options.variant, widths=options.widths).build(options.in_channels).to(device)
    )
    coords = room().to(device)
    features = torch.randn(len(coords), options.in_channels, device=device)
    levels = Grid(coords)
    sizes, pairs = [len(levels)], levels.kernel_map(levels, 3).num_pairs / len(levels)
    for _ in range(4):
        levels = levels.coarsen(2)
        sizes.append(len(levels))
    gflop = forward_gflop(network, SparseTensor(features, Grid(coords)))
    print(f"voxels at each level {sizes}; {pairs:.1f} pairs a voxel for 3^3; {gflop:.0f} GFLOP forward")

    def maps() -> None:
        grid = Grid(coords)
        grid.kernel_map(grid, network.conv0p1s1.kernel_size)
        for _ in range(5):
            grid.kernel_map(grid, 3)
            coarse = grid.coarsen(2)
            grid.kernel_map(coarse, 2).transposed()
            grid = coarse

    def forward() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
            return network(SparseTensor(features, Grid(coords))).features

    def forward_without_gradients() -> None:
        with torch.no_grad():
            forward()

    def step() -> None:
        network.zero_grad(set_to_none=True)
        forward().float().square().mean().backward()

    for name, function in (
        ("maps", maps),
        ("forward", forward_without_gradients),
        ("forward + backward", step),
    ):
        best, median = timed(function, options.repeats, device, clock)
        print(f"{name:20s} min {best:7.3f} s   median {median:7.3f} s")


if __name__ == "__main__":
    main()
