"""Files of image data sets: photographs in any mode, and label images whose numbers are raw ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pointseg.core.labels import id_counts
from pointseg.formats.mat_file import read_mat

ReadLabel = Callable[[Path], npt.NDArray[np.int32]]


def open_image(file: Path) -> Image.Image:
    """An image whose header is read.

    Raises:
        ValueError: if it cannot be.
    """
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file}: cannot be read as an image ({error}).") from None


def decoded(file: Path, opened: Image.Image) -> Image.Image:
    """Its pixels in RGB, whether they are grey, CMYK or of a palette in the file."""
    try:
        if opened.mode == "P" and "transparency" in opened.info:
            # Pillow warns of a palette with alpha unless it goes this way.
            return opened.convert("RGBA").convert("RGB")
        return opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{file}: cannot be read as an image ({error}).") from None


def read_indices(file: Path) -> npt.NDArray[np.int32]:
    """Raw ids of an image of one channel. A palette image is not converted: its index is the label."""
    with Image.open(file) as opened:
        return np.array(opened).astype(np.int32)


def read_mat_map(file: Path) -> npt.NDArray[np.int32]:
    """Raw ids of a MATLAB file, its variable ``S``: the form of COCO-Stuff 10k."""
    found = read_mat(file, ["S"]).get("S")
    if found is None or found.dtype.kind not in "iuf":
        raise ValueError(f"{file}: expected the label map S; it has no such variable of numbers.")
    return found.astype(np.int32)


def read_label(file: Path, read: ReadLabel, known: Sequence[int]) -> npt.NDArray[np.int32]:
    """(H, W) raw ids, every one of them known.

    Raises:
        ValueError: naming the file, if it cannot be read, is no map of single numbers, or holds other ids.
    """
    try:
        raw = read(file)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{file}: cannot be read as a label image ({error}).") from None
    if raw.ndim != 2:
        raise ValueError(
            f"{file}: expected a label image of one channel; got shape {raw.shape}. Colours are no ids."
        )
    unknown = np.setdiff1d(id_counts(raw)[0], np.asarray(known))
    if len(unknown):
        raise ValueError(f"{file}: label ids {unknown[:10].tolist()} are not in the table of classes.")
    return raw
