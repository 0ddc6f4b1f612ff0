"""Arrays of numbers in MATLAB files of version 5.

Read here and not by scipy, whose parser is native code that reads beyond its memory on damaged files and
takes the process with it. What is no array of numbers (cells, structures, text) is passed over unread.

Source: "MAT-File Format", The MathWorks, 2023, chapter 1: level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.text import unreadable

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
#: Type of stored numbers -> numpy's.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: Class of an array of numbers -> the type that it has in MATLAB; numbers may be stored in a smaller one.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x0800
#: Enough of a compressed array to see its name.
_HEAD_BYTES = 4096


def read_mat(file: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Those of the named variables that the file has; what else lies in it is not read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or a named variable is no array of real numbers.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file.")
    data = file.read_bytes()
    try:
        order = _byte_order(data)
        found = {}
        for content in _arrays(data, order, set(names)):
            name, values = _array(content, order)
            found[name] = values
        return found
    except (ValueError, struct.error, zlib.error, MemoryError, OverflowError) as error:
        raise unreadable(file, "a MATLAB file", error) from None


def _byte_order(data: bytes) -> str:
    """``<`` or ``>``.

    Raises:
        ValueError: if it is no file of version 5.
    """
    version = data[124:128]
    for order, mark in (("<", b"IM"), (">", b"MI")):
        if version[2:] == mark:
            (number,) = struct.unpack(f"{order}H", version[:2])
            if number == 0x0200:
                raise ValueError("it is of version 7.3, which is HDF5; save it with -v7")
            if number == 0x0100:
                return order
    raise ValueError("it does not begin as files of version 5 do; save it with -v7")


def _arrays(data: bytes, order: str, names: set[str]) -> Iterator[bytes]:
    """The content of each array with one of these names.

    Raises:
        ValueError: for a part that is longer than the file.
    """
    at = _HEADER_BYTES
    while at < len(data):
        kind, content, after = _element(data, at, order)
        if kind == _COMPRESSED:
            # To see the name first: another array may be large.
            head = zlib.decompressobj().decompress(content, _HEAD_BYTES)
            kind, start, _ = _element(head, 0, order, is_part=True)
            if kind == _MATRIX and _name(start, order) in names:
                yield _element(zlib.decompress(content), 0, order)[1]
            # The only kind that is not padded.
            after = at + 8 + len(content)
        elif kind == _MATRIX and _name(content, order) in names:
            yield content
        at = after


def _element(data: bytes, at: int, order: str, *, is_part: bool = False) -> tuple[int, bytes, int]:
    """Type and content of the element that begins at a place, and where the next one begins.

    Args:
        data: the bytes.
        at: the place.
        order: of the bytes.
        is_part: whether its end may be missing.

    Raises:
        ValueError: if it ends beyond the bytes.
    """
    kind, size = struct.unpack_from(f"{order}II", data, at)
    start = at + 8
    if kind >> 16:
        # Four bytes or fewer stand in the place of the size.
        kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if size > 4:
            raise ValueError(f"a part at byte {at} claims {size} bytes in 4")
        return kind, data[start : start + size], at + 8
    if start + size > len(data) and not is_part:
        raise ValueError(f"a part at byte {at} claims {size:,} bytes, beyond the end; it was cut")
    return kind, data[start : start + size], start + size + (-size) % 8


def _head(content: bytes, order: str) -> tuple[int, tuple[int, ...], str, int]:
    """Flags, shape and name of an array, and where its numbers begin."""
    _, flags, at = _element(content, 0, order)
    _, sizes, at = _element(content, at, order)
    _, name, at = _element(content, at, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes[: len(sizes) // 4 * 4])
    return struct.unpack_from(f"{order}I", flags)[0], shape, name.decode("latin-1"), at


def _name(content: bytes, order: str) -> str:
    return _head(content, order)[2]


def _array(content: bytes, order: str) -> tuple[str, npt.NDArray[Any]]:
    """Name and numbers of an array.

    Raises:
        ValueError: if it holds something else, or fewer or more of them than its shape says.
    """
    flags, shape, name, at = _head(content, order)
    wanted = _CLASSES.get(flags & 0xFF)
    if wanted is None or flags & _COMPLEX:
        raise ValueError(f"{name} is no array of real numbers")
    kind, stored, _ = _element(content, at, order)
    if kind not in _STORED:
        raise ValueError(f"the numbers of {name} are of an unknown type, {kind}")
    values = np.frombuffer(stored, f"{order}{_STORED[kind]}")
    if len(shape) < 2 or min(shape) < 0 or int(np.prod(shape, dtype=np.float64)) != len(values):
        raise ValueError(f"{name} should be of shape {shape}, but holds {len(values):,} numbers")
    # Columns stand one after the other.
    with np.errstate(invalid="ignore"):
        return name, values.astype(wanted).reshape(shape, order="F")
