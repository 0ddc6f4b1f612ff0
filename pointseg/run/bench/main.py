"""The verb `pointseg bench`: measure, compare with float64, print a table, write JSON and a plot."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pointseg.run.bench.cases import TYPES, Case, convolution, engines_for, kernel_maps, network
from pointseg.run.bench.measure import gemm_gflops, take_turns
from pointseg.run.bench.plot import draw
from pointseg.run.bench.rooms import rooms
from pointseg.run.distributed import choose_device
from pointseg.sparse import ENGINES


@dataclass(frozen=True)
class BenchOptions:
    """What to measure with; see `pointseg bench --help`."""

    engines: tuple[str, ...] | None = None
    voxels: tuple[int, ...] = (95_000,)
    dtypes: tuple[str, ...] = ("float32",)
    channels: tuple[int, ...] = (32, 64, 96, 128, 256)
    variant: str = "34C"
    threads: int | None = None
    repeats: int = 5
    parity: bool = True
    device: str = "auto"


def bench(
    what: str,
    options: BenchOptions,
    *,
    json_path: Path | None = None,
    plot_path: Path | None = None,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Measure engines on the same voxels and weights in this process.

    Args:
        what: ``conv``, ``network`` or ``maps``.
        options: sizes, types, engines.
        json_path: where to write the rows, or None.
        plot_path: where to draw them, or None.
        console: where to print the table; standard output if None.

    Returns:
        A row for each engine, type, phase and size: ``case``, ``engine``, ``dtype``, ``phase`` (forward or
        forward_backward), ``voxels``, ``median_s``, ``min_s``, ``spread`` (largest over smallest time),
        ``peak_mb``, ``max_error`` (relative norm of the difference to float64: of the output, or of all
        gradients), ``gflop`` and ``of_gemm`` (rate over that of a large float32 product in the same run).

    Raises:
        ValueError: for an unknown type, or an engine that cannot run here.
    """
    if unknown := [name for name in options.dtypes if name not in TYPES]:
        raise ValueError(f"unknown type {unknown[0]!r}; choose of {', '.join(TYPES)}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    console, device = console or Console(), choose_device(options.device)
    # The first of all loads what all need; engines take turns, so their order does not matter.
    names = engines_for(what, options.engines, device, tuple(n for n in ENGINES if n != "reference"))
    limit = gemm_gflops(device)
    console.print(
        f"{describe(device)}; a 2048^3 float32 product runs at {limit:.0f} GFLOP/s. "
        f"Engines: {', '.join(names)}"
    )
    rows = []
    for case in _cases(what, options, device):
        for dtype in options.dtypes:
            found = list(_measure(case, names, dtype, options, device, limit))
            rows += found
            console.print(_table(case, dtype, found))
    if json_path:
        json_path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if plot_path:
        draw(rows, plot_path)
    return rows


def _cases(what: str, options: BenchOptions, device: torch.device) -> Iterator[Case]:
    for size in options.voxels:
        coords = rooms(size).to(device)
        if what == "conv":
            yield from (convolution(coords, channels) for channels in options.channels)
        else:
            yield network(coords, options.variant) if what == "network" else kernel_maps(coords)


def _measure(
    case: Case, names: list[str], dtype: str, options: BenchOptions, device: torch.device, limit: float
) -> Iterator[dict[str, Any]]:
    for phase, work, factor in (("forward", case.forward, 1), ("forward_backward", case.step, 3)):
        if work is None:
            continue
        works = {name: partial(work, name, TYPES[dtype]) for name in names}
        timings = take_turns(works, options.repeats, device)
        # Plain torch in float64 is the judge of all.
        exact = work("reference", torch.float64) if options.parity else None
        for name, timing in timings.items():
            yield {
                "case": case.name,
                "engine": name,
                "dtype": dtype,
                "phase": phase,
                "voxels": case.voxels,
                "median_s": timing.median_s,
                "min_s": timing.min_s,
                "spread": timing.spread,
                "peak_mb": timing.peak_mb,
                "max_error": None if exact is None else _error(works[name](), exact),
                "gflop": case.gflop * factor,
                "of_gemm": case.gflop * factor / timing.min_s / limit,
            }


def _error(got: Tensor, exact: Tensor) -> float:
    return float((got.double() - exact).norm() / exact.norm().clamp(min=1e-300))


#: Phase -> what the table calls it.
_PHASES = {"forward": "forward", "forward_backward": "+ backward"}


def _table(case: Case, dtype: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{case.name}, {case.voxels:,} voxels, {dtype}", title_justify="left")
    for column in ("phase", "engine", "median s", "min s", "spread", "MB", "of GEMM", "error", "x best"):
        table.add_column(column, justify="left" if column in ("phase", "engine") else "right", no_wrap=True)
    best = {row["phase"]: min(r["min_s"] for r in rows if r["phase"] == row["phase"]) for row in rows}
    for row in rows:
        table.add_row(
            _PHASES[row["phase"]],
            row["engine"],
            f"{row['median_s']:.4f}",
            f"{row['min_s']:.4f}",
            f"{row['spread']:.2f}",
            "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
            f"{row['of_gemm']:.2f}" if row["gflop"] else "-",
            "-" if row["max_error"] is None else f"{row['max_error']:.1e}",
            f"{row['min_s'] / best[row['phase']]:.2f}",
        )
    return table


def describe(device: torch.device) -> str:
    """The device and torch, in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def processor() -> str:
    """The processor's own name for itself."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
