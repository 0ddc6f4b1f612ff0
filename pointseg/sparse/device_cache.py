"""Files about a device that are found out once and kept: tile sizes, proofs of engines."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def cache_folder() -> Path:
    """``POINTSEG_CACHE``, or ``pointseg`` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("POINTSEG_CACHE") or Path(home) / "pointseg")


def device_file(kind: str, device_name: str, *words: str, folder: Path | None = None) -> Path:
    """Where something about a device lies: under its name and the versions that it depends on.

    Args:
        kind: what it is.
        device_name: as torch names it.
        words: further versions.
        folder: where; see :func:`cache_folder`.
    """
    import triton

    versions = [device_name, f"torch{torch.__version__}", f"triton{triton.__version__}", *words]
    safe = "".join(c if c.isalnum() or c in ".+" else "-" for c in "_".join(versions))
    return (folder or cache_folder()) / f"{kind}_{safe}.json"
