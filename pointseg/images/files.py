"""Files of image data sets: photographs in any mode, and label images whose numbers are raw ids.

One place judges a file: how large it may be, which way up it is, how deep its grey values are, and whether
it is whole.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pointseg.core.labels import id_counts
from pointseg.formats.class_table import merge_ids
from pointseg.formats.mat_file import read_mat
from pointseg.formats.text import printable, unreadable

ReadLabel = Callable[[Path], npt.NDArray[np.int32]]

#: What Pillow raises for files that it cannot read, of all the formats that it knows.
_BROKEN: tuple[type[Exception], ...] = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError,
    OverflowError, MemoryError, ZeroDivisionError, struct.error,
)  # fmt: skip
_BROKEN_OR_LARGE: tuple[type[Exception], ...] = (*_BROKEN, Image.DecompressionBombError)
#: Tag of EXIF that says how a camera was held, and the values that turn a picture by a quarter.
_ORIENTATION, _QUARTERS = 0x0112, (5, 6, 7, 8)
#: Largest grey value of 12 bits.
_TWELVE_BITS = 4095
#: Modes of grey values beyond a byte.
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What goes wrong with a file becomes one ValueError that names it."""
    try:
        with warnings.catch_warnings():
            # Pillow warns at half of its limit and refuses at all of it; only the second is of interest.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ValueError(
            f"{printable(file)}: the image is too large ({str(error).partition(',')[0]}); at most {limit:,} "
            "pixels are read. Cut it into tiles."
        ) from None
    except _BROKEN as error:
        raise unreadable(file, "an image", error) from None


def open_image(file: Path) -> Image.Image:
    """An image whose header is read.

    Raises:
        ValueError: if it cannot be.
    """
    with _naming(file):
        return Image.open(file)


def _orientation(opened: Image.Image) -> int:
    """How the camera was held, as EXIF counts it; 1 is upright."""
    if opened.format == "PNG" and "exif" not in opened.info:
        return 1  # Pillow would decode the whole image to look behind its pixels.
    return int(opened.getexif().get(_ORIENTATION, 1))


def is_turned(opened: Image.Image) -> bool:
    """Whether people see an opened image otherwise than its camera stored it: turned or mirrored."""
    return _orientation(opened) != 1


def upright_size(opened: Image.Image) -> tuple[int, int]:
    """(width, height) of an opened image as people see it: cameras store what they were turned by."""
    turned = _orientation(opened) in _QUARTERS
    return (opened.height, opened.width) if turned else (opened.width, opened.height)


def decoded(file: Path, opened: Image.Image) -> Image.Image:
    """Its pixels in RGB and upright, whether they are grey, deep, CMYK or of a palette in the file.

    Raises:
        ValueError: naming the file, if it cannot be decoded, or its values have no known range.
    """
    with _naming(file):
        if opened.mode == "P" and "transparency" in opened.info:
            # Pillow warns of a palette with alpha unless it goes this way.
            opened.load()
            picture = opened.convert("RGBA").convert("RGB")
        elif opened.mode in (*_DEEP, "F"):
            opened.load()
            picture = Image.fromarray(_bytes_of(np.asarray(opened))).convert("RGB")
        else:
            picture = opened.convert("RGB")
        orientation = _orientation(opened)
        if orientation != 1:
            picture.getexif()[_ORIENTATION] = orientation
            picture = ImageOps.exif_transpose(picture)
        return picture


def _bytes_of(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey values of more than a byte -> bytes; conversion by Pillow would cut all of them off at 255.

    Raises:
        ValueError: for values that are neither bytes nor of 16 bits.
    """
    low, high = float(grey.min(initial=0)), float(grey.max(initial=0))
    if grey.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(grey * 255).astype(np.uint8)
    if not (low >= 0 and high <= 65_535):
        raise ValueError(
            f"its grey values lie in {low:g}..{high:g}; expected 0..255 or 0..65535. Save it with 8 bits"
        )
    return np.rint(grey / (257.0 if high > 255 else 1.0)).astype(np.uint8)


def depth_doubt(opened: Image.Image) -> str | None:
    """What is doubtful about the depth of an opened image, for people."""
    if opened.mode not in _DEEP:
        return None
    high = int(np.asarray(opened).max(initial=0))
    if not 255 < high <= _TWELVE_BITS:
        return None
    return (
        f"its grey values reach {high:,} of 65,535, as if they were of 10 or 12 bits; taken as 16 bits they "
        "are nearly black. Save it with 8 bits, or stretch it to 16"
    )


def read_indices(file: Path) -> npt.NDArray[np.int32]:
    """Raw ids of an image of one channel. A palette image is not converted: its index is the label."""
    with Image.open(file) as opened:
        if _orientation(opened) != 1:
            raise ValueError(
                "it is turned by its EXIF orientation, which programs of labelling do not agree on. Save it "
                "upright"
            )
        if opened.mode == "F":
            raise ValueError("its values are floats; expected raw ids in 8 or 16 bits")
        return np.array(opened).astype(np.int32)


def read_mat_map(file: Path) -> npt.NDArray[np.int32]:
    """Raw ids of a MATLAB file, its variable ``S``: the form of COCO-Stuff 10k."""
    found = read_mat(file, ["S"]).get("S")
    if found is None or found.dtype.kind not in "iuf":
        raise ValueError(f"{file}: expected the label map S; it has no such variable of numbers.")
    return found.astype(np.int32)


def read_label(file: Path, read: ReadLabel, known: Mapping[int, int]) -> npt.NDArray[np.int32]:
    """(H, W) raw ids, every one of them that of a class or known to be none.

    Args:
        file: the label file.
        read: what its layout reads it with.
        known: every raw id that it may hold -> the raw id of its class.

    Raises:
        ValueError: naming the file, if it cannot be read, is no map of single numbers, or holds other ids.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            raw = read(file)
    except _BROKEN_OR_LARGE as error:
        if str(error).startswith(f"{file}: "):
            raise ValueError(str(error)) from None
        raise unreadable(file, "a label image", error) from None
    if raw.ndim != 2:
        raise ValueError(
            f"{file}: expected a label image of one channel; got shape {raw.shape}. Colours are no ids."
        )
    unknown = np.setdiff1d(id_counts(raw)[0], np.asarray([*known]))
    if len(unknown):
        more = " Lossy JPEG changes ids; labels are PNG." if file.suffix.lower() in (".jpg", ".jpeg") else ""
        raise ValueError(f"{file}: label ids {unknown[:10].tolist()} are not in the table of classes.{more}")
    return merge_ids(raw, {given: kept for given, kept in known.items() if given != kept})


def check_same_size(
    label_file: Path, label: tuple[int, ...], image_file: Path, size: tuple[int, int], stored: tuple[int, int]
) -> None:
    """Whether a label belongs to its image.

    Args:
        label_file, image_file: the two.
        label: (H, W) of the label.
        size: (width, height) of the image, upright.
        stored: the same before it was turned by its EXIF orientation.

    Raises:
        ValueError: naming both, if their sizes differ.
    """
    width, height = size
    if label == (height, width):
        return
    turned = ""
    if label == (stored[1], stored[0]):
        turned = (
            " The image is turned by its EXIF orientation and the label is not; turn the label, or take the "
            "orientation out of the image, as the labels were drawn."
        )
    raise ValueError(
        f"{label_file}: the label has {label[1]} x {label[0]} pixels, its image {image_file} "
        f"{width} x {height}. They must be of one size.{turned}"
    )
