"""Single convolutions: every engine at hand on the same voxels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gpu_check.ceilings import PRECISIONS, float32_products
from gpu_check.peers import peers
from gpu_check.record import Recorder
from gpu_check.tile_sizes import tuning
from pointseg.bench.rooms import rooms
from pointseg.sparse import Grid
from pointseg.sparse.backends.base import Backend
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.backends.triton.backend import TritonBackend

#: How its rows begin.
OF_THE_FIELD = "size of the field"


def measure_convolutions(recorder: Recorder) -> None:
    """Forward and backward of 3^3 convolutions whose maps are made."""
    measure_of_the_field(recorder)
    for num_voxels in recorder.scale.single_voxels:
        coords = rooms(num_voxels).to(recorder.device)
        grid = Grid(coords)
        kernel_map = grid.kernel_map(grid, 3)
        for channels in recorder.scale.channels:
            flop = 2 * kernel_map.num_pairs * channels**2
            for precision, (dtype, products) in PRECISIONS.items():
                name = f"{num_voxels} voxels, {channels} -> {channels}, {precision}"
                if not recorder.has_time(name):
                    return
                with float32_products(products):
                    for engine in _engines(recorder, coords, channels, dtype):
                        _measure(recorder, engine, name, precision, flop, tuned=precision == "bf16")


def measure_of_the_field(recorder: Recorder) -> None:
    """The size that spconv-triton's pages give times for: 50,000 voxels, 256 channels, fp16."""
    num_voxels, channels = (12, 8) if recorder.scale.is_smoke else (50_000, 256)
    coords = rooms(num_voxels).to(recorder.device)
    grid = Grid(coords)
    flop = 2 * grid.kernel_map(grid, 3).num_pairs * channels**2
    name = f"{OF_THE_FIELD}, {num_voxels} voxels, {channels} -> {channels}, fp16"
    if recorder.has_time(name):
        for engine in _engines(recorder, coords, channels, torch.float16):
            _measure(recorder, engine, name, "fp16", flop, tuned=True)


def _engines(
    recorder: Recorder, coords: Tensor, channels: int, dtype: torch.dtype
) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """(name, forward, backward) of each engine."""
    grid = Grid(coords)
    kernel_map = grid.kernel_map(grid, 3)
    x, grad = (torch.randn(len(coords), channels, device=recorder.device).to(dtype) for _ in range(2))
    weight = torch.randn(27, channels, channels, device=recorder.device).to(dtype)

    def both(backend: Backend) -> tuple[Callable[[], object], Callable[[], object]]:
        return (
            lambda: backend.forward(x, weight, kernel_map),
            lambda: backend.backward(grad, x, weight, kernel_map, needs_features=True, needs_weight=True),
        )

    own = [("triton", *both(TritonBackend())), ("reference", *both(ReferenceBackend()))]
    return own + peers(recorder, coords, x, grad)


def _measure(
    recorder: Recorder,
    engine: tuple[str, Callable[[], object], Callable[[], object]],
    name: str,
    precision: str,
    flop: int,
    *,
    tuned: bool,
) -> None:
    engine_name, forward, backward = engine
    times: dict[str, dict[str, float]] = {}
    ours = engine_name in ("triton", "reference")
    with recorder.may_run("convolution", f"{name}, {engine_name}", ours=ours), tuning(tuned):
        times = {"forward": recorder.time_ms(forward), "backward": recorder.time_ms(backward)}
    for direction in times:
        rate = (1 if direction == "forward" else 2) * flop / times[direction]["ms"] / 1e9
        recorder.add(
            "convolution",
            f"{name}, {engine_name} {direction}",
            **times[direction],
            **{"TFLOP/s": rate},
            share_of_ceiling=rate / recorder.ceilings.get(precision, float("nan")),
        )
