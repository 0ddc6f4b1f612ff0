"""Clouds as people have them: each comes out right, or what is wrong is said and names the file."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pointseg.formats.cloud_doubts import doubts, voxel_doubts
from pointseg.formats.clouds import estimate_normals, read_cloud, to_local
from pointseg.formats.columns import colors_to_uint8
from pointseg.runs.origin import Origin
from pointseg.scans.file import read_cloud_file, read_for_network

laspy = pytest.importorskip("laspy")

RNG = np.random.default_rng(0)


def ply(
    path: Path, columns: dict[str, tuple[str, Any]], *, comment: bytes = b"x", count: int | None = None
) -> Path:
    """A binary cloud with these columns: name -> (PLY type, values)."""
    kinds = {"float": "<f4", "double": "<f8", "uchar": "u1", "char": "i1", "ushort": "<u2", "int": "<i4"}
    rows = len(next(iter(columns.values()))[1])
    block = np.empty(rows, [(name, kinds[kind]) for name, (kind, _) in columns.items()])
    for name, (_, values) in columns.items():
        block[name] = values
    head = b"ply\nformat binary_little_endian 1.0\ncomment " + comment + b"\n"
    head += f"element vertex {rows if count is None else count}\n".encode()
    head += "".join(f"property {kind} {name}\n" for name, (kind, _) in columns.items()).encode()
    path.write_bytes(head + b"end_header\n" + block.tobytes())
    return path


def xyz_columns(xyz: npt.NDArray[Any], kind: str = "float") -> dict[str, tuple[str, Any]]:
    return {axis: (kind, xyz[:, i]) for i, axis in enumerate("xyz")}


# Colours: the scale follows from most values, never from one.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32([[0.5, 0.2, 1.0], [0.5, 0.2, 1.0001]]), [128, 51, 255]),
        (
            np.float32([[0.5, 0.2, 1.0], [0.5, 0.2, 1.0], [7.5, 0.2, 0.2], *[[0.5, 0.2, 1.0]] * 9]),
            [128, 51, 255],
        ),
        (np.float64([[0.5, 0.2, 1.0], [-0.003, 0.2, 0.4]]), [128, 51, 255]),
        (np.float32([[128, 51, 255], [128, 51, 255.4]]), [128, 51, 255]),
        (np.float32([[128, 51, 255], [0, 1, 0]]), [128, 51, 255]),
        (np.uint16([[128, 51, 255], [0, 51, 255]]), [128, 51, 255]),
        (np.uint16([[128, 51, 255], *[[0, 51, 255]] * 9, [0, 51, 256]]), [128, 51, 255]),
        (np.uint16([[128 * 257, 51 * 257, 65535], [0, 0, 100]]), [128, 51, 255]),
        (np.uint8([[128, 51, 255]]).view(np.int8), [128, 51, 255]),
    ],
)
def test_colours_of_every_scale_become_bytes(given: npt.NDArray[Any], expected: list[int]) -> None:
    assert colors_to_uint8(given)[0][0].tolist() == expected


def test_colours_that_are_cut_off_are_said() -> None:
    assert (
        "1 of 6 colour values lie outside 0..1"
        in colors_to_uint8(np.float32([[0.5] * 3, [0.5, 0.5, 1.01]]))[1][0]
    )


@pytest.mark.parametrize("values", [[-1.0, 0.5, 1.0], [np.nan, 0.5, 1.0], [3e5, 4e5, 5e5]])
def test_colours_of_no_scale_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="its colours must"):
        colors_to_uint8(np.array([values] * 4))


@pytest.mark.parametrize(
    "names",
    [
        ("Red", "Green", "Blue"),
        ("RED", "GREEN", "BLUE"),
        ("r", "g", "b"),
        ("R", "G", "B"),
        ("diffuse_Red", "diffuse_Green", "diffuse_Blue"),
        ("scalar_R", "scalar_G", "scalar_B"),
        ("vertex_red", "vertex_green", "vertex_blue"),
    ],
)
def test_colours_are_found_under_their_other_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    colors = {name: ("uchar", [10 * i, 20]) for i, name in enumerate(names)}
    cloud = read_cloud(ply(tmp_path / "a.ply", {**xyz_columns(np.zeros((2, 3))), **colors}))
    assert cloud.rgb is not None and cloud.rgb[0].tolist() == [0, 10, 20]
    np.savez(tmp_path / "a.npz", xyz=np.zeros((2, 3)), **{name: np.uint8(c[1]) for name, c in colors.items()})
    of_npz = read_cloud(tmp_path / "a.npz").rgb
    assert of_npz is not None and of_npz.tolist() == cloud.rgb.tolist()


def test_colours_packed_into_one_number_are_unpacked(tmp_path: Path) -> None:
    packed = np.array([0x0A141E], np.uint32).view(np.float32)
    cloud = read_cloud(ply(tmp_path / "a.ply", {**xyz_columns(np.zeros((1, 3))), "rgb": ("float", packed)}))
    assert cloud.rgb is not None and cloud.rgb.tolist() == [[10, 20, 30]]


def test_positions_and_normals_in_capitals_are_found(tmp_path: Path) -> None:
    columns = {name: ("float", [1.0]) for name in ("X", "Y", "Z", "Nx", "Ny", "Nz")}
    cloud = read_cloud(ply(tmp_path / "a.ply", columns))
    assert cloud.xyz.tolist() == [[1, 1, 1]] and cloud.normal is not None


def test_what_a_network_will_miss_is_said_with_what_the_file_has(tmp_path: Path) -> None:
    columns = {**xyz_columns(RNG.random((60, 3))), "Rot": ("uchar", np.ones(60))}
    file = read_for_network(ply(tmp_path / "a.ply", columns), ["color", "normal"], 0.1)
    assert "trained with colours and the file has none (beside positions it has Rot)" in " ".join(
        file.remarks
    )
    # That normals were made is no doubt where those of the training were made alike.
    for guesses, doubted in ((("normals",), False), ((), True)):
        said = " ".join(Origin("", guesses=guesses).doubts_about_file(file))
        assert ("their orientation is a guess" in said) == doubted
    assert read_for_network(tmp_path / "a.ply", ["height"], 0.1).remarks == ()


def test_one_colour_for_all_is_said_where_the_network_saw_colours(tmp_path: Path) -> None:
    def remarks(color: npt.NDArray[Any], features: list[str]) -> str:
        columns = {**xyz_columns(RNG.random((60, 3))), "red": ("uchar", color)}
        columns |= {"green": ("uchar", np.full(60, 128)), "blue": ("uchar", np.full(60, 128))}
        return " ".join(read_for_network(ply(tmp_path / "a.ply", columns), features, 0.1).remarks)

    grey, noisy = np.full(60, 128), np.full(60, 128)
    noisy[30] = 129
    assert "all points have one colour, so that the network sees none" in remarks(grey, ["color", "height"])
    assert "one colour" not in remarks(grey, ["height"]) + remarks(noisy, ["color"])


# Map coordinates keep their digits.


def utm(count: int = 300) -> npt.NDArray[np.float64]:
    return RNG.uniform(0, 4, (count, 3)) + np.array([652_000.25, 6_862_000.5, 120.0])


@pytest.mark.parametrize("stray", [(0, 0, 0), (1e7, 1e7, 0), (652_000, 6_862_000, -99_999), (-1e9, 0, 1e9)])
def test_a_stray_point_costs_the_others_no_digit_and_is_said(
    tmp_path: Path, stray: tuple[float, ...]
) -> None:
    xyz = np.vstack([utm(), [stray]])
    np.savez(tmp_path / "a.npz", xyz=xyz)
    file = read_cloud_file(tmp_path / "a.npz")
    back = file.scene.xyz_m[:-1].astype(np.float64) + file.scene.offset_m
    np.testing.assert_allclose(back, xyz[:-1], atol=1e-3)
    assert "1 of 301 points lie far from all others (first: point 300" in file.remarks[0]
    assert np.array_equal(file.written_xyz, xyz)


def test_the_offset_is_the_one_of_whole_metres_as_before() -> None:
    assert to_local(np.array([[652_123.9, 6_862_000.1, 5.0], [652_124, 6_862_001, 6]]))[1] == (
        652_123,
        6_862_000,
        0,
    )


def test_map_coordinates_that_lost_their_digits_are_said() -> None:
    assert "single precision, in steps of 0.5" in doubts(utm().astype(np.float32).astype(np.float64))[0]
    assert doubts(utm()) == []


def test_missing_returns_at_the_origin_are_said_and_cost_no_time() -> None:
    xyz = np.vstack([RNG.uniform(1, 4, (500, 3)) * (1, 1, 0), np.zeros((20_000, 3))])
    assert "20,000 of 20,500 points lie at exactly 0, 0, 0" in " ".join(doubts(xyz))
    normal = estimate_normals(xyz)
    np.testing.assert_allclose(normal[:500], [[0, 0, 1]] * 500, atol=1e-6)


# Units.

ROOM = RNG.random((400, 3)) * (3, 3, 2)


@pytest.mark.parametrize(
    ("xyz", "said"),
    [
        (ROOM * 1000, "if it is millimetres"),
        (ROOM * 100, "if it is millimetres, centimetres"),
        (ROOM / (73_000, 111_000, 1) + (11.57, 48.137, 520), "degrees of longitude and latitude"),
        (ROOM / 1000, "the cloud spans 0.00"),
    ],
)
def test_units_other_than_metres_are_said(xyz: npt.NDArray[Any], said: str) -> None:
    assert said in " ".join(doubts(xyz))


@pytest.mark.parametrize(
    "xyz",
    [
        ROOM,
        ROOM * (30, 30, 4),
        ROOM * (300, 300, 40),
        ROOM + np.array([652_000, 6_862_000, 500]),
        ROOM[:1],
        ROOM * 0.2,
    ],
)
def test_honest_metres_raise_no_doubt(xyz: npt.NDArray[Any]) -> None:
    assert doubts(xyz) == []


def test_a_cloud_that_its_voxels_do_not_fit_is_said() -> None:
    assert "fall into" in voxel_doubts(ROOM, 5.0)[0]
    assert "neighbouring points lie" in voxel_doubts(ROOM * 1000, 0.02)[0]
    assert voxel_doubts(ROOM, 0.3) == []


def test_the_unit_can_be_given_and_the_output_keeps_the_files_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "mm.npz", xyz=ROOM * 1000)
    file = read_cloud_file(tmp_path / "mm.npz", unit="mm")
    np.testing.assert_allclose(file.scene.xyz_m, ROOM, atol=1e-5)
    assert np.array_equal(file.xyz, ROOM * 1000) and not any("high if" in line for line in file.remarks)


# LAS and LAZ.


def las(path: Path, xyz: npt.NDArray[Any], *, wkt: str = "", keys: list[int] | None = None) -> Path:
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales, header.offsets = (
        [1e-7 if np.abs(xyz).max() < 100 else 0.001] * 3,
        np.floor(xyz.min(axis=0)),
    )
    if wkt:
        header.vlrs.append(laspy.VLR("LASF_Projection", 2112, "", wkt.encode() + b"\0"))
    if keys:
        header.vlrs.append(laspy.VLR("LASF_Projection", 34735, "", struct.pack(f"<{len(keys)}H", *keys)))
    data = laspy.LasData(header)
    data.x, data.y, data.z = xyz.T
    data.classification = np.arange(len(xyz)).astype(np.uint8) % 3
    data.write(path)
    return path


FEET_WKT = (
    'COMPD_CS["x",PROJCS["NAD83 / Ohio",GEOGCS["NAD83",UNIT["degree",0.0174532925199433]],PROJECTION["L"],'
    'UNIT["US survey foot",0.304800609601219]],VERT_CS["NAVD88",UNIT["metre",1]]]'
)


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        ({"wkt": FEET_WKT}, (1200 / 3937, 1200 / 3937, 1.0)),
        ({"keys": [1, 1, 0, 2, 1024, 0, 1, 1, 3076, 0, 1, 9002]}, (0.3048,) * 3),
        (
            {"keys": [1, 1, 0, 3, 1024, 0, 1, 1, 3076, 0, 1, 9003, 4099, 0, 1, 9001]},
            (1200 / 3937, 1200 / 3937, 1),
        ),
        ({"keys": [1, 1, 0, 2, 1024, 0, 1, 1, 3076, 0, 1, 9001]}, (1.0,) * 3),
        ({}, (1.0,) * 3),
    ],
)
def test_the_unit_of_a_las_header_is_applied(
    tmp_path: Path, options: Any, factors: tuple[float, ...]
) -> None:
    file = read_cloud_file(las(tmp_path / "a.las", ROOM * 10, **options))
    np.testing.assert_allclose(file.scene.xyz_m, ROOM * 10 * factors, atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [{"keys": [1, 1, 0, 1, 1024, 0, 1, 2]}, {"wkt": 'GEOGCS["WGS 84",UNIT["degree",0.0174532925199433]]'}],
)
def test_a_las_file_in_degrees_is_refused(tmp_path: Path, options: Any) -> None:
    with pytest.raises(ValueError, match=r"a\.las: .*x and y are degrees"):
        read_cloud(las(tmp_path / "a.las", ROOM, **options))


def test_a_las_file_cut_at_a_record_is_named(tmp_path: Path) -> None:
    path = las(tmp_path / "a.las", ROOM)
    path.write_bytes(path.read_bytes()[: -100 * 36])
    with pytest.raises(ValueError, match=r"a\.las: .*announces 400 points, but the file ends after 300"):
        read_cloud(path)


@pytest.mark.parametrize(
    ("announced", "said"), [(300, "100 more points than its header"), (0, "announces no point")]
)
def test_a_las_header_that_announces_too_few_is_said(tmp_path: Path, announced: int, said: str) -> None:
    path = las(tmp_path / "a.las", ROOM)
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 247, announced)
    path.write_bytes(data)
    try:
        told = " ".join(read_cloud(path).remarks)
    except ValueError as error:
        told = str(error)
    assert said in told


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
def test_a_las_header_that_claims_billions_allocates_nothing(tmp_path: Path, name: str) -> None:
    path = las(tmp_path / name, ROOM)
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 247, 4_000_000_000)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{name}: .*4,000,000,000 points"):
        read_cloud(path)


def test_laz_gives_what_las_gives(tmp_path: Path) -> None:
    plain, packed = (read_cloud(las(tmp_path / name, ROOM)) for name in ("a.las", "a.laz"))
    assert np.array_equal(plain.xyz, packed.xyz)
    assert plain.label is not None and packed.label is not None
    assert np.array_equal(plain.label, packed.label)


@pytest.mark.parametrize("damage", ["table", "points", "cut", "count"])
def test_a_damaged_laz_is_named_whatever_its_decoder_does(tmp_path: Path, damage: str) -> None:
    path = las(tmp_path / "a.laz", ROOM)
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", data, 96)[0]
    table = struct.unpack_from("<q", data, start)[0]
    if damage == "table":
        data[table + 8 :] = b"\xff" * (len(data) - table - 8)
    elif damage == "points":
        data[start + 50 : table] = bytes(len(data[start + 50 : table]))
    elif damage == "cut":
        data = data[: start + (len(data) - start) // 3]
    else:
        struct.pack_into("<Q", data, 247, 500)
    path.write_bytes(data)
    if damage == "points":
        # Zeros decode to other points, which nothing can tell; what counts is that this process lives on.
        try:
            read_cloud(path)
        except ValueError as error:
            assert "a.laz" in str(error)
        return
    with pytest.raises(ValueError, match=r"a\.laz: cannot be read as LAS/LAZ"):
        read_cloud(path)


# PLY and NPZ: complete or refused.


def test_a_ply_header_in_another_alphabet_is_for_people(tmp_path: Path) -> None:
    for name, comment in (("utf8", "05/12/2023 11:02 \u03bc\u03bc".encode()), ("cp1253", b"11:02 \xec\xec")):
        cloud = read_cloud(ply(tmp_path / f"{name}.ply", xyz_columns(ROOM, "double"), comment=comment))
        assert np.array_equal(cloud.xyz, ROOM)
    (tmp_path / "a.ply").write_bytes(
        b"ply\nformat ascii 1.0\ncomment \xec\xec\nelement vertex 1\nproperty float x\nproperty float y\n"
        b"property float z\nend_header\n1 2 3\n"
    )
    assert read_cloud(tmp_path / "a.ply").xyz.tolist() == [[1, 2, 3]]


def test_a_ply_header_that_claims_too_much_allocates_nothing(tmp_path: Path) -> None:
    path = ply(tmp_path / "a.ply", xyz_columns(ROOM), count=10**12)
    with pytest.raises(ValueError, match=r"a\.ply: .*announces 1,000,000,000,000 rows"):
        read_cloud(path)


def test_a_ply_header_that_announces_too_few_is_said(tmp_path: Path) -> None:
    remarks = read_cloud(ply(tmp_path / "a.ply", xyz_columns(ROOM), count=300)).remarks
    assert remarks == ("1,200 bytes behind the announced rows were not read",)


def test_an_npz_header_that_claims_too_much_allocates_nothing(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("xyz.npy", head.getvalue() + bytes(100))
    with pytest.raises(ValueError, match=r"a\.npz: .*announces shape"):
        read_cloud(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", ["ply", "npz", "las", "laz"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        (b"<!DOCTYPE html><html>log in</html>", "a web page"),
        (b"\x00" * 300, ""),
        (b"\xff" * 300, ""),
    ],
)
def test_what_was_not_downloaded_is_told_from_a_cloud(
    tmp_path: Path, suffix: str, content: bytes, said: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.{suffix}: cannot be read as .*{said}"):
        read_cloud(path)


def test_labels_that_are_not_wanted_may_be_anything(tmp_path: Path) -> None:
    path = ply(tmp_path / "a.ply", {**xyz_columns(ROOM), "scalar_Label": ("float", np.full(400, np.nan))})
    assert read_for_network(path, ["height"], 0.3).scene.raw_label is None
    with pytest.raises(ValueError, match="its label must be whole numbers"):
        read_cloud(path)
