"""SemanticKITTI on disk: which classes count as which, which sequences are scored, and files of numbers.

Source: the release's own tools, https://github.com/PRBonn/semantic-kitti-api: ``config/semantic-kitti.yaml``
(learning_map and its inverse, split) and README.md (layout). Sweeps of the test split: those of KITTI
odometry, 921, 1061, 3281, 631, 1901, 1731, 491, 1801, 4981, 831 and 2721 in sequences 11 to 21, together the
20,351 of the paper (Behley et al. 2019).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

VAL = ("08",)
TEST = tuple(f"{number:02d}" for number in range(11, 22))
#: Raw class -> the class that it counts as: buses and trains are other vehicles, moving ones as still ones.
MERGED = {
    13: 20, 16: 20, 60: 40, 252: 10, 253: 31, 254: 30, 255: 32, 256: 20, 257: 20, 258: 18, 259: 20,
}  # fmt: skip
#: Raw classes that the benchmark leaves out: unlabelled, outlier, other structure, other object.
LEFT_OUT = (0, 1, 52, 99)
#: A label holds the class in its lower half and the object in its upper one.
CLASS_BITS = 0xFFFF

#: Bytes of a point: x, y, z in metres and remission, float32.
POINT_BYTES = 16


def split_of(sequence: str) -> str:
    """The split that a sequence belongs to."""
    return "val" if sequence in VAL else "test" if sequence in TEST else "train"


def find_sweeps(source: Path, sequences: Collection[str] | None = None) -> dict[str, Path]:
    """Scene, such as ``00_000000``, -> file of points, by sequence and number.

    Args:
        source: folder with ``sequences/``.
        sequences: those to look at; all that are there if None.

    Raises:
        ValueError: if there is none.
    """
    folders = sorted(path for path in (source / "sequences").glob("[0-9][0-9]") if path.is_dir())
    sweeps = {
        f"{folder.name}_{sweep.stem}": sweep
        for folder in folders
        if sequences is None or folder.name in sequences
        for sweep in sorted((folder / "velodyne").glob("*.bin"))
    }
    if not sweeps:
        first = "00" if sequences is None else min(sequences)
        raise ValueError(
            f"{source}: expected sequences/{first}/velodyne/000000.bin and so on; found none. Give the folder"
            " dataset of the release."
        )
    return sweeps


def read_numbers(file: Path, kind: str, columns: int) -> npt.NDArray[Any]:
    """(N, columns) numbers of a file that holds nothing else.

    Raises:
        ValueError: if its size is no whole number of rows.
        FileNotFoundError: if there is no such file.
    """
    data = file.read_bytes()
    size = np.dtype(kind).itemsize * columns
    if len(data) % size:
        raise ValueError(f"{file}: {len(data):,} bytes are no whole number of points of {size}; was it cut?")
    return np.frombuffer(data, dtype=kind).reshape(-1, columns)


def count_points(file: Path, point_bytes: int) -> int:
    """Points of a file, by its size.

    Raises:
        ValueError: if that is no whole number of points.
    """
    size = file.stat().st_size
    if size % point_bytes:
        raise ValueError(
            f"{file}: {size:,} bytes are no whole number of points of {point_bytes}; was it cut?"
        )
    return size // point_bytes
