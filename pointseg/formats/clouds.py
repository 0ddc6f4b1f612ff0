"""Anybody's clouds, files of CLOUD_SUFFIXES -> PlyCloud with float64 positions; normals by local planes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pointseg.formats.cloud_doubts import LARGE_COORDINATE_M, core_rows
from pointseg.formats.columns import colors_to_uint8, to_int32
from pointseg.formats.las import read_las
from pointseg.formats.las_units import FOOT_M, US_FOOT_M
from pointseg.formats.npz import NPZ_NAMES, read_npz
from pointseg.formats.pcd import read_pcd
from pointseg.formats.ply import PlyCloud, read_ply
from pointseg.formats.text import printable
from pointseg.formats.text_cloud import TEXT_SUFFIXES, read_text_cloud

CLOUD_SUFFIXES = (".ply", ".npz", ".las", ".laz", ".pcd", *TEXT_SUFFIXES)

#: Units that positions may be in -> metres.
UNITS_M = {
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
    "km": 1000.0,
    "ft": FOOT_M,
    "us-ft": US_FOOT_M,
    "in": 0.0254,
}

_CHUNK = 65_536


def read_cloud(path: Path, *, label_name: str | None = None, want_labels: bool = True) -> PlyCloud:
    """Read a cloud by its suffix; positions stay float64 and as they are in the file, see :func:`to_local`.

    Args:
        path: a file of one of CLOUD_SUFFIXES.
        label_name: the PLY property, NPZ array or LAS dimension with the labels; default the usual names.
        want_labels: False leaves labels unread, whatever is wrong with them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is broken, has no positions, or its rows do not match; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{printable(path)}: no such file.")
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return read_ply(path, double=True, label_name=label_name, want_labels=want_labels)
    if suffix not in CLOUD_SUFFIXES:
        raise ValueError(
            f"{printable(path)}: cannot read {suffix or 'a file without suffix'}; can {CLOUD_SUFFIXES}."
        )
    remarks: tuple[str, ...] = ()
    unit = None
    if suffix == ".npz":
        columns, unused = read_npz(path, label_name, want_labels=want_labels)
    elif suffix == ".pcd":
        columns, unused = read_pcd(path, label_name, want_labels=want_labels)
    elif suffix in TEXT_SUFFIXES:
        columns, unused, remarks = read_text_cloud(path, label_name, want_labels=want_labels)
    else:
        columns, unused, remarks, unit = read_las(path, label_name, want_labels=want_labels)
    try:
        # What is no number is judged by its own checks, not by a warning of numpy.
        with np.errstate(invalid="ignore", over="ignore"):
            return _cloud_of(columns, unused, remarks, unit)
    except ValueError as error:
        raise ValueError(f"{printable(path)}: cannot be used as a cloud: {error}.") from None


def _cloud_of(
    columns: dict[str, npt.NDArray[Any]],
    unused: tuple[str, ...],
    remarks: tuple[str, ...],
    unit: tuple[float, float, float] | None,
) -> PlyCloud:
    if "xyz" not in columns:
        raise ValueError(
            f"it has no positions; expected an array named {' or '.join(NPZ_NAMES['xyz'])}, it has "
            f"{', '.join(unused) or 'none'}"
        )
    count = len(columns["xyz"]) if columns["xyz"].ndim else 0
    if columns.get("rgb") is not None and columns["rgb"].shape == (count, 4):
        columns["rgb"] = columns["rgb"][:, :3]  # The fourth is opacity.
    for name, values in columns.items():
        if name in ("label", "instance") and values.shape == (count, 1):
            columns[name] = values = values[:, 0]
        shape = (count, 3) if name in ("xyz", "rgb", "normal") else (count,)
        if values.shape != shape or values.dtype.kind not in "iuf":
            turned = "; transpose it" if values.ndim == 2 and values.shape[0] == 3 != values.shape[1] else ""
            raise ValueError(
                f"its {name} must be numbers of shape {shape}; got {values.dtype} {values.shape}{turned}"
            )
    if columns["xyz"].dtype == np.float16 and count:
        largest = np.abs(columns["xyz"]).max()
        remarks += (
            f"positions of up to {largest:,.0f} are stored in half precision, in steps of up to "
            f"{np.spacing(largest):g}; export them in single or double precision",
        )
    rgb, normal, label, instance = (columns.get(name) for name in ("rgb", "normal", "label", "instance"))
    if rgb is not None:
        rgb, color_remarks = colors_to_uint8(rgb)
        remarks += color_remarks
    return PlyCloud(
        xyz=columns["xyz"].astype(np.float64),
        rgb=rgb,
        normal=None if normal is None else normal.astype(np.float32),
        label=None if label is None else to_int32(label, "label"),
        instance=None if instance is None else to_int32(instance, "instance"),
        unused=unused,
        remarks=remarks,
        metres_per_unit=unit,
    )


def finite_positions(path: Path, cloud: PlyCloud) -> npt.NDArray[np.float64]:
    """(P, 3) positions of a cloud.

    Raises:
        ValueError: if one is not a finite number.
    """
    xyz = np.asarray(cloud.xyz, dtype=np.float64)
    finite = np.isfinite(xyz).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{printable(path)}: {int((~finite).sum())} of {len(xyz)} points have no place (first: point "
            f"{int(np.argmin(finite))}): some positions are NaN or infinite. Remove them from the file."
        )
    return xyz


def in_metres(
    xyz: npt.NDArray[np.float64], cloud: PlyCloud, unit: str | None
) -> tuple[npt.NDArray[np.float64], str | None]:
    """Positions in metres, and a remark where they were not.

    Args:
        xyz: (P, 3) positions as they are in the file.
        cloud: what the file says of its unit.
        unit: one of UNITS_M if the user says it, which counts before the file.

    Raises:
        ValueError: for an unknown unit.
    """
    if unit is not None and unit not in UNITS_M:
        raise ValueError(f"Unknown unit {unit!r}; expected one of {', '.join(UNITS_M)}.")
    factors = cloud.metres_per_unit if unit is None else (UNITS_M[unit],) * 3
    if factors is None or set(factors) == {1.0}:
        return xyz, None
    shown = f"{factors[0]:g} m" + (f", {factors[2]:g} m in z" if factors[2] != factors[0] else "")
    return xyz * np.array(factors), f"its unit is {shown}; positions are taken in metres"


def to_local(xyz: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], tuple[float, float, float]]:
    """Shift map coordinates near the origin, so that float32 keeps their millimetres.

    Points that lie astray, such as one at 0, 0, 0 among map coordinates, have no say in it.

    Args:
        xyz: (P, 3) metres, P > 0.

    Returns:
        (P, 3) float32 and the whole metres that were subtracted from each axis; 0 for an axis within 10 km.
    """
    core = xyz[core_rows(xyz)]
    large = np.abs(core).max(axis=0) > LARGE_COORDINATE_M
    offset = np.where(large, np.floor(core.min(axis=0)), 0.0)
    return (xyz - offset).astype(np.float32), (float(offset[0]), float(offset[1]), float(offset[2]))


def estimate_normals(xyz: npt.NDArray[Any], *, num_neighbours: int = 16) -> npt.NDArray[np.float32]:
    """Unit normals of a cloud without faces: the direction of least spread among the nearest points.

    Their sign is not known; they point upwards (z >= 0), which is right for floors, terrain and roofs.
    Points of one place count once: thousands of missing returns at the origin would all ask for each other.

    Args:
        xyz: (P, 3) metres.
        num_neighbours: points of a neighbourhood, the point itself included.

    Returns:
        (P, 3) float32; zero where the neighbourhood spans no plane.
    """
    everywhere = np.asarray(xyz, dtype=np.float64)
    if not len(everywhere):
        return np.zeros((0, 3), dtype=np.float32)
    points, place = _places(everywhere)
    normal = np.zeros((len(points), 3))
    count = min(num_neighbours, len(points))
    if count < 3:
        return np.zeros(everywhere.shape, dtype=np.float32)
    tree = cKDTree(points)
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        near = points[tree.query(points[rows], k=count)[1]]
        near -= near.mean(axis=1, keepdims=True)
        spread, axes = np.linalg.eigh(near.transpose(0, 2, 1) @ near)
        plane = spread[:, 1] > 1e-9 * spread[:, 2]
        normal[rows] = np.where(plane[:, None], axes[:, :, 0], 0.0)
    normal[normal[:, 2] < 0] *= -1
    return normal[place].astype(np.float32)


def _places(xyz: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The distinct positions, in the order of their first points, and the one of each point."""
    order = np.lexsort(xyz.T)
    ordered = xyz[order]
    begins = np.ones(len(xyz), dtype=np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.empty(len(xyz), dtype=np.int64)
    group[order] = np.cumsum(begins) - 1
    # A stable sort: the first row of a group is its first point.
    first = order[begins]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return xyz[np.sort(first)], rank[group]
