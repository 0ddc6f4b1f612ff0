"""Columns as tools store them -> the types of a Scene: what a name means, whole labels, 8-bit colours."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Remarks = tuple[str, ...]

#: What tools put before the name of a column; CloudCompare writes scalar_, MeshLab diffuse_.
_PREFIX = re.compile(r"^(scalar|diffuse|vertex|point|color|colour|rgb)[_ ]+")
#: Names of the three columns of a vector, in lower case and without prefix; the first that is there counts.
_TRIPLES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "xyz": (("x", "y", "z"),),
    "rgb": (("red", "green", "blue"), ("r", "g", "b")),
    "normal": (
        ("nx", "ny", "nz"),
        ("normal_x", "normal_y", "normal_z"),
        ("normalx", "normaly", "normalz"),
        ("n_x", "n_y", "n_z"),
    ),
}
#: Names of labels and of object numbers; the first that is there counts.
LABEL_NAMES = ("label", "labels", "classification", "class")
INSTANCE_NAMES = ("instance_id", "instance")
#: Largest value of a colour in the scales that tools use.
_COLOR_SCALES = (1.0, 255.0, 65_535.0)
#: Colours may lie so far beyond their scale, by interpolation or overexposure, and are cut off there.
_OVERSHOOT = 1.5
#: The same below zero.
_UNDERSHOOT = 0.02
#: Fractions that reach no further are of no scale: as bytes they would all be black.
_DARKEST = 16.0
#: Largest value of colours of 10 and 12 bits; in 16 bits they are nearly black.
_TWELVE_BITS = 4095


def find_triple(names: Collection[str], what: Literal["xyz", "rgb", "normal"]) -> tuple[str, ...] | None:
    """The three columns that hold positions, colours or normals, whatever their spelling; None if absent."""
    own = _by_meaning(names)
    for triple in _TRIPLES[what]:
        if all(name in own for name in triple):
            return tuple(own[name] for name in triple)
    return None


def find_column(names: Collection[str], choices: Collection[str]) -> str | None:
    """The column with the first of these names that is there, whatever its spelling."""
    own = _by_meaning(names)
    return next((own[choice] for choice in choices if choice in own), None)


def _by_meaning(names: Collection[str]) -> dict[str, str]:
    """Name in lower case and without a tool's prefix -> name; one without a prefix goes first."""
    own: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.lower() != name, len(name))):
        own.setdefault(name.strip().lower(), name)
    for name in names:
        own.setdefault(_PREFIX.sub("", name.strip().lower()), name)
    return own


def to_int32(values: npt.NDArray[Any], what: str) -> npt.NDArray[np.int32]:
    """Integers of any stored type -> int32; CloudCompare stores labels as floats, so whole floats pass.

    Raises:
        ValueError: for fractions, NaN and numbers beyond int32.
    """
    whole = np.asarray(values)
    if whole.dtype.kind == "f":
        if not bool(np.all(np.isfinite(whole) & (whole == np.rint(whole)))):
            raise ValueError(f"its {what} must be whole numbers; some are fractions or NaN")
    elif whole.dtype.kind not in "iu":
        raise ValueError(f"its {what} must be whole numbers; got {whole.dtype}")
    limit = np.iinfo(np.int32)
    if whole.size and (whole.min() < limit.min or whole.max() > limit.max):
        raise ValueError(f"its {what} must fit 32 bits; got {whole.min()}..{whole.max()}")
    return whole.astype(np.int32)


def colors_to_uint8(color: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], Remarks]:
    """Colours as tools store them (0..255, 16 bit, or floats in 0..1) -> uint8, and what was done to them.

    The scale follows from most of the values that are not black, never from the largest one: a single
    1.0001 among floats in 0..1, or one 256 among bytes, would turn the whole cloud black.

    Raises:
        ValueError: for colours outside those ranges.
    """
    if color.dtype == np.uint8 or color.size == 0:
        return color.astype(np.uint8), ()
    if color.dtype == np.int8:
        # No colour is negative: some writers declare their unsigned bytes `char`.
        return color.view(np.uint8), ()
    if not bool(np.all(np.isfinite(color))):
        raise ValueError("its colours must be finite numbers; some are NaN or infinite")
    low, high = float(color.min()), float(color.max())
    scale = _color_scale(color, high)
    # Interpolation goes a little below zero; whole numbers have no such excuse.
    lowest = -_UNDERSHOOT * scale if scale is not None and color.dtype.kind == "f" else 0.0
    if scale is None or low < lowest:
        raise ValueError(
            f"its colours must lie in 0..1, 0..255 or 0..65535; they lie in {low:.6g}..{high:.6g}"
        )
    outside = int(((color < 0) | (color > scale)).sum())
    remarks: Remarks = ()
    if outside:
        remarks += (
            f"{outside} of {color.size} colour values lie outside 0..{scale:.0f} ({low:.6g}..{high:.6g}) and "
            "are cut off there",
        )
    if scale == _COLOR_SCALES[2] and high <= _TWELVE_BITS:
        remarks += (
            f"its colours reach {high:.0f} of 65,535, as if they were of 10 or 12 bits; taken as 16 bits "
            "they are nearly black. Multiply them to 16 bits, or divide them to 0..255",
        )
    return np.rint(np.clip(color, 0, scale) * (255.0 / scale)).astype(np.uint8), remarks


def _color_scale(color: npt.NDArray[Any], high: float) -> float | None:
    """Largest value of the scale that the colours are in; None if they are in none."""
    is_float = color.dtype.kind == "f"
    bright = color[color > 0]
    usual = float(np.quantile(bright, 0.9)) if bright.size else 0.0
    # Whole numbers above 1 count, also where most of them are 1.
    counts = not is_float or (high > 1 and bool(np.all(color == np.rint(color))))
    # Many writers put 8-bit colours into 16-bit fields unscaled; only larger values show real 16 bits.
    scales = _COLOR_SCALES[1:] if counts else _COLOR_SCALES
    scale = next((scale for scale in scales if usual <= _OVERSHOOT * scale), None)
    return None if scale == _COLOR_SCALES[1] and not counts and high <= _DARKEST else scale


def unpack_rgb(packed: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """(P,) colours packed into one number of 32 bits, as PCL writes them -> (P, 3); None if they are none."""
    if packed.dtype.itemsize != 4 or packed.dtype.kind not in "iuf":
        return None
    bits = np.ascontiguousarray(packed, packed.dtype.newbyteorder("=")).view(np.uint32)
    return np.stack([(bits >> shift) & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)
