"""What `pointseg bench` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


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
    parity_voxels: int = 20_000
    keep_memory: bool = False
    device: str = "auto"
