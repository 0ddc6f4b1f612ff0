"""PCD: what is written in each encoding is read, and what is cut or damaged is named."""

from pathlib import Path

import numpy as np
import pytest

from pointseg.formats.clouds import read_cloud
from pointseg.formats.pcd import _lzf

RNG = np.random.default_rng(0)
COUNT = 50
XYZ = RNG.normal(size=(COUNT, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (COUNT, 3), dtype=np.uint8)
LABEL = RNG.integers(0, 9, COUNT, dtype=np.uint32)
PACKED = (RGB[:, 0].astype(np.uint32) << 16) | (RGB[:, 1].astype(np.uint32) << 8) | RGB[:, 2]
HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z rgb label _ histogram
SIZE 4 4 4 4 4 1 4
TYPE F F F F U U F
COUNT 1 1 1 1 1 4 2
WIDTH 50
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 50
DATA {}
"""
ROW = np.dtype([("xyz", "<f4", 3), ("rgb", "<u4"), ("label", "<u4"), ("_", "u1", 4), ("histogram", "<f4", 2)])


def literals(data: bytes) -> bytes:
    """LZF without a copy."""
    return b"".join(bytes([len(data[i : i + 32]) - 1]) + data[i : i + 32] for i in range(0, len(data), 32))


def content(encoding: str) -> bytes:
    head = HEADER.format(encoding).encode()
    rows = np.zeros(COUNT, dtype=ROW)
    rows["xyz"], rows["rgb"], rows["label"] = XYZ, PACKED, LABEL
    if encoding == "binary":
        return head + rows.tobytes()
    if encoding == "ascii":
        as_float = PACKED.view(np.float32)
        lines = [
            " ".join([*map(repr, [*XYZ[i].tolist(), float(as_float[i])]), str(LABEL[i]), "0 0 0 0 1 2"])
            for i in range(COUNT)
        ]
        return head + "\n".join(lines).encode()
    columns = [*XYZ.T, PACKED, LABEL, rows["_"], rows["histogram"]]
    whole = b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
    packed = literals(whole)
    return head + np.array([len(packed), len(whole)], dtype="<u4").tobytes() + packed


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_each_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.pcd").write_bytes(content(encoding))
    cloud = read_cloud(tmp_path / "a.pcd")
    assert np.array_equal(cloud.xyz, XYZ) and np.array_equal(cloud.label, LABEL)
    assert np.array_equal(cloud.rgb, RGB)
    bare = read_cloud(tmp_path / "a.pcd", want_labels=False)
    assert bare.label is None


def test_copies_of_lzf_may_reach_into_what_they_write() -> None:
    # Three literals, a copy of 8 bytes from 3 back, and a long one of 7 + 200 + 2 from 1 back.
    data = bytes([2]) + b"abc" + bytes([6 << 5, 2]) + bytes([7 << 5, 200, 0])
    assert _lzf(data, 3 + 8 + 209) == b"abcabcabcab" + b"b" * 209
    with pytest.raises(ValueError, match="damaged"):
        _lzf(bytes([1 << 5, 9]), 3)
    with pytest.raises(ValueError, match="damaged or cut"):
        _lzf(bytes([2]) + b"abc", 4)


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_a_cut_file_is_named(tmp_path: Path, encoding: str) -> None:
    whole = content(encoding)
    for share in (0.05, 0.3, 0.6, 0.95):
        (tmp_path / "a.pcd").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"a\.pcd: cannot be read as PCD"):
            read_cloud(tmp_path / "a.pcd")


def test_flipped_bytes_are_read_or_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for encoding in ("ascii", "binary", "binary_compressed"):
        whole = content(encoding)
        for at in rng.integers(0, len(whole), 150):
            changed = bytearray(whole)
            changed[at] ^= 1 << int(rng.integers(8))
            (tmp_path / "a.pcd").write_bytes(bytes(changed))
            try:
                read_cloud(tmp_path / "a.pcd")
            except ValueError as error:
                assert "a.pcd" in str(error)


def test_a_count_beyond_memory_allocates_nothing(tmp_path: Path) -> None:
    text = content("binary").replace(b"POINTS 50", b"POINTS 99999999999999")
    (tmp_path / "a.pcd").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.pcd: cannot be read as PCD: 99,999,999,999,999 points"):
        read_cloud(tmp_path / "a.pcd")
