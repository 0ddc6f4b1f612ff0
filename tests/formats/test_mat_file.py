"""Arrays of MATLAB files: what scipy writes is read, and no damaged file ends the process."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import savemat

from pointseg.formats.mat_file import read_mat

RNG = np.random.default_rng(0)
ARRAYS: dict[str, npt.NDArray[Any]] = {
    kind: RNG.integers(0, 100, (3, 5)).astype(kind)
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
}
ARRAYS |= {"one": np.array([[7]], np.uint8), "none": np.zeros((0, 4)), "deep": RNG.random((2, 3, 4))}


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_come_back_with_type_shape_and_order(tmp_path: Path, packed: bool) -> None:
    others = {"text": "abc", "cells": np.array([["a", 1]], object), "large": np.zeros((3000, 10))}
    savemat(tmp_path / "a.mat", {**others, **ARRAYS}, do_compression=packed)
    found = read_mat(tmp_path / "a.mat", [*ARRAYS, "absent"])
    assert set(found) == set(ARRAYS)
    for name, values in ARRAYS.items():
        assert found[name].dtype == values.dtype and np.array_equal(found[name], values), name


def matrix(name: bytes, shape: tuple[int, int], kind: int, numbers: bytes, order: str) -> bytes:
    """A double array whose numbers are stored as another type, as MATLAB itself does to save room."""

    def part(number: int, content: bytes) -> bytes:
        return struct.pack(f"{order}II", number, len(content)) + content + bytes(-len(content) % 8)

    content = part(6, struct.pack(f"{order}II", 6, 0)) + part(5, struct.pack(f"{order}2i", *shape))
    content += part(1, name) + part(kind, numbers)
    return part(14, content)


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_that_are_stored_in_a_smaller_type_are_doubles(tmp_path: Path, order: str) -> None:
    mark = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    array = matrix(b"mapClass", (2, 3), 2, bytes([1, 2, 3, 4, 5, 6]), order)
    for content in (array, struct.pack(f"{order}II", 15, len(zlib.compress(array))) + zlib.compress(array)):
        (tmp_path / "a.mat").write_bytes(b" " * 124 + mark + content)
        found = read_mat(tmp_path / "a.mat", ["mapClass"])["mapClass"]
        assert found.dtype == np.float64 and found.tolist() == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"MATLAB 5.0", "does not begin as files of version 5 do"),
        (b" " * 124 + b"\x00\x02IM", "version 7.3, which is HDF5"),
        (b" " * 124 + b"\x00\x01IM" + struct.pack("<II", 14, 1000), "claims 1,000 bytes, beyond the end"),
        (b" " * 124 + b"\x00\x01IM" + matrix(b"S", (2, 2), 2, b"abc", "<"), r"\(2, 2\), but holds 3"),
        (b" " * 124 + b"\x00\x01IM" + matrix(b"S", (-1, 2), 2, b"ab", "<"), r"\(-1, 2\), but holds 2"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.mat: cannot be read as a MATLAB file.*{said}"):
        read_mat(tmp_path / "a.mat", ["S"])


def test_a_variable_of_another_kind_is_named(tmp_path: Path) -> None:
    for value in ("text", np.array([[1 + 2j]]), np.array([["a", 1]], object)):
        savemat(tmp_path / "a.mat", {"S": value})
        with pytest.raises(ValueError, match="S is no array of real numbers"):
            read_mat(tmp_path / "a.mat", ["S"])


@pytest.mark.parametrize("packed", [False, True])
def test_flipped_bytes_are_read_or_named(tmp_path: Path, packed: bool) -> None:
    savemat(tmp_path / "a.mat", {"S": ARRAYS["u2"], "T": ARRAYS["f8"]}, do_compression=packed)
    original = (tmp_path / "a.mat").read_bytes()
    for place in range(120, len(original)):
        for value in (0, 255, original[place] ^ 1):
            (tmp_path / "a.mat").write_bytes(original[:place] + bytes([value]) + original[place + 1 :])
            try:
                read_mat(tmp_path / "a.mat", ["S", "T"])
            except ValueError as error:
                assert "a.mat: cannot be read" in str(error)
