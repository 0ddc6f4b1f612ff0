"""What was hoped for on an H200, beside what was measured. A missed goal is no failure of the check."""

from __future__ import annotations

from typing import Any

import torch

from gpu_check.convolutions import OF_THE_FIELD
from gpu_check.record import Recorder

#: Forward of a submanifold 3^3 convolution, 50,000 voxels, 256 channels, fp16, its map cached.
#: Source: https://github.com/L-Reichardt/spconv-triton, its own tables.
PUBLISHED_MS = {"H100": 0.11, "A100": 0.24}


def compare_with_goals(recorder: Recorder) -> None:
    """A row for each goal whose numbers are there; on other devices they show the distance to an H200."""
    step = {n: _ms(recorder, f"{n} voxels, bf16, triton: step") for n in recorder.scale.network_voxels}
    forward = _ms(recorder, "100000 voxels, bf16, triton: forward")
    _at_most(recorder, "bf16 step of 100,000 voxels, ms", step.get(100_000), 20)
    _at_most(recorder, "bf16 forward of 100,000 voxels, ms", forward, 6)
    _at_most(recorder, "bf16 step of 1,000,000 voxels, ms", step.get(1_000_000), 130)
    for peer, least in (
        ("float32, minkowski", 5),
        ("fp16, spconv", 1),
        ("fp16, spconv's own layers", 1),
        ("fp16, spconv-triton's own layers", 1),
    ):
        # The largest size that the peer was measured at.
        for n in reversed(recorder.scale.network_voxels):
            theirs, ours = _ms(recorder, f"{n} voxels, {peer}: step"), step[n]
            if theirs is not None and ours is not None:
                _at_least(recorder, f"bf16 steps in one of {peer}, {n} voxels", theirs / ours, least)
                break
    _at_most(
        recorder,
        "1,000,000 points to a batch, ms",
        _ms(recorder, "1000000 points, whole batch"),
        5,
    )
    few, many = step.get(100_000), step.get(2_000_000)
    if few is not None and many is not None:
        _at_most(recorder, "step of 2,000,000 voxels in steps of 100,000", many / few, 20)
    name = torch.cuda.get_device_name(recorder.device) if recorder.device.type == "cuda" else ""
    of_the_field = f"{OF_THE_FIELD}, 50000 voxels, 256 -> 256, fp16, triton forward"
    for device, limit in PUBLISHED_MS.items():
        if device in name:
            goal = f"50,000 voxels, 256 channels, fp16: spconv-triton's on {device}, ms"
            _at_most(recorder, goal, _ms(recorder, of_the_field), limit)
    for row in recorder.rows:
        if row["section"] == "training" and "batches/s alone" in row:
            ahead = row["batches/s alone"] / row["steps/s"]
            _at_least(recorder, f"batches made in a step, {row['name']}", ahead, 1)
        if row["section"] == "training" and "waits of a step" in row:
            _at_most(recorder, f"waits of a step, {row['name']}", row["waits of a step"], 0)


def _ms(recorder: Recorder, name: str) -> float | None:
    """Median milliseconds of a row; None where there is none."""
    rows: list[dict[str, Any]] = [row for row in recorder.rows if row["name"] == name and "ms" in row]
    return float(rows[0]["ms"]) if rows else None


def _at_most(recorder: Recorder, name: str, value: float | None, limit: float) -> None:
    if value is not None:
        recorder.add("goal", name, value=value, at_most=limit, met=value <= limit)


def _at_least(recorder: Recorder, name: str, value: float, limit: float) -> None:
    recorder.add("goal", name, value=value, at_least=limit, met=value >= limit)
