"""What a MinkUNet34C should cost on a GPU by its data sheet: the roofline of every layer, without a GPU.

python -m gpu_check.predict
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch

from pointseg.bench.rooms import rooms
from pointseg.bench.workload import Workload, workload
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import Grid, KernelMap
from pointseg.sparse.backends.triton.plan import tap_table


@dataclass(frozen=True)
class Sheet:
    """A GPU by its data sheet.

    Args:
        name: of the GPU.
        tera_flops: 1e12 dense operations a second by precision.
        tera_bytes: 1e12 bytes a second from memory.
    """

    name: str
    tera_flops: dict[str, float]
    tera_bytes: float


_HOPPER = {"float32": 67.0, "tf32": 494.0, "bf16": 989.0}
SHEETS = (
    Sheet("H200 SXM", _HOPPER, 4.8),
    Sheet("H100 SXM", _HOPPER, 3.35),
    Sheet("A100 SXM, 80 GB", {"float32": 19.5, "tf32": 156.0, "bf16": 312.0}, 2.04),
)
#: Bytes of a value by precision; the counts of a workload are for two.
_BYTES = {"float32": 4, "tf32": 4, "bf16": 2}


def roofline_ms(work: Workload, sheet: Sheet, precision: str, padding: float) -> float:
    """The sum over layers of the larger of two times: products at the peak rate, values at full bandwidth.

    Args:
        work: one forward pass.
        sheet: the device.
        precision: ``float32``, ``tf32`` or ``bf16``.
        padding: products made for each one needed, since tiles multiply taps that only some rows have.
    """
    total = 0.0
    for _, pairs, c_in, c_out, rows in work.layers:
        flop = 2.0 * padding * pairs * c_in * c_out
        # Input and output once each, then the norm reads and writes the output again.
        moved = _BYTES[precision] * rows * (c_in + 3 * c_out) + 4 * pairs
        total += max(flop / sheet.tera_flops[precision], moved / sheet.tera_bytes) / 1e9
    return total


def padding_of(kernel_map: KernelMap, tile: int) -> float:
    """Products made for each one needed, with tiles of so many rows."""
    return float(tap_table(kernel_map).tiles(tile).counts.sum()) * tile / kernel_map.num_pairs


def main() -> None:
    """Print the predictions as a table of Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voxels", type=int, default=100_000)
    options = parser.parse_args()
    coords = rooms(options.voxels)
    grid = Grid(coords)
    print("| level | voxels | pairs a voxel, 3^3 | products made for each needed, tiles of 64 / 128 rows |")
    print("|---|---|---|---|")
    paddings = []
    for level in range(5):
        kernel_map = grid.kernel_map(grid, 3)
        paddings.append(padding_of(kernel_map, 64))
        print(
            f"| {level} | {len(grid):,} | {kernel_map.num_pairs / len(grid):.1f} "
            f"| {paddings[-1]:.2f} / {padding_of(kernel_map, 128):.2f} |"
        )
        grid = grid.coarsen(2)
    with torch.device("cpu"):
        network = MinkUNetConfig(variant="34C").build(3)
    work = workload(network, coords)
    print(
        f"\n{len(work.layers)} convolutions; {work.flop / 1e9:.0f} GFLOP; values once "
        f"{work.bytes / 1e9:.2f} GB in 16 bits, gathered once a pair {work.gathered_bytes / 1e9:.2f} GB"
    )
    print(f"\n| {options.voxels:,} voxels | forward, ms | step (three times), ms |\n|---|---|---|")
    for sheet in SHEETS:
        for precision in sheet.tera_flops:
            ms = roofline_ms(work, sheet, precision, paddings[0])
            print(f"| {sheet.name}, {precision} | {ms:.2f} | {3 * ms:.2f} |")


if __name__ == "__main__":
    main()
