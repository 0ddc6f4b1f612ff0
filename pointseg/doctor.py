"""`pointseg doctor`: what this machine can do, and what would make it do more."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import pointseg
from pointseg.bench.main import describe
from pointseg.core.destination import check_destination
from pointseg.core.distributed import choose_device
from pointseg.core.durable import write_json
from pointseg.sparse import ENGINES, current_engine
from pointseg.sparse.backends.bfloat16 import bfloat16_instructions, explain_bfloat16
from pointseg.sparse.engines import backend
from pointseg.sparse.native_library import instruction_sets

#: There where the driver is loaded, also in containers that lack nvidia-smi.
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
#: Optional package -> what it is for.
OPTIONAL = {
    "MinkowskiEngine": "engine: minkowski (scripts/install_minkowski.sh)",
    "spconv": "engine: spconv",
    "triton": "engine: triton, on NVIDIA GPUs",
    "spconv-triton": "engine: spconv_triton, on NVIDIA and AMD GPUs",
    "open3d": "windows and pictures by Open3D",
    "open3d-cpu": "windows and pictures by Open3D",
    "laspy": "LAS and LAZ files",
}


def doctor(*, json_path: Path | None = None, console: Console | None = None) -> dict[str, Any]:
    """Look at the machine and say what was found.

    Args:
        json_path: where to write the findings, or None.
        console: where to print; standard output if None.

    Returns:
        ``pointseg``, ``python``, ``torch``, ``device``, ``instruction_sets`` of the C kernels, ``bfloat16``
        (the instructions by which the engine native multiplies it, or None for float32), ``engines``
        (name -> None, or why it cannot run), ``auto`` (the engine it takes) and ``packages`` (name -> version
        or None) and ``notice`` (what keeps a GPU that is here from being used, or None).
    """
    check_destination(json_path)
    console, device = console or Console(), choose_device("auto")
    findings: dict[str, Any] = {
        "pointseg": pointseg.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": describe(device),
        "instruction_sets": list(instruction_sets()),
        "bfloat16": bfloat16_instructions(),
        "engines": {name: backend(name).unavailable(device) for name in ENGINES},
        "auto": current_engine(device),
        "packages": {name: _version(name) for name in OPTIONAL},
        "notice": unused_gpu(),
    }
    console.print(f"pointseg {findings['pointseg']}, Python {findings['python']}, {findings['device']}")
    if findings["notice"]:
        console.print(findings["notice"])
    table = Table("engine", f"on {device}", title="What can convolve", title_justify="left")
    for name, reason in findings["engines"].items():
        chosen = " (auto takes this one)" if name == findings["auto"] else ""
        table.add_row(name, f"ready{chosen}" if reason is None else f"no: {reason}")
    console.print(table)
    if findings["instruction_sets"]:
        console.print(
            f"C kernels for this processor: {', '.join(findings['instruction_sets'])}; the last is used"
        )
        console.print(f"bfloat16 on this processor: {explain_bfloat16(findings['bfloat16'])}")
    packages = Table("package", "version", "for", title="Optional packages", title_justify="left")
    for name, purpose in OPTIONAL.items():
        packages.add_row(name, findings["packages"][name] or "not installed", purpose)
    console.print(packages)
    if json_path:
        write_json(json_path, findings)
    return findings


def unused_gpu(*, driver: Path = NVIDIA_DRIVER) -> str | None:
    """Why a GPU of this machine is not used; None where torch can use it, or there is none."""
    if not driver.exists() or torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} is a CPU build, but an NVIDIA driver is here. For the GPU: make "
            "setup TORCH_INDEX=https://download.pytorch.org/whl/cu130 (or the CUDA version of the driver, "
            "which nvidia-smi prints)."
        )
    return (
        f"torch {torch.__version__} is a CUDA build and an NVIDIA driver is here, but torch sees no GPU: the "
        "driver may be too old for this CUDA version (nvidia-smi prints its own), or CUDA_VISIBLE_DEVICES "
        "hides the GPU."
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
