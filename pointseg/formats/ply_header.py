"""Headers of PLY files: what they announce, held against the size of the file before anything is read."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

MAX_HEADER_BYTES = 1 << 20
_SIZES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}
_END = re.compile(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)")


@dataclass(frozen=True)
class PlyHeader:
    """What the header of a PLY file says.

    Args:
        is_text: whether the rows are ASCII text.
        num_rows: rows of all elements.
        min_bytes: size of the rows that cannot be undercut: a list takes at least its length.
        end: where the rows begin.
    """

    is_text: bool
    num_rows: int
    min_bytes: int
    end: int

    @classmethod
    def read(cls, path: Path) -> PlyHeader:
        """Parse as much of the header as its size needs; the rest is plyfile's.

        Raises:
            ValueError: if this is no PLY header, or it announces more rows than the file can hold.
        """
        with path.open("rb") as handle:
            start = handle.read(MAX_HEADER_BYTES)
        ending = _END.search(start)
        if not start.startswith(b"ply") or ending is None:
            raise ValueError("it has no PLY header that begins with 'ply' and ends with 'end_header'")
        lines = [line.split() for line in start[: ending.start()].splitlines()]
        is_text = any(words[:2] == [b"format", b"ascii"] for words in lines)
        num_rows = min_bytes = 0
        count, row = 0, 0
        for words in [*lines, [b"element", b"", b"0"]]:
            if words[:1] == [b"element"] and len(words) == 3 and words[2].isdigit():
                num_rows, min_bytes = num_rows + count, min_bytes + count * row
                count, row = int(words[2]), 0
            elif words[:1] == [b"property"] and len(words) > 2:
                kind = words[2] if words[1] == b"list" else words[1]
                # A number of a text takes a digit and what parts it from the next.
                row += 2 if is_text else _SIZES.get(kind.decode("ascii", "replace"), 1)
        # The last row of a text may lack its line end.
        header = cls(is_text, num_rows, min_bytes - is_text, ending.end())
        held = path.stat().st_size - header.end
        if header.min_bytes > held:
            raise ValueError(
                f"its header announces {num_rows:,} rows, which take at least {header.min_bytes:,} bytes, "
                f"but only {max(held, 0):,} follow. The file was cut, or its header is wrong"
            )
        return header

    def rest(self, path: Path, end: int | None) -> str | None:
        """What lies behind the announced rows, for people; None where nothing does.

        Args:
            path: the file.
            end: where reading of binary rows ended.
        """
        if self.is_text:
            with path.open("rb") as handle:
                handle.seek(self.end)
                extra = sum(1 for line in handle if line.strip()) - self.num_rows
            return f"{extra:,} more lines than its header announces were not read" if extra > 0 else None
        extra = path.stat().st_size - end if end is not None else 0
        # Some writers end the file with a newline.
        return f"{extra:,} bytes behind the announced rows were not read" if extra > 2 else None


class PlainHeaderFile(io.BufferedReader):
    """A PLY file whose header reads as ASCII: comments in other alphabets are for people.

    Args:
        path: the file.
        header: its header.
    """

    def __init__(self, path: Path, header: PlyHeader) -> None:
        super().__init__(io.FileIO(path))
        self._end = header.end

    def read(self, size: int | None = -1, /) -> bytes:
        place = self.tell()
        data = super().read(size)
        if place >= self._end:
            return data
        head = self._end - place
        return bytes(byte if byte < 128 else 63 for byte in data[:head]) + data[head:]
