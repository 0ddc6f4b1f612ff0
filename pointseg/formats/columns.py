"""Columns as tools store them -> the types of a Scene: whole-number labels, 8-bit colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


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


def colors_to_uint8(color: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Colours as tools store them (0..255, 16 bit, or floats in 0..1) -> uint8.

    Raises:
        ValueError: for colours outside those ranges.
    """
    if color.dtype == np.uint8 or color.size == 0:
        return color.astype(np.uint8)
    if not bool(np.all(np.isfinite(color))) or color.min() < 0 or color.max() > 65535:
        raise ValueError("its colours must lie in 0..1, 0..255 or 0..65535")
    if color.dtype.kind == "f" and color.max() <= 1:
        return np.rint(color * 255).astype(np.uint8)
    # Many writers put 8-bit colours into 16-bit fields unscaled; only a larger value shows real 16 bits.
    scale = 257.0 if color.max() > 255 else 1.0
    return np.rint(color / scale).astype(np.uint8)
