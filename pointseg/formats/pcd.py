"""PCD files, as the Point Cloud Library writes them: ascii, binary and binary_compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.named_columns import by_meaning
from pointseg.formats.npz import Columns, check_fits_memory
from pointseg.formats.text import unreadable

_KINDS = {"F": "f", "I": "i", "U": "u"}
#: A header is a few lines of names; one that does not end so soon is none.
_LONGEST_HEADER = 65_536


@dataclass(frozen=True)
class _Header:
    """What a header says: type of a point, number of points, encoding, and where the points begin."""

    row: np.dtype[Any]
    count: int
    encoding: str
    begins: int


def read_pcd(path: Path, label_name: str | None, *, want_labels: bool) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a file, and the names of what else its points have.

    Raises:
        ValueError: if it cannot be read, or holds fewer points than its header announces.
    """
    try:
        data = path.read_bytes()
        header = _header(data)
        check_fits_memory(header.count * header.row.itemsize, f"{header.count:,} points")
        fields = _READERS[header.encoding](data[header.begins :], header)
        return by_meaning(fields, label_name, want_labels=want_labels)
    except (OSError, ValueError, KeyError, IndexError, TypeError, MemoryError, OverflowError) as error:
        raise unreadable(path, "PCD", str(error) or type(error).__name__) from None


def _header(data: bytes) -> _Header:
    said: dict[str, list[str]] = {}
    begins = 0
    while "DATA" not in said:
        end = data.find(b"\n", begins, _LONGEST_HEADER)
        if end < 0:
            raise ValueError("it has no header that ends with a line DATA")
        words = data[begins:end].decode("ascii", "replace").split("#")[0].split()
        begins = end + 1
        if words:
            said[words[0].upper()] = words[1:]
    names = said.get("FIELDS") or said.get("COLUMNS")
    if not names or not {"SIZE", "TYPE"} <= set(said) or not {"POINTS", "WIDTH"} & set(said):
        raise ValueError("its header must have FIELDS, SIZE, TYPE and POINTS")
    counts = [int(word) for word in said.get("COUNT", ["1"] * len(names))]
    sizes, kinds = [int(word) for word in said["SIZE"]], said["TYPE"]
    if not len(names) == len(sizes) == len(kinds) == len(counts) or min(counts) < 1:
        raise ValueError("FIELDS, SIZE, TYPE and COUNT of its header do not match")
    # PCL pads with fields named _, any number of them.
    unique = [f"_{i}" if name == "_" else name for i, name in enumerate(names)]
    row = np.dtype(
        [
            (name, f"<{_KINDS[kind.upper()]}{size}", (count,) if count > 1 else ())
            for name, size, kind, count in zip(unique, sizes, kinds, counts, strict=True)
        ]
    )
    if "POINTS" in said:
        points = int(said["POINTS"][0])
    else:
        points = int(said["WIDTH"][0]) * int(said.get("HEIGHT", ["1"])[0])
    encoding = said["DATA"][0].lower()
    if points < 0 or encoding not in _READERS:
        raise ValueError(f"it has {points} points in the encoding {encoding!r}; can {', '.join(_READERS)}")
    return _Header(row, points, encoding, begins)


def _ascii(data: bytes, header: _Header) -> dict[str, npt.NDArray[Any]]:
    words = data.split()
    width = sum(int(np.prod(header.row[name].shape, dtype=int)) for name in header.row.names or ())
    if len(words) != header.count * width:
        raise ValueError(_cut(header, len(words) // width))
    table = np.array(words).reshape(header.count, width)
    fields, column = {}, 0
    for name in header.row.names or ():
        kind = header.row[name].base
        size = int(np.prod(header.row[name].shape, dtype=int))
        # By way of float64 or int64: numpy turns bytes into neither unsigned nor short numbers.
        wide = table[:, column : column + size].astype("f8" if kind.kind == "f" else "i8")
        fields[name] = wide.astype(kind).reshape(header.count, *header.row[name].shape)
        column += size
    return _plain(fields)


def _binary(data: bytes, header: _Header) -> dict[str, npt.NDArray[Any]]:
    wanted = header.count * header.row.itemsize
    if len(data) < wanted:
        raise ValueError(_cut(header, len(data) // header.row.itemsize))
    table = np.frombuffer(data[:wanted], dtype=header.row)
    return _plain({name: table[name] for name in header.row.names or ()})


def _compressed(data: bytes, header: _Header) -> dict[str, npt.NDArray[Any]]:
    if len(data) < 8:
        raise ValueError(_cut(header, 0))
    packed, whole = (int(size) for size in np.frombuffer(data[:8], dtype="<u4"))
    if len(data) < 8 + packed or whole != header.count * header.row.itemsize:
        raise ValueError(_cut(header, 0))
    content = _lzf(data[8 : 8 + packed], whole)
    fields, begins = {}, 0
    # Field by field, not point by point.
    for name in header.row.names or ():
        kind = header.row[name]
        size = header.count * kind.itemsize
        values = np.frombuffer(content[begins : begins + size], dtype=kind.base)
        fields[name] = values.reshape(header.count, *kind.shape)
        begins += size
    return _plain(fields)


def _lzf(data: bytes, size: int) -> bytes:
    """LibLZF's format: literals, and copies of what lies up to 8 KiB back."""
    out = bytearray()
    at = 0
    while at < len(data):
        control = data[at]
        at += 1
        if control < 32:
            out += data[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[at]
            at += 1
        start = len(out) - ((control & 31) << 8) - data[at] - 1
        at += 1
        length += 2
        if start < 0 or len(out) + length > size:
            raise ValueError("its compressed points are damaged")
        while length:
            # A copy may reach into what it writes, and then repeats it.
            piece = out[start : start + length]
            out += piece
            start, length = start + len(piece), length - len(piece)
    if len(out) != size:
        raise ValueError("its compressed points are damaged or cut")
    return bytes(out)


def _plain(fields: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Fields of one number a point; histograms and the like are left out, and padding too."""
    return {name: values for name, values in fields.items() if values.ndim == 1 and name[0] != "_"}


def _cut(header: _Header, found: int) -> str:
    return f"its header announces {header.count:,} points, but it holds {found:,}; was it cut?"


_READERS = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
