"""More clouds of other tools: what is wrong is said, and nothing waits for ever."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pointseg.formats.clouds import read_cloud
from pointseg.formats.columns import colors_to_uint8
from pointseg.formats.ply import write_ply
from pointseg.scans.file import read_cloud_file, read_for_network

laspy = pytest.importorskip("laspy")

RNG = np.random.default_rng(0)
ROOM = RNG.random((400, 3)) * (3, 3, 2)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "color",
    [RNG.standard_normal((400, 3)), RNG.random((400, 3)) * 2 - 1, RNG.random((400, 3)) * 3],
    ids=["standardised", "of a network", "overexposed"],
)
def test_colours_that_would_turn_black_are_refused(tmp_path: Path, color: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"a\.npz: .*its colours must lie in 0\.\.1, 0\.\.255 or 0\.\.65535"):
        read_cloud(saved(tmp_path / "a.npz", xyz=ROOM, rgb=color))


def test_colours_of_twelve_bits_are_said() -> None:
    dark = RNG.integers(0, 4096, (400, 3)).astype(np.uint16)
    assert "of 10 or 12 bits" in colors_to_uint8(dark)[1][0]
    assert colors_to_uint8(dark * 16)[1] == ()


def test_positions_in_half_precision_are_said(tmp_path: Path) -> None:
    cloud = read_cloud(saved(tmp_path / "a.npz", xyz=(ROOM * 30).astype(np.float16)))
    assert "half precision, in steps of up to 0.0625" in cloud.remarks[0]


def test_a_lone_array_is_told_how_to_be_saved(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, ROOM)
    with pytest.raises(ValueError, match=r"a\.npz: .*single array.*numpy\.savez"):
        read_cloud(tmp_path / "a.npz")


def test_positions_in_columns_are_told_to_be_transposed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.npz: .*its xyz must be numbers .*\(3, 400\); transpose it"):
        read_cloud(saved(tmp_path / "a.npz", xyz=ROOM.T))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_normals_that_are_none_are_said_and_made(tmp_path: Path, value: float) -> None:
    path = saved(tmp_path / "a.npz", xyz=ROOM * (1, 1, 0), normal=np.full((400, 3), value))
    file = read_for_network(path, ["normal"], 0.1)
    assert "400 of 400 normals are zero or NaN" in file.remarks and file.has_made_normals
    assert file.scene.normal is not None and np.allclose(file.scene.normal[0], (0, 0, 1))


def test_single_points_without_a_normal_are_no_fault(tmp_path: Path) -> None:
    normal = np.tile([0.0, 0, 1], (400, 1))
    normal[:5] = 0
    assert read_cloud_file(saved(tmp_path / "a.npz", xyz=ROOM, normal=normal)).remarks == ()


def test_an_empty_cloud_is_said(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", np.zeros((0, 3), np.float32))
    assert read_for_network(tmp_path / "a.ply", ["color", "normal"], 0.1).remarks == (
        "it has no point; was it written to its end?",
    )


def las(path: Path) -> bytearray:
    data = laspy.LasData(laspy.LasHeader(point_format=7, version="1.4"))
    data.x, data.y, data.z = ROOM.T
    data.write(path)
    return bytearray(path.read_bytes())


@pytest.mark.parametrize(
    ("place", "kind", "value", "said"),
    [
        (100, "<I", 10**9, "announces 1,000,000,000 records"),
        (96, "<I", 10**9, "ends after 0"),
        (104, "<B", 99 & 0x3F, "point format 35"),
        (105, "<H", 0, "of 0 bytes"),
        (131, "<d", 0.0, "its scales are 0.0"),
        (131, "<d", float("nan"), "its scales are nan"),
        (25, "<B", 9, "version 1.9"),
        (243, "<I", 10**9, "records behind the points"),
        (0, "<4s", b"LAS ", "does not begin with LASF"),
    ],
)
@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_a_las_header_that_cannot_be_true_is_named_at_once(
    tmp_path: Path, place: int, kind: str, value: Any, said: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    data = las(path)
    if place == 243:
        struct.pack_into("<Q", data, 235, len(data))
    if place == 104 and suffix == "laz":
        value |= 0x80
    struct.pack_into(kind, data, place, value)
    path.write_bytes(data)
    if (place, suffix) == (96, "laz"):
        said = "cannot hold"
    if place == 243:  # A count of extended records, not of points.
        struct.pack_into("<Q", data, 247, 400)
        path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.{suffix}: cannot be read as LAS/LAZ: .*{said}"):
        read_cloud(path)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["ply", "npz", "las", "laz"])
def test_a_file_cut_anywhere_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "ply":
        write_ply(path, ROOM.astype(np.float32))
    elif suffix == "npz":
        saved(path, xyz=ROOM)
    else:
        las(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"a\.{suffix}: cannot be read as"):
        read_cloud(path)


@pytest.mark.parametrize("name", ["a.ply", "a.npz", "a.las", "a.laz"])
@pytest.mark.parametrize("kind", ["ply", "npz", "gzip", "png", "pcd"])
def test_a_file_of_another_kind_is_told_what_it_is(tmp_path: Path, name: str, kind: str) -> None:
    if kind in name:
        pytest.skip("it is what it says")
    write_ply(tmp_path / "x.ply", ROOM.astype(np.float32))
    content, said = {
        "ply": ((tmp_path / "x.ply").read_bytes(), "a PLY file by its first bytes"),
        "npz": (saved(tmp_path / "x.npz", xyz=ROOM).read_bytes(), "an NPZ file or another ZIP"),
        "gzip": (gzip.compress((tmp_path / "x.ply").read_bytes()), "compressed with gzip"),
        "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image by its first bytes"),
        "pcd": (b"# .PCD v0.7\nVERSION 0.7\n", "a PCD file by its first bytes"),
    }[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: cannot be read as .*: it is {said}"):
        read_cloud(tmp_path / name)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_line_ends_of_every_system_are_read(tmp_path: Path, newline: bytes) -> None:
    lines = [
        *(b"ply", b"format ascii 1.0", b"element vertex 2", b"property float x", b"property float y"),
        *(b"property float z", b"end_header", b"1 2 3", b"4 5 6"),
    ]
    (tmp_path / "a.ply").write_bytes(newline.join(lines) + newline)
    assert read_cloud(tmp_path / "a.ply").xyz.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("row", [b"1,2,3", b"1,5 2,5 3,5", b"1 2", b"a b c"])
def test_rows_that_are_no_numbers_are_named(tmp_path: Path, row: bytes) -> None:
    head = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    (tmp_path / "a.ply").write_bytes(head + b"end_header\n" + row + b"\n")
    with pytest.raises(ValueError, match=r"a\.ply: cannot be read as PLY: "):
        read_cloud(tmp_path / "a.ply")
