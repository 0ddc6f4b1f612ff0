"""Label text files: one integer per line, one line per vertex. Read fast, and as strictly as officially.

The official evaluation reads `open(file).read().splitlines()` into an int64 array, under Python 2. So CRLF, a
missing final newline, a sign, leading zeros and blanks around the number pass; a blank line, a float, two
numbers on a line and a number beyond int64 do not. Departure: Python 2 also takes `1L` and `- 1`, which no
program writes; here they are errors.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import write_bytes

#: What the official reader takes for an integer, given the line without its end. Bytes, because Python 2
#: reads bytes: digits of other scripts and blanks beyond ASCII are errors there.
INTEGER = re.compile(rb"[ \t\v\f]*[+-]?[0-9]+[ \t\v\f]*")
FLOAT = re.compile(rb"\s*[+-]?(\d+\.\d*|\.?\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(nan|inf)\s*", re.IGNORECASE)
#: A mask of the instance task: `predicted_masks/scene0707_00_000.txt 5 0.93`.
INSTANCE = re.compile(rb"\s*\S+\.txt\s+\d+(\.\d+)?\s+\S+\s*")
#: Every number of so many digits fits int64.
SAFE_DIGITS = 18

_NEWLINE, _MINUS, _ZERO = ord("\n"), ord("-"), ord("0")


class LabelTextError(ValueError):
    """A line that is not one integer.

    Args:
        source: name of the file.
        line: number of the line, from 1.
        kind: ``blank``, ``float``, ``several``, ``instance``, ``ranks``, ``range`` or
            ``text``.
        text: the line, shortened.
    """

    def __init__(self, source: str, line: int, kind: str, text: str) -> None:
        self.source, self.line, self.kind, self.text = source, line, kind, text
        super().__init__(f"{source}: line {line}: expected one integer; got {text!r}. {_ADVICE[kind]}")


_ADVICE = {
    "blank": "Blank lines are not allowed, nor is one more newline at the end: one line per vertex.",
    "float": "This is the text of a float, numpy.savetxt's default; write integers: savetxt(..., fmt='%d').",
    "several": "Write one number per line, one line per vertex.",
    "instance": "This is a line of the instance task; the semantic task wants one raw id per vertex.",
    "ranks": "Each line needs equally many numbers: one, or as many as the server takes, between commas.",
    "range": "The number does not fit 64 bits.",
    "text": "No header, no class names, no byte-order mark: only raw ids.",
}


def read_labels(path: Path) -> npt.NDArray[np.int64]:
    """(P,) integers of a label text file.

    Raises:
        LabelTextError: naming the file and the first line that is not one integer.
        FileNotFoundError: if there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    return parse_labels(Path(path).read_bytes(), str(path))


def parse_labels(data: bytes, source: str) -> npt.NDArray[np.int64]:
    """(P,) integers of the bytes of a label text file; ``source`` names it in errors (see read_labels)."""
    if b"\r" in data:  # splitlines ends a line at CRLF and at a lone CR too
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data:
        return np.zeros(0, dtype=np.int64)
    text = np.frombuffer(data, dtype=np.uint8)
    end = np.flatnonzero(text == _NEWLINE)
    num_newlines = len(end)
    if text[-1] != _NEWLINE:
        end = np.append(end, len(text))
    start = np.concatenate(([0], end[:-1] + 1))
    negative = text[start] == _MINUS
    width = end - start - negative
    # Unsigned arithmetic sends every byte below "0" beyond 9 as well.
    num_digits = np.count_nonzero((text - np.uint8(_ZERO)) < 10)
    others = len(text) - num_digits - num_newlines - np.count_nonzero(negative)
    if others or width.min() < 1 or width.max() > SAFE_DIGITS:
        return _parse_line_by_line(data, source)
    value = _sum_digits(text, end, width)
    return np.where(negative, -value, value) if negative.any() else value


def _sum_digits(
    text: npt.NDArray[np.uint8], end: npt.NDArray[np.int64], width: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Numbers whose ``width`` digits stop before ``end``: units of all lines, then tens of all, and so on."""
    value = (text[end - 1] - np.uint8(_ZERO)).astype(np.int64)
    for place in range(1, int(width.max())):
        digit = (text[end - 1 - place] - np.uint8(_ZERO)).astype(np.int64)
        value += np.where(width > place, digit * 10**place, 0)
    return value


def _parse_line_by_line(data: bytes, source: str) -> npt.NDArray[np.int64]:
    """The same, for files with anything beside digits, signs and newlines; finds the line that is wrong."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    limits = np.iinfo(np.int64)
    values = np.empty(len(lines), dtype=np.int64)
    for i, line in enumerate(lines):
        if INTEGER.fullmatch(line) is None:
            raise LabelTextError(source, i + 1, _kind(line), _shorten(line))
        number = int(line)
        if not limits.min <= number <= limits.max:
            raise LabelTextError(source, i + 1, "range", _shorten(line))
        values[i] = number
    return values


def _kind(line: bytes) -> str:
    if not line.strip():
        return "blank"
    if FLOAT.fullmatch(line):
        return "float"
    if INSTANCE.fullmatch(line):
        return "instance"
    words = [word for word in re.split(rb"[\s,;]+", line) if word]
    return "several" if len(words) > 1 and all(FLOAT.fullmatch(word) for word in words) else "text"


def _shorten(line: bytes, limit: int = 40) -> str:
    text = line[: limit + 1].decode("utf-8", errors="replace")
    return text if len(text) <= limit else text[:limit] + "..."


def format_labels(raw_ids: npt.ArrayLike) -> bytes:
    """(P,) integers -> the bytes of a label text file: decimal, each line ended by LF."""
    ids = np.asarray(raw_ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"Labels must be (P,) integers; got shape {ids.shape}, {ids.dtype}.")
    return b"".join(b"%d\n" % i for i in ids.tolist())


def parse_ranked(data: bytes, source: str, ranks: int) -> npt.NDArray[np.int64]:
    """(P, 1) or (P, ranks) integers: one on each line, or ``ranks`` with commas between them.

    Raises:
        LabelTextError: naming the first line that is neither, or has fewer numbers than the first one.
    """
    data = data.replace(b"\r\n", b"\n")
    commas = data.split(b"\n", 1)[0].count(b",")
    if not commas:
        return parse_labels(data, source)[:, None]
    text = np.frombuffer(data, dtype=np.uint8)
    ends = text[(text == ord(",")) | (text == _NEWLINE)]
    if not data.endswith(b"\n"):
        ends = np.append(ends, np.uint8(_NEWLINE))
    line = np.array([ord(",")] * (ranks - 1) + [_NEWLINE], dtype=np.uint8)
    whole = len(ends) // ranks * ranks
    if len(ends) != whole or not (ends.reshape(-1, ranks) == line).all():
        for number, found in enumerate(data.split(b"\n"), start=1):
            if found.count(b",") != ranks - 1:
                raise LabelTextError(source, number, "ranks" if found else "blank", _shorten(found))
    try:
        return parse_labels(data.replace(b",", b"\n"), source).reshape(-1, ranks)
    except LabelTextError as error:
        number = (error.line - 1) // ranks
        found = data.split(b"\n")[number]
        # A number that is missing between commas leaves no blank line.
        kind = "text" if error.kind == "blank" else error.kind
        raise LabelTextError(source, number + 1, kind, _shorten(found)) from None


def format_ranked(raw_ids: npt.NDArray[np.integer]) -> bytes:
    """(P, n) integers -> the bytes of a text, those of a row on a line with commas between them."""
    return b"".join(b",".join(b"%d" % i for i in row) + b"\n" for row in raw_ids.tolist())


def write_labels(path: Path, raw_ids: npt.ArrayLike) -> None:
    """Write (P,) raw ids as a label text file; the file is either whole or absent."""
    write_bytes(path, format_labels(raw_ids))
