"""Whether an engine computes on this GPU what it should: proven once, before ``auto`` takes it.

No engine can be tested on every GPU, driver and compiler that somebody has. So the first time that one is to
be taken, one small convolution of each kind runs forward and backward and is compared with plain torch in
float64 on the host. What was found is kept until the driver, torch, Triton or the engine is another one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

from pointseg.core.durable import write_json
from pointseg.sparse.backends.base import Backend
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.device_cache import device_file
from pointseg.sparse.grid import Grid
from pointseg.sparse.kernel_map import KernelMap

#: Largest relative error of a result: the rounding of its type, and of sums in float32.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}
#: Kind of map, channels in and out, types. A stem has few channels, which engines treat apart.
CASES = (
    ("3^3", 32, 48, (torch.float32, torch.bfloat16, torch.float16)),
    ("5^3", 3, 16, (torch.float32, torch.bfloat16)),
    ("down", 32, 48, (torch.float32, torch.bfloat16)),
    ("up", 48, 32, (torch.float32, torch.bfloat16)),
)

_log = logging.getLogger(__name__)


def unproven(name: str, backend: Backend, device: torch.device) -> str | None:
    """Why an engine must not be taken on a device, or None where it was proven, now or before.

    Args:
        name: of the engine.
        backend: the engine itself.
        device: where. Engines for CPUs are tested on CPUs, and plain torch is what others are compared with.
    """
    if device.type != "cuda" or isinstance(backend, ReferenceBackend):
        return None
    file = _file_of(torch.cuda.get_device_name(device))
    known = _read(file)
    if name not in known:
        known[name] = failure(backend, device)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, known)
        except OSError as error:
            _log.warning("What was found about the engines on this GPU was not kept: %s", error)
    return known[name]


@torch.no_grad()
def failure(backend: Backend, device: torch.device) -> str | None:
    """The first thing that an engine does not compute as it should, in words; None where all is right."""
    with _exactly_and_untuned():
        for kind, channels, out_channels, dtypes in CASES:
            for dtype in dtypes:
                what = f"{kind} convolution in {str(dtype).removeprefix('torch.')}"
                try:
                    error = _largest_error(backend, device, kind, channels, out_channels, dtype)
                except Exception as problem:
                    text = str(problem).strip().splitlines() or [""]
                    return f"{what}: {type(problem).__name__}: {text[0]}"
                if not error < TOLERANCE[dtype]:
                    return f"{what}: a relative error of {error:.1e}"
    return None


def _largest_error(
    backend: Backend, device: torch.device, kind: str, channels: int, out_channels: int, dtype: torch.dtype
) -> float:
    """That of the output and of both gradients, against float64 on the host."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(0, 12, (600, 4), generator=generator)
    coords[:, 0] %= 2
    coords = coords.unique(dim=0).int()
    here, there = (_map_of(Grid(where), kind) for where in (coords, coords.to(device)))
    shapes = [
        (here.num_source, channels),
        (here.num_taps, channels, out_channels),
        (here.num_target, out_channels),
    ]
    given = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    results = []
    for engine, kernel_map, (x, weight, grad) in (
        (ReferenceBackend(), here, [tensor.double() for tensor in given]),
        (backend, there, [tensor.to(device) for tensor in given]),
    ):
        gradients = engine.backward(grad, x, weight, kernel_map, needs_features=True, needs_weight=True)
        results.append([engine.forward(x, weight, kernel_map), *gradients])
    errors = [
        float((got.double().cpu() - expected).norm() / expected.norm())
        for expected, got in zip(*results, strict=True)
        if expected is not None and got is not None
    ]
    # A NaN is no number to compare with: it has to come out as the largest.
    return max(error if error == error else float("inf") for error in errors)


def _map_of(grid: Grid, kind: str) -> KernelMap:
    if kind in ("3^3", "5^3"):
        return grid.kernel_map(grid, int(kind[0]))
    down = grid.kernel_map(grid.coarsen(2), 2)
    return down if kind == "down" else down.transposed()


@contextmanager
def _exactly_and_untuned() -> Iterator[None]:
    """float32 without tf32, and no tile measured on convolutions of test size."""
    precision, tune = torch.get_float32_matmul_precision(), os.environ.get("POINTSEG_TUNE")
    torch.set_float32_matmul_precision("highest")
    os.environ["POINTSEG_TUNE"] = "0"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if tune is None:
            del os.environ["POINTSEG_TUNE"]
        else:
            os.environ["POINTSEG_TUNE"] = tune


def _read(file: Path) -> dict[str, str | None]:
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): None if reason is None else str(reason) for name, reason in written.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        _log.warning("%s cannot be read (%s); the engines are proven again.", file, error)
        return {}


@cache
def _file_of(device_name: str) -> Path:
    return device_file("engines", device_name, f"driver{_driver()}", _digest())


def _driver() -> str:
    with suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    return str(torch.version.hip or torch.version.cuda)


def _digest() -> str:
    """Of the engines' own source, so that a changed kernel is proven again."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
