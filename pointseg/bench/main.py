"""The verb `pointseg bench`: measure, compare with float64, print a table, write JSON and a plot."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pointseg.bench.cases import TYPES, Case, engines_for
from pointseg.bench.options import BenchOptions
from pointseg.bench.plot import draw
from pointseg.bench.rows import Measurements
from pointseg.core.destination import check_destination
from pointseg.core.distributed import choose_device
from pointseg.core.durable import write_json
from pointseg.core.memory import keep_freed_memory


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
        ``peak_mb``, ``gflop`` and ``of_gemm`` (rate over that of a large float32 product in the same run),
        ``skipped`` (why nothing was measured, or None), ``max_error`` (relative norm of the difference to
        float64: of the output, or of all gradients) and ``error_voxels`` (the size of the room it is for).

    Raises:
        ValueError: for an unknown type, or an engine that cannot run here.
    """
    if unknown := [name for name in options.dtypes if name not in TYPES]:
        raise ValueError(f"unknown type {unknown[0]!r}; choose of {', '.join(TYPES)}.")
    for path in (json_path, plot_path):
        check_destination(path)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.keep_memory:
        keep_freed_memory()
    console, device = console or Console(), choose_device(options.device)
    names = engines_for(what, options.engines, device, options.variant)
    measurements = Measurements(what, names, options, device)
    console.print(
        f"{describe(device)}; a 2048^3 float32 product runs at {measurements.limit_gflops:.0f} GFLOP/s. "
        f"Engines: {', '.join(names)}"
    )
    rows: list[dict[str, Any]] = []
    for case, dtype, found in measurements.sizes():
        rows += found
        console.print(_table(case, dtype, found))
        if elsewhere := {row["error_voxels"] for row in found} - {None, case.voxels}:
            console.print(f"errors are those of a room of {elsewhere.pop():,} voxels", highlight=False)
        for row in found:
            if row["skipped"]:
                console.print(f"{row['engine']}, {_PHASES[row['phase']]}: {row['skipped']}", highlight=False)
        # After every size: a long run that is stopped leaves what it has measured.
        if json_path:
            write_json(json_path, rows)
        if plot_path:
            draw(rows, plot_path)
    return rows


#: Phase -> what the table calls it.
_PHASES = {"forward": "forward", "forward_backward": "+ backward"}


def _table(case: Case, dtype: str, rows: list[dict[str, Any]]) -> Table:
    title = f"{case.name}, {case.voxels:,} voxels, {dtype}"
    # Narrow: all columns fit 80 characters.
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("phase", "engine", "median s", "min s", "spread", "MB", "of GEMM", "error", "x best"):
        table.add_column(column, justify="left" if column in ("phase", "engine") else "right", no_wrap=True)
    measured = [row for row in rows if not row["skipped"]]
    for row in measured:
        best = min(r["min_s"] for r in measured if r["phase"] == row["phase"])
        table.add_row(
            _PHASES[row["phase"]],
            row["engine"],
            f"{row['median_s']:.4f}",
            f"{row['min_s']:.4f}",
            f"{row['spread']:.2f}",
            "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
            f"{row['of_gemm']:.2f}" if row["gflop"] else "-",
            "-" if row["max_error"] is None else f"{row['max_error']:.1e}",
            f"{row['min_s'] / best:.2f}",
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
