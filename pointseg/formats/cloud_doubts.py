"""What is doubtful about a cloud: units other than metres, another axis up, strays, lost digits, missing
returns, colours of classes.

None of it can be decided from the numbers alone, so each is said to the user before anything is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.floating[Any]]

#: Beyond this float32 has steps of a millimetre.
LARGE_COORDINATE_M = 10_000.0
#: Points this many times the middle half of a cloud away from its middle are no part of it.
_STRAY = 20.0
#: Missing returns are said from this many on, and this share.
_MIN_RETURNS, _RETURN_SHARE = 10, 0.001
#: A neighbour this many voxels away is none to a sparse network.
_FAR_VOXELS = 5.0
#: A scan has thousands of colours; a byte numbers no more classes than this.
_MAX_CLASS_COLORS = 256
#: Faces of a scan look up more than down, since nobody scans what a floor lies on, and elsewhere as often one
#: way as the other: where their mean is this long and so many times its part along z, z is not up.
_MEAN_NORMAL, _TIMES_UP = 0.15, 4.0
_SAMPLE = 200_000
_QUERIES = 2_000


def core_rows(xyz: Floats) -> npt.NDArray[np.bool_]:
    """(P,) which points belong to the cloud, rather than lie astray far from it.

    Args:
        xyz: (P, 3) finite positions, P > 0.
    """
    low, middle, high = np.percentile(xyz, (25, 50, 75), axis=0)
    reach = _STRAY * float((high - low).max()) + LARGE_COORDINATE_M
    return np.asarray((np.abs(xyz - middle) <= reach).all(axis=1))


def doubts(xyz: Floats) -> list[str]:
    """What is doubtful about positions that ought to be metres; see also :func:`voxel_doubts`.

    Args:
        xyz: (P, 3) finite positions.
    """
    if not len(xyz):
        return []
    core = core_rows(xyz)
    found = [_strays(xyz, core), _missing_returns(xyz), _lost_digits(xyz[core]), unit_doubt(xyz[core])]
    return [doubt for doubt in found if doubt]


def _strays(xyz: Floats, core: npt.NDArray[np.bool_]) -> str | None:
    if core.all():
        return None
    first = int(np.argmin(core))
    place = ", ".join(f"{value:g}" for value in xyz[first])
    return (
        f"{int((~core).sum()):,} of {len(xyz):,} points lie far from all others (first: point {first} at "
        f"{place}); better remove them from the file"
    )


def _missing_returns(xyz: Floats) -> str | None:
    count = int((xyz == 0).all(axis=1).sum())
    if count < max(_MIN_RETURNS, _RETURN_SHARE * len(xyz)):
        return None
    return (
        f"{count:,} of {len(xyz):,} points lie at exactly 0, 0, 0, as scanners write missing returns; better "
        "remove them from the file"
    )


def _lost_digits(xyz: Floats) -> str | None:
    """Map coordinates that went through float32 have lost their centimetres, whatever type they have now."""
    single = np.asarray(xyz, dtype=np.float32)
    largest = float(np.abs(single).max())
    step = float(np.spacing(np.float32(largest)))
    if largest <= LARGE_COORDINATE_M or step < 0.005 or not np.array_equal(single, xyz):
        return None
    if bool((single == np.rint(single)).all()) and step < 1:
        return None  # A grid of whole metres has lost nothing.
    return (
        f"positions of up to {largest:,.0f} are stored in single precision, in steps of {step:g}; export "
        "them in double precision, or shifted near the origin"
    )


def unit_doubt(xyz: Floats) -> str | None:
    """Why positions seem to be no metres, for people; None where nothing speaks against them."""
    low, middle, high = np.percentile(xyz, (5, 50, 95), axis=0)
    wide, tall = float((high - low)[:2].max()), float((high - low)[2])
    on_globe = bool(np.abs(xyz[:, 0]).max() <= 360 and np.abs(xyz[:, 1]).max() <= 90)
    if on_globe and wide < 1 and tall > 20 * wide and float(np.abs(middle[:2]).max()) > 100 * wide:
        return (
            f"x and y span {wide:g} around {middle[0]:.4f}, {middle[1]:.4f} and z spans {tall:g}: these look "
            "like degrees of longitude and latitude; metres are expected. Project them, such as to UTM"
        )
    if tall > 1000 or (tall > 150 and tall > 0.3 * wide):
        return (
            f"the cloud is {tall:,.0f} m high if its unit is the metre, which is expected; if it is "
            "millimetres, centimetres or feet, say so with --unit"
        )
    if len(xyz) > 1 and max(wide, tall) < 0.05:
        return (
            f"the cloud spans {max(wide, tall):g} m if its unit is the metre, which is expected; if it is "
            "kilometres or was normalised, scale it or say so with --unit"
        )
    return None


def class_color_doubt(rgb: npt.NDArray[np.uint8]) -> str | None:
    """Why colours seem to be those of classes, for people: a network would be shown the answer.

    Args:
        rgb: (P, 3) colours of a scan.
    """
    code = rgb.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    count = len(np.unique(code))
    is_grey = bool((rgb == rgb[:, :1]).all())
    if is_grey or not 2 <= count <= _MAX_CLASS_COLORS or len(rgb) < max(1000, 20 * count):
        return None
    return (
        f"its {len(rgb):,} points have no more than {count} colours, as files have that are coloured by "
        "their classes (*.labels.ply, or what was labelled before); take the file with the scan's own colours"
    )


def upright_doubt(normal: npt.NDArray[np.floating[Any]]) -> str | None:
    """Why z seems not to be up, for people.

    Args:
        normal: (P, 3) normals that look out of their surface, as those of faces do.
    """
    if len(normal) < 50:
        return None
    mean = np.asarray(normal, dtype=np.float64).mean(axis=0)
    axis = int(np.argmax(np.abs(mean)))
    if axis == 2 and mean[2] < -_MEAN_NORMAL:
        return (
            "its faces look down more than up: it stands on its head, or the corners of its faces run "
            "clockwise; z up is expected"
        )
    if abs(mean[axis]) < max(_MEAN_NORMAL, _TIMES_UP * abs(float(mean[2]))):
        return None
    side = f"{'-' if mean[axis] < 0 else ''}{'xyz'[axis]}"
    return (
        f"its faces look towards {side} as those of scans look up, so that {side} seems to be up; z is "
        "expected: turn the file, such as (x, y, z) -> (x, -z, y) for y up"
    )


def voxel_doubts(xyz_m: Floats, voxel_size_m: float) -> list[str]:
    """What is doubtful about a cloud for a network that sees voxels of this size.

    Args:
        xyz_m: (P, 3) finite positions near the origin.
        voxel_size_m: edge of a voxel.
    """
    if len(xyz_m) < 50:
        return []
    points = _block(np.asarray(xyz_m, dtype=np.float64))
    voxels = len(_distinct(np.floor(points / voxel_size_m)))
    if voxels < max(10, len(points) / 1000):
        return [
            f"{len(points):,} points fall into {voxels:,} voxels of {voxel_size_m:g} m, so the network sees "
            "next to nothing of them. Is their unit the metre? --unit says otherwise"
        ]
    distinct = _distinct(points)
    asked = distinct[:: max(1, len(distinct) // _QUERIES)]
    gap = float(np.median(cKDTree(distinct).query(asked, k=2)[0][:, 1])) if len(distinct) > 1 else 0.0
    if gap > _FAR_VOXELS * voxel_size_m:
        return [
            f"neighbouring points lie {gap:g} m apart, {gap / voxel_size_m:,.0f} voxels of the network, "
            "which then sees single points and no surfaces. Is their unit the metre? --unit says otherwise"
        ]
    return []


def _block(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A part of a large cloud that is as dense as the whole: the points around its median in x."""
    if len(points) <= _SAMPLE:
        return points
    first = (len(points) - _SAMPLE) // 2
    order = np.argpartition(points[:, 0], (first, first + _SAMPLE))
    return points[order[first : first + _SAMPLE]]


def _distinct(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    order = np.lexsort(rows.T)
    ordered = rows[order]
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[keep]
