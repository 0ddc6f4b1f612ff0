"""Headers of LAS files, held against the size of the file before any library follows what they announce.

Source: LAS 1.4 R15, 2.4 (public header block) and 2.5 (variable length records).
"""

from __future__ import annotations

import struct
from pathlib import Path

#: The shortest header that a file may have, and the places of what is looked at in it.
_MIN_BYTES = 227
_SIGNATURE, _VERSION, _SIZES, _FORMAT, _SCALES, _EVLRS = 0, 24, 94, 104, 131, 235
#: Heads of a variable length record and of an extended one, in bytes.
_VLR_BYTES, _EVLR_BYTES = 54, 60
_LAST_FORMAT = 10


def check_las_header(path: Path) -> None:
    """Refuse a header that cannot be true: a count of records beyond the file keeps a reader busy for hours.

    Raises:
        ValueError: saying what is wrong with it.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(375)
    if head[_SIGNATURE : _SIGNATURE + 4] != b"LASF":
        raise ValueError("it does not begin with LASF, as every LAS and LAZ file does")
    if len(head) < _MIN_BYTES:
        raise ValueError(f"it ends after {size:,} bytes, within its header; it was cut")
    version = head[_VERSION], head[_VERSION + 1]
    if version[0] != 1 or version[1] > 4:
        raise ValueError(f"it is of version {version[0]}.{version[1]}; 1.0 to 1.4 are read")
    header_bytes, points_at, num_records = struct.unpack_from("<HII", head, _SIZES)
    if header_bytes + _VLR_BYTES * num_records > min(points_at, size):
        raise ValueError(
            f"its header announces {num_records:,} records before the points at byte {points_at:,} of "
            f"{size:,}, where they have no room; it is damaged or was cut"
        )
    # The two highest bits say that the points are compressed.
    kind, (row,) = head[_FORMAT] & 0x3F, struct.unpack_from("<H", head, _FORMAT + 1)
    if kind > _LAST_FORMAT or row == 0:
        raise ValueError(
            f"its header announces point format {kind} of {row} bytes; 0 to {_LAST_FORMAT} exist"
        )
    scales = struct.unpack_from("<3d", head, _SCALES)
    if not all(abs(scale) > 0 for scale in scales):
        raise ValueError(f"its scales are {', '.join(map(str, scales))}; with 0 all points are in one place")
    if version[1] == 4 and header_bytes >= 375 and len(head) >= _EVLRS + 12:
        start, num_extended = struct.unpack_from("<QI", head, _EVLRS)
        if num_extended and start + _EVLR_BYTES * num_extended > size:
            raise ValueError(
                f"its header announces {num_extended:,} records behind the points, at byte {start:,}, but "
                f"the file ends after {size:,}; it was cut"
            )


def variable_length_records(path: Path) -> list[tuple[str, int, str, bytes]]:
    """User, number, description and content of each record before the points, as they stand in the file.

    For files whose header has been checked.
    """
    found = []
    with path.open("rb") as handle:
        header_bytes, _, num_records = struct.unpack_from("<HII", handle.read(_MIN_BYTES), _SIZES)
        handle.seek(header_bytes)
        for _ in range(num_records):
            _, user, number, length, text = struct.unpack("<H16sHH32s", handle.read(_VLR_BYTES))
            found.append((_until_zero(user), number, _until_zero(text), handle.read(length)))
    return found


def _until_zero(text: bytes) -> str:
    return text.partition(b"\0")[0].decode("ascii", "replace").replace("\ufffd", "?")
