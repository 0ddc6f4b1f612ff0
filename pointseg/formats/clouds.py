"""Anybody's clouds: PLY, NPZ, LAS and LAZ -> PlyCloud with float64 positions; normals by local planes."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pointseg.formats.columns import colors_to_uint8, to_int32
from pointseg.formats.ply import PlyCloud, read_ply

CLOUD_SUFFIXES = (".ply", ".npz", ".las", ".laz")

#: Names of the arrays in an NPZ file; the first one that is there counts.
NPZ_NAMES = {
    "xyz": ("xyz", "xyz_m", "points", "coord", "coords"),
    "label": ("label", "labels", "raw_label", "segment"),
    "rgb": ("rgb", "color", "colors"),
    "normal": ("normal", "normals"),
    "instance": ("instance", "instance_id"),
}

#: Beyond this float32 has steps of a millimetre.
LARGE_COORDINATE_M = 10_000.0

_CHUNK = 65_536


def read_cloud(path: Path, *, label_name: str | None = None) -> PlyCloud:
    """Read a cloud by its suffix; positions stay float64, see :func:`to_local`.

    Args:
        path: a .ply, .npz, .las or .laz file.
        label_name: the PLY property, NPZ array or LAS dimension with the labels; default the usual names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is broken, has no positions, or its rows do not match; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return read_ply(path, double=True, label_name=label_name)
    if suffix not in CLOUD_SUFFIXES:
        raise ValueError(f"{path}: cannot read {suffix or 'a file without suffix'}; can {CLOUD_SUFFIXES}.")
    columns = _read_npz(path, label_name) if suffix == ".npz" else _read_las(path, label_name)
    try:
        return _cloud_of(columns)
    except ValueError as error:
        raise ValueError(f"{path}: cannot be used as a cloud: {error}.") from None


def _cloud_of(columns: dict[str, npt.NDArray[Any]]) -> PlyCloud:
    if "xyz" not in columns:
        raise ValueError(f"it has no positions; expected an array named {' or '.join(NPZ_NAMES['xyz'])}")
    count = len(columns["xyz"]) if columns["xyz"].ndim else 0
    for name, values in columns.items():
        shape = (count, 3) if name in ("xyz", "rgb", "normal") else (count,)
        if values.shape != shape or values.dtype.kind not in "iuf":
            raise ValueError(
                f"its {name} must be numbers of shape {shape}; got {values.dtype} {values.shape}"
            )
    rgb, normal, label, instance = (columns.get(name) for name in ("rgb", "normal", "label", "instance"))
    return PlyCloud(
        xyz=columns["xyz"].astype(np.float64),
        rgb=None if rgb is None else colors_to_uint8(rgb),
        normal=None if normal is None else normal.astype(np.float32),
        label=None if label is None else to_int32(label, "label"),
        instance=None if instance is None else to_int32(instance, "instance"),
    )


def _read_npz(path: Path, label_name: str | None) -> dict[str, npt.NDArray[Any]]:
    choices: dict[str, Sequence[str]] = {**NPZ_NAMES}
    if label_name is not None:
        choices["label"] = (label_name,)
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            found = {
                column: next((name for name in names if name in archive.files), None)
                for column, names in choices.items()
            }
            return {column: archive[name] for column, name in found.items() if name is not None}
    # numpy hands a lone .npy file back as an array, which is no context and has no list of files.
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read as NPZ: {error}.") from None


def _read_las(path: Path, label_name: str | None) -> dict[str, npt.NDArray[Any]]:
    try:
        import laspy
    except ImportError:
        raise ValueError(
            f"{path}: LAS and LAZ need laspy; install it with: pip install 'laspy[lazrs]'."
        ) from None
    try:
        las = laspy.read(path)
    except (laspy.errors.LaspyException, OSError, ValueError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as LAS/LAZ: {error or type(error).__name__}.") from None
    dimensions = set(las.point_format.dimension_names)
    columns = {"xyz": np.asarray(las.xyz, dtype=np.float64)}
    label = label_name or "classification"
    if label in dimensions:
        columns["label"] = np.asarray(las[label])
    if {"red", "green", "blue"} <= dimensions:
        rgb = np.stack([np.asarray(las[channel]) for channel in ("red", "green", "blue")], axis=1)
        # A point format with colours does not mean that anybody filled them in.
        if rgb.any():
            columns["rgb"] = rgb
    return columns


def to_local(xyz: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], tuple[float, float, float]]:
    """Shift map coordinates near the origin, so that float32 keeps their millimetres.

    Args:
        xyz: (P, 3) metres, P > 0.

    Returns:
        (P, 3) float32 and the whole metres that were subtracted from each axis; 0 for an axis within 10 km.
    """
    large = np.abs(xyz).max(axis=0) > LARGE_COORDINATE_M
    offset = np.where(large, np.floor(xyz.min(axis=0)), 0.0)
    return (xyz - offset).astype(np.float32), (float(offset[0]), float(offset[1]), float(offset[2]))


def estimate_normals(xyz: npt.NDArray[Any], *, num_neighbours: int = 16) -> npt.NDArray[np.float32]:
    """Unit normals of a cloud without faces: the direction of least spread among the nearest points.

    Their sign is not known; they point upwards (z >= 0), which is right for floors, terrain and roofs.

    Args:
        xyz: (P, 3) metres.
        num_neighbours: points of a neighbourhood, the point itself included.

    Returns:
        (P, 3) float32; zero where the neighbourhood spans no plane.
    """
    points = np.asarray(xyz, dtype=np.float64)
    normal = np.zeros((len(points), 3))
    count = min(num_neighbours, len(points))
    if count < 3:
        return normal.astype(np.float32)
    tree = cKDTree(points)
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        near = points[tree.query(points[rows], k=count)[1]]
        near -= near.mean(axis=1, keepdims=True)
        spread, axes = np.linalg.eigh(near.transpose(0, 2, 1) @ near)
        plane = spread[:, 1] > 1e-9 * spread[:, 2]
        normal[rows] = np.where(plane[:, None], axes[:, :, 0], 0.0)
    normal[normal[:, 2] < 0] *= -1
    return normal.astype(np.float32)
