"""Tile sizes: which ones may run, and which one runs. Measured once per device and shape, kept on disk."""

from __future__ import annotations

import json
import logging
import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import torch

from pointseg.core.durable import write_json

_log = logging.getLogger(__name__)
_REPEATS = 5


@dataclass(frozen=True)
class Tile:
    """How one program is cut and run.

    Args:
        m, n, k: rows, columns and depth of a product; powers of two of at least 16, as tensor cores want.
        warps: warps of a program.
        stages: loads in flight, counted in products.
    """

    m: int
    n: int
    k: int
    warps: int
    stages: int


def forward_tiles(channels: int, out_channels: int, itemsize: int, *, second_channels: int = 0) -> list[Tile]:
    """Candidates for the convolution, the one to use unmeasured first.

    Args:
        channels: input channels.
        out_channels: output channels.
        itemsize: bytes of a number.
        second_channels: those of a second tensor that is read behind the first.
    """
    n = min(128, power_of_two(out_channels))
    k = min(64 if itemsize == 2 else 32, power_of_two(channels + second_channels))
    if second_channels:
        # A product reads one of the tensors: 96 and 32 channels fill four products of depth 32, but leave a
        # third of three of depth 64 empty.
        shared = math.gcd(channels, second_channels)
        k = max(16, min(k, shared & -shared))
    found = [Tile(64, n, k, 4, 3), Tile(128, n, k, 8 if n > 64 else 4, 3), Tile(128, n, min(k, 32), 4, 4)]
    found += [Tile(64, min(n, 64), k, 4, 4), Tile(128, min(n, 64), k, 4, 3), Tile(64, min(n, 32), k, 4, 4)]
    return list(dict.fromkeys(found))


def weight_tiles(channels: int, out_channels: int, itemsize: int) -> list[Tile]:
    """Candidates for the weight gradient: m input channels, n output channels, k pairs."""
    m, n = min(128, power_of_two(channels)), min(128, power_of_two(out_channels))
    k = 64 if itemsize == 2 else 32
    found = [Tile(min(m, 64), min(n, 64), k, 4, 3), Tile(m, n, k, 8 if m * n > 8192 else 4, 3)]
    found += [Tile(min(m, 64), n, 32, 4, 4), Tile(min(m, 32), min(n, 32), k, 4, 4)]
    return list(dict.fromkeys(found))


def power_of_two(number: int) -> int:
    """The smallest power of two that is at least ``number`` and 16."""
    return max(16, 1 << (number - 1).bit_length())


def choose_tile(key: Sequence[object], candidates: Sequence[Tile], run: Callable[[Tile], object]) -> Tile:
    """The quickest candidate for a shape.

    Nothing is measured on a CPU, with ``POINTSEG_TUNE=0`` or where torch is to be deterministic: another tile
    sums in another order, so the first candidate is taken.

    Args:
        key: what the answer depends on besides device and versions; the file keeps it as text.
        candidates: at least one.
        run: starts the kernel with a tile; the result is not looked at.
    """
    may_measure = torch.cuda.is_available() and os.environ.get("POINTSEG_TUNE", "1") != "0"
    if len(candidates) == 1 or not may_measure or torch.are_deterministic_algorithms_enabled():
        return candidates[0]
    device = torch.cuda.current_device()
    choices = _choices(device)
    name = " ".join(str(part) for part in key)
    kept = choices.get(name)
    if kept in candidates:
        assert kept is not None
        return kept
    if torch.cuda.is_current_stream_capturing():
        return candidates[0]
    choices[name] = min(candidates, key=lambda tile: _milliseconds(tile, run))
    _save(_file_of(device), choices)
    return choices[name]


def _milliseconds(tile: Tile, run: Callable[[Tile], object]) -> float:
    """Median time of a kernel; infinite where the tile does not fit the device."""
    from triton.runtime.errors import OutOfResources

    try:
        run(tile)
    except OutOfResources:
        return float("inf")
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(_REPEATS + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run(tile)
        mark.record()
    marks[-1].synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in pairwise(marks))


def cache_file(device_name: str, folder: Path | None = None) -> Path:
    """Where the choices for a device lie: ``POINTSEG_CACHE``, or ``pointseg`` in the user's cache folder."""
    import triton

    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(os.environ.get("POINTSEG_CACHE") or Path(home) / "pointseg")
    words = [device_name, f"torch{torch.__version__}", f"triton{triton.__version__}"]
    safe = "".join(c if c.isalnum() or c in ".+" else "-" for c in "_".join(words))
    return folder / f"tiles_{safe}.json"


def load_choices(path: Path) -> dict[str, Tile]:
    """Choices from a file; none where there is no file or it cannot be read as one."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Tile(**{k: int(v) for k, v in tile.items()}) for name, tile in written.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _log.warning("%s holds no tile sizes (%s); they are measured again.", path, error)
        return {}


def _save(path: Path, choices: dict[str, Tile]) -> None:
    """Write all at once: a reader sees the old file or the new one. A full disk is no reason to stop."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {name: asdict(tile) for name, tile in sorted(choices.items())})
    except OSError as error:
        _log.warning("The tile sizes measured for this device were not kept: %s", error)


@cache
def _choices(device: int) -> dict[str, Tile]:
    return load_choices(_file_of(device))


@cache
def _file_of(device: int) -> Path:
    return cache_file(torch.cuda.get_device_name(device))
