"""MinkUNet34C: forward and whole training steps at growing sizes, kernel maps made anew each time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gpu_check.ceilings import PRECISIONS, float32_products
from gpu_check.record import Recorder
from gpu_check.tile_sizes import tuning
from pointseg.bench.rooms import rooms
from pointseg.bench.workload import Workload, workload
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import Grid, SparseTensor, using_engine
from pointseg.sparse.engines import backend

#: The network of a smoke test: the interpreter takes a second for a large kernel.
TINY: dict[str, Any] = {"variant": "14A", "widths": [8] * 8, "stem_channels": 8, "stem_kernel": 3}
#: Engine -> precisions that it is measured in: all that ours has, for others the best they have.
_RUNS = {
    # The type that the goals are about comes first.
    "triton": ("bf16", "float32", "tf32", "fp16"),
    "reference": ("bf16",),
    "spconv": ("float32", "fp16"),
    "minkowski": ("float32",),
}
#: Others are measured up to this many voxels: they show the distance and take their time.
_OTHERS_VOXELS = 500_000


def measure_networks(recorder: Recorder) -> None:
    """Times, rates and memory by size, precision and engine."""
    network = _network(recorder)
    for engine in _RUNS:
        reason = backend(engine).unavailable(recorder.device)
        if reason is not None:
            recorder.add("skipped", f"networks of {engine}", reason=reason)
    for num_voxels in recorder.scale.network_voxels:
        coords = rooms(num_voxels).to(recorder.device)
        with tuning(False):
            work = workload(network, coords)
        recorder.add(
            "network", f"{num_voxels} voxels, one forward", gflop=work.flop / 1e9, gb=work.bytes / 1e9
        )
        for engine, precisions in _RUNS.items():
            if engine == "triton" or num_voxels <= _OTHERS_VOXELS:
                for precision in precisions:
                    _measure_engine(recorder, engine, precision, network, coords, work)


def _measure_engine(
    recorder: Recorder, engine: str, precision: str, network: nn.Module, coords: Tensor, work: Workload
) -> None:
    name = f"{len(coords)} voxels, {precision}, {engine}"
    is_skipped = recorder.scale.is_smoke and precision != "bf16"
    if is_skipped or backend(engine).unavailable(recorder.device) is not None or not recorder.has_time(name):
        return
    ours = engine in ("triton", "reference")
    with (
        recorder.may_run("network", name, ours=ours),
        using_engine(engine),
        _precision(precision, recorder.device),
        tuning(precision == "bf16"),
    ):
        _measure(recorder, network, coords, name, precision, work)


def measure_checkpointing(recorder: Recorder) -> None:
    """Time and memory of a step whose blocks keep their input alone."""
    network = _network(recorder)
    coords = rooms(recorder.scale.network_voxels[-1]).to(recorder.device)
    network.checkpoint_activations = True  # type: ignore[assignment]
    name = f"{len(coords)} voxels, bf16, checkpointing"
    with (
        recorder.may_run("network", name, ours=True),
        # In the interpreter a step takes seconds, and the networks before have taken one.
        using_engine("reference" if recorder.device.type == "cpu" else "triton"),
        _precision("bf16", recorder.device),
    ):
        _step_row(recorder, network, coords, name)


def _network(recorder: Recorder) -> nn.Module:
    torch.manual_seed(0)
    config = MinkUNetConfig.model_validate(TINY) if recorder.scale.is_smoke else MinkUNetConfig(variant="34C")
    return config.build(3).to(recorder.device)


@contextlib.contextmanager
def _precision(name: str, device: torch.device) -> Iterator[None]:
    dtype, products = PRECISIONS[name]
    with float32_products(products), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield


def _measure(
    recorder: Recorder, network: nn.Module, coords: Tensor, name: str, precision: str, work: Workload
) -> None:
    features = torch.randn(len(coords), 3, device=recorder.device)

    @torch.no_grad()
    def forward() -> Tensor:
        out: SparseTensor = network(SparseTensor(features, Grid(coords)))
        return out.features

    def maps() -> None:
        grid = Grid(coords)
        for level in range(5):
            grid.kernel_map(grid, 3)
            if level == 0:
                grid.kernel_map(grid, 5)
            if level < 4:
                coarse = grid.coarsen(2)
                grid.kernel_map(coarse, 2).transposed()
                grid = coarse

    network.eval()
    recorder.add("network", f"{name}: maps", **recorder.time_ms(maps))
    _rated(recorder, f"{name}: forward", recorder.time_ms(forward), precision, work.flop, work.bytes)
    times = _step_row(recorder, network, coords, name)
    _rated(recorder, f"{name}: step, rate", times, precision, 3 * work.flop, 3 * work.bytes)


def _rated(
    recorder: Recorder, name: str, times: dict[str, float], precision: str, flop: float, num_bytes: float
) -> None:
    ceilings = recorder.ceilings
    rate, traffic = flop / times["ms"] / 1e9, num_bytes / times["ms"] / 1e6
    recorder.add(
        "network",
        name,
        **times,
        **{"TFLOP/s": rate, "GB/s": traffic},
        share_of_rate=rate / ceilings.get(precision, float("nan")),
        share_of_bandwidth=traffic / ceilings.get("GB/s", float("nan")),
    )


def _step_row(recorder: Recorder, network: nn.Module, coords: Tensor, name: str) -> dict[str, float]:
    """Forward, backward and SGD; peak memory beside the times."""
    features = torch.randn(len(coords), 3, device=recorder.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        out: SparseTensor = network(SparseTensor(features, Grid(coords)))
        loss = out.features.float().square().mean()
        # Under autocast only the forward pass belongs.
        with torch.autocast(recorder.device.type, enabled=False):
            loss.backward()
        optimizer.step()

    network.train()
    if recorder.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(recorder.device)
    times = recorder.time_ms(step)
    peak = torch.cuda.max_memory_allocated(recorder.device) if recorder.device.type == "cuda" else 0
    recorder.add(
        "network",
        f"{name}: step",
        **times,
        us_per_1000_voxels=1e6 * times["ms"] / len(coords),
        peak_gib=peak / 2**30,
    )
    return times
