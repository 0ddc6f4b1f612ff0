"""LAS and LAZ files. What is compressed is decoded in a process of its own: on damaged data the decoder may
panic or abort, which no Python code can catch, and that must not end anything but the reading of this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.las_header import check_las_header
from pointseg.formats.las_units import metres_per_unit
from pointseg.formats.npz import Columns, check_fits_memory
from pointseg.formats.text import unreadable

#: Points that are decoded at once, so that a wrong count in a header allocates nothing.
_CHUNK = 1_000_000


def read_las(
    path: Path, label_name: str | None, *, want_labels: bool
) -> tuple[Columns, tuple[str, ...], tuple[str, ...], tuple[float, float, float] | None]:
    """The columns of a file; names of what is left; remarks; and metres per unit, where the file says it.

    Raises:
        ValueError: if it cannot be read, holds fewer points than its header announces, or is in degrees.
    """
    try:
        import laspy
    except ImportError:
        raise ValueError(
            f"{path}: LAS and LAZ need laspy; install it with: pip install 'laspy[lazrs]'."
        ) from None
    try:
        check_las_header(path)
        with laspy.open(path) as reader:
            header = reader.header
            rest = _check_size(path, header)
            unit = metres_per_unit(header)
            label = (label_name or "classification") if want_labels else None
            wanted = _wanted(set(header.point_format.dimension_names), label)
            unused = tuple(sorted(set(header.point_format.dimension_names) - set(wanted) - {"X", "Y", "Z"}))
            if not header.are_points_compressed:
                columns = _decode(reader, wanted)
        if header.are_points_compressed:
            columns = _decode_elsewhere(path, wanted)
        found = len(columns["xyz"])
        if found != header.point_count:
            raise ValueError(
                f"its header announces {header.point_count:,} points, but it holds {found:,}. It was cut"
            )
    except (
        laspy.errors.LaspyException, OSError, ValueError, RuntimeError, EOFError, MemoryError, OverflowError,
        AttributeError, TypeError, ZeroDivisionError, IndexError, KeyError,
    ) as error:  # fmt: skip
        raise unreadable(path, "LAS/LAZ", str(error) or type(error).__name__) from None
    return _named(columns, label), unused, rest, unit


def _check_size(path: Path, header: Any) -> tuple[str, ...]:
    """What is doubtful about the size of a file; ValueError if it holds fewer points than announced."""
    size, start, row = path.stat().st_size, int(header.offset_to_point_data), int(header.point_format.size)
    count = int(header.point_count)
    if header.are_points_compressed:
        # No compression of points reaches a thousand to one, but a count of billions is a wrong count.
        if count > 1000 * max(size - start, 0):
            raise ValueError(f"its header announces {count:,} points, which {size:,} bytes cannot hold")
        check_fits_memory(count * row, f"what its header announces, {count:,} points,")
        return ()
    held = max(size - start, 0) // row
    if count > held:
        raise ValueError(
            f"its header announces {count:,} points, but the file ends after {held:,}. It was cut, or not "
            "copied whole"
        )
    end = int(getattr(header, "start_of_first_evlr", 0) or 0) if header.number_of_evlrs else size
    more = (end - start) // row - count
    if more > 0 and count == 0:
        raise ValueError(
            f"its header announces no point, but {more:,} follow; what wrote it did not come to its end"
        )
    return (f"{more:,} more points than its header announces were not read",) if more > 0 else ()


def _wanted(dimensions: set[str], label: str | None) -> list[str]:
    colors = ("red", "green", "blue")
    wanted = [*colors] if dimensions.issuperset(colors) else []
    return wanted + ([label] if label in dimensions else [])  # type: ignore[list-item]


def _decode(reader: Any, wanted: list[str]) -> Columns:
    """Positions and the wanted dimensions of an opened file, chunk by chunk."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("xyz", *wanted)}
    for points in reader.chunk_iterator(_CHUNK):
        scaled = [np.asarray(points[axis], dtype=np.float64) for axis in ("x", "y", "z")]
        parts["xyz"].append(np.stack(scaled, axis=1))
        for name in wanted:
            parts[name].append(np.asarray(points[name]))
    empty = {"xyz": np.zeros((0, 3))}
    return {
        name: np.concatenate(chunks) if chunks else empty.get(name, np.zeros(0, np.uint8))
        for name, chunks in parts.items()
    }


def _decode_elsewhere(path: Path, wanted: list[str]) -> Columns:
    """The same in a child, whose answer is a line of JSON and then the bytes of the arrays."""
    command = [sys.executable, "-m", "pointseg.formats.las", str(path), *wanted]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None and child.stderr is not None
            line = child.stdout.readline()
            columns = {}
            for name, kind, shape in json.loads(line) if line.strip() else ():
                values = np.empty(shape, dtype=kind)
                got = child.stdout.readinto(values.reshape(-1).view(np.uint8).data) if values.size else 0  # type: ignore[attr-defined]
                if got != values.nbytes:
                    line = b""
                columns[name] = values
            said = child.stderr.read().decode("utf-8", "replace")
            code = child.wait()
        except BaseException:
            child.kill()
            raise
    if code or not line.strip():
        reasons = [text.strip() for text in said.splitlines() if text.strip()]
        raise ValueError(
            f"its points cannot be decompressed ({reasons[-1] if reasons else f'exit code {code}'}); the "
            "file is damaged or was cut"
        )
    return columns


def _named(columns: Columns, label: str | None) -> Columns:
    named = {"xyz": columns["xyz"]}
    if "red" in columns:
        rgb = np.stack([columns[channel] for channel in ("red", "green", "blue")], axis=1)
        # A point format with colours does not mean that anybody filled them in.
        if rgb.any():
            named["rgb"] = rgb
    if label is not None and label in columns:
        named["label"] = columns[label]
    return named


def _answer(path: str, *wanted: str) -> None:
    """What the child does."""
    import laspy

    with laspy.open(path) as reader:
        columns = _decode(reader, list(wanted))
    head = [(name, values.dtype.str, values.shape) for name, values in columns.items()]
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    for values in columns.values():
        sys.stdout.buffer.write(np.ascontiguousarray(values).data)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
