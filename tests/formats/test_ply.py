"""Reading and writing PLY files."""

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from pointseg.formats.ply import read_ply, vertex_normals, write_ply, write_scannet_mesh

XYZ = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
RGBA = np.arange(16, dtype=np.uint8).reshape(4, 4)


def ascii_ply(path: Path, properties: str, rows: list[str], faces: list[str] | None = None) -> Path:
    header = [f"property {p}" for p in properties.split(", ")]
    lines = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *header]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_index"]
    path.write_text("\n".join([*lines, "end_header", *rows, *(faces or [])]) + "\n")
    return path


def test_confidence_and_comment_are_written_and_doubles_stay(tmp_path: Path) -> None:
    confidence = np.array([0.5, 0.25, 1, 0])
    write_ply(tmp_path / "a.ply", XYZ.astype(np.float64), confidence=confidence, comment="by hand")
    header, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert b"comment by hand\n" in header and b"property double x" in header
    assert b"property float confidence" in header and len(body) == 4 * (3 * 8 + 4)
    assert PlyData.read(str(tmp_path / "a.ply"))["vertex"]["confidence"].tolist() == confidence.tolist()
    write_ply(tmp_path / "b.ply", XYZ)
    assert b"comment pointseg\n" in (tmp_path / "b.ply").read_bytes()


def test_of_several_names_the_first_counts(tmp_path: Path) -> None:
    names = ("label", "labels", "scalar_Label", "class")
    properties = ", ".join(["float x", "float y", "float z", *(f"int {name}" for name in reversed(names))])
    path = ascii_ply(tmp_path / "a.ply", properties, ["0 0 0 4 3 2 1"])
    label = read_ply(path).label
    assert label is not None and label.tolist() == [1]
    label = read_ply(path, label_name="class").label
    assert label is not None and label.tolist() == [4]
    assert read_ply(path, label_name="other").label is None


def test_faces_may_use_every_vertex_and_no_other(tmp_path: Path) -> None:
    rows = ["0 0 0", "1 0 0", "1 1 0"]
    faces = read_ply(ascii_ply(tmp_path / "a.ply", "float x, float y, float z", rows, ["3 2 1 0"])).faces
    assert faces is not None and faces.tolist() == [[2, 1, 0]] and faces.dtype == np.int32
    for wrong in ("3 0 1 3", "3 0 1 -1"):
        with pytest.raises(ValueError, match="but there are 3 vertices"):
            read_ply(ascii_ply(tmp_path / "b.ply", "float x, float y, float z", rows, [wrong]))


def test_a_written_cloud_reads_back_equal_in_every_column(tmp_path: Path) -> None:
    label = np.array([0, 1191, -1, 70000])
    normal = np.roll(XYZ, 1, axis=1)
    write_ply(
        tmp_path / "a.ply", XYZ, rgb=RGBA[:, :3], normal=normal, label=label, instance=label, faces=FACES
    )
    cloud = read_ply(tmp_path / "a.ply")
    assert cloud.rgb is not None and cloud.normal is not None and cloud.faces is not None
    assert cloud.label is not None and cloud.instance is not None
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGBA[:, :3])
    np.testing.assert_array_equal(cloud.normal, normal)
    np.testing.assert_array_equal(cloud.label, label)
    np.testing.assert_array_equal(cloud.instance, label)
    np.testing.assert_array_equal(cloud.faces, FACES)
    assert cloud.xyz.dtype == np.float32 and cloud.label.dtype == np.int32


def test_a_cloud_of_positions_alone_has_no_other_column(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", XYZ)
    cloud = read_ply(tmp_path / "a.ply")
    assert (cloud.rgb, cloud.normal, cloud.label, cloud.instance, cloud.faces) == (None,) * 5


def test_map_coordinates_keep_their_centimetres_when_read_as_doubles(tmp_path: Path) -> None:
    utm = np.array([[652_123.01, 6_862_000.02, 35.0], [652_123.04, 6_862_000.05, 35.1]])
    write_ply(tmp_path / "a.ply", utm)
    np.testing.assert_array_equal(read_ply(tmp_path / "a.ply", double=True).xyz, utm)


def test_a_scannet_mesh_has_the_header_and_the_sixteen_bytes_a_vertex_of_the_original(tmp_path: Path) -> None:
    write_scannet_mesh(tmp_path / "m.ply", XYZ, RGBA, FACES)
    header, _, body = (tmp_path / "m.ply").read_bytes().partition(b"end_header\n")
    assert header.decode() == (
        "ply\nformat binary_little_endian 1.0\ncomment VCGLIB generated\nelement vertex 4\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty uchar alpha\n"
        "element face 2\nproperty list uchar int vertex_indices\n"
    )
    assert len(body) == 16 * 4 + 13 * 2
    assert body[16:28] == XYZ[1].tobytes() and body[28:32] == bytes([4, 5, 6, 7])
    assert body[64:77] == bytes([3]) + FACES[0].astype("<i4").tobytes()


def test_a_scannet_labels_file_ends_each_of_its_eighteen_bytes_with_the_label(tmp_path: Path) -> None:
    write_scannet_mesh(tmp_path / "m.ply", XYZ, RGBA, FACES, np.array([1, 40, 0, 149], dtype=np.uint16))
    header, _, body = (tmp_path / "m.ply").read_bytes().partition(b"end_header\n")
    assert b"comment MLIB generated" in header and b"alpha\nproperty ushort label\nelement" in header
    assert len(body) == 18 * 4 + 13 * 2 and body[16:18] == b"\x01\x00" and body[70:72] == b"\x95\x00"


def test_an_ascii_cloud_with_cloudcompare_names_is_understood(tmp_path: Path) -> None:
    rows = ["0 0 0 10 20 30 5.000000", "1 2 3 40 50 60 -1.000000"]
    path = ascii_ply(
        tmp_path / "a.ply",
        "double x, double y, double z, uchar r, uchar g, uchar b, float scalar_Label",
        rows,
    )
    cloud = read_ply(path)
    assert cloud.label is not None and cloud.rgb is not None
    assert cloud.label.tolist() == [5, -1] and cloud.rgb.tolist() == [[10, 20, 30], [40, 50, 60]]


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4"])
def test_labels_of_every_integer_type_are_read(tmp_path: Path, kind: str) -> None:
    vertex = np.zeros(2, dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", kind)])
    vertex["label"] = [3, 100]
    PlyData([PlyElement.describe(vertex, "vertex")], byte_order=">").write(str(tmp_path / "a.ply"))
    label = read_ply(tmp_path / "a.ply").label
    assert label is not None and label.tolist() == [3, 100]


def test_labels_with_fractions_are_refused(tmp_path: Path) -> None:
    path = ascii_ply(tmp_path / "a.ply", "float x, float y, float z, float label", ["0 0 0 1.5"])
    with pytest.raises(ValueError, match=r"a\.ply.*whole numbers"):
        read_ply(path)


def test_float_colours_between_zero_and_one_become_bytes(tmp_path: Path) -> None:
    path = ascii_ply(
        tmp_path / "a.ply",
        "float x, float y, float z, float red, float green, float blue",
        ["0 0 0 0 0.5 1"],
    )
    rgb = read_ply(path).rgb
    assert rgb is not None and rgb.tolist() == [[0, 128, 255]]


def test_a_polygon_becomes_a_fan_of_triangles(tmp_path: Path) -> None:
    rows = ["0 0 0", "1 0 0", "1 1 0", "0 1 0"]
    path = ascii_ply(tmp_path / "a.ply", "float x, float y, float z", rows, ["4 0 1 2 3"])
    faces = read_ply(path).faces
    assert faces is not None and faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_binary_quads_and_triangles_mix(tmp_path: Path) -> None:
    vertex = np.zeros(4, dtype=[("x", "f4"), ("y", "f4"), ("z", "f4")])
    face = np.empty(2, dtype=[("vertex_indices", object)])
    face["vertex_indices"] = [np.array([0, 1, 2, 3], "i4"), np.array([3, 2, 1], "i4")]
    elements = [PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")]
    PlyData(elements).write(str(tmp_path / "a.ply"))
    faces = read_ply(tmp_path / "a.ply").faces
    assert faces is not None and faces.tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]


def test_an_empty_face_element_means_no_faces(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", XYZ, faces=np.empty((0, 3), dtype=np.int32))
    assert read_ply(tmp_path / "a.ply").faces is None


@pytest.mark.parametrize("keep", [3, 60, 230, 260, 310])
def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    write_scannet_mesh(tmp_path / "whole.ply", XYZ, RGBA, FACES)
    whole = (tmp_path / "whole.ply").read_bytes()
    assert keep < len(whole)
    (tmp_path / "cut.ply").write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=r"cut\.ply: cannot be read as PLY"):
        read_ply(tmp_path / "cut.ply")


@pytest.mark.parametrize("content", [b"", b"solid stl\n", b"\xff\xfe\x00\x01", b"ply\nformat ascii 1.0\n"])
def test_a_file_that_is_no_ply_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.ply").write_bytes(content)
    with pytest.raises(ValueError, match=r"no\.ply"):
        read_ply(tmp_path / "no.ply")


def test_text_where_numbers_belong_is_refused_by_name(tmp_path: Path) -> None:
    path = ascii_ply(tmp_path / "a.ply", "float x, float y, float z", ["0 0 zero"])
    with pytest.raises(ValueError, match=r"a\.ply.*malformed"):
        read_ply(path)


def test_a_cloud_without_height_is_refused(tmp_path: Path) -> None:
    path = ascii_ply(tmp_path / "a.ply", "float x, float y", ["0 0"])
    with pytest.raises(ValueError, match="no property z"):
        read_ply(path)


def test_faces_beyond_the_vertices_are_refused(tmp_path: Path) -> None:
    write_scannet_mesh(tmp_path / "m.ply", XYZ, RGBA, FACES + 2)
    with pytest.raises(ValueError, match=r"vertices 2\.\.5, but there are 4"):
        read_ply(tmp_path / "m.ply")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.ply"):
        read_ply(tmp_path / "none.ply")


def test_columns_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"label must have shape \(4,\); got \(3,\)"):
        write_ply(tmp_path / "a.ply", XYZ, label=np.zeros(3, dtype=np.int32))


def test_vertex_normals_weigh_faces_by_area() -> None:
    # A floor triangle of area 2 and a wall triangle of area 1/2 share the edge from vertex 0 to vertex 1.
    xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 4, 0], [0, 0, 1], [9, 9, 9]], dtype=np.float32)
    normal = vertex_normals(xyz, np.array([[0, 1, 2], [1, 0, 3]]))
    np.testing.assert_allclose(normal[2], [0, 0, 1])
    np.testing.assert_allclose(normal[3], [0, 1, 0])
    np.testing.assert_allclose(normal[0], np.array([0, 1, 4]) / np.sqrt(17), rtol=1e-6)


def test_vertices_without_a_face_have_a_zero_normal() -> None:
    normal = vertex_normals(XYZ, np.array([[0, 1, 1]]))
    assert normal.dtype == np.float32 and not normal.any()


def test_vertex_normals_equal_the_sum_over_a_plain_loop() -> None:
    generator = np.random.default_rng(0)
    xyz = generator.normal(size=(12, 3)).astype(np.float32)
    faces = np.array([generator.permutation(12)[:3] for _ in range(30)])
    slow = np.zeros((12, 3))
    for i, j, k in faces:
        for vertex in (i, j, k):
            slow[vertex] += np.cross(xyz[j] - xyz[i], xyz[k] - xyz[i])
    slow /= np.linalg.norm(slow, axis=1, keepdims=True)
    np.testing.assert_allclose(vertex_normals(xyz, faces), slow, atol=1e-5)


def test_polygons_without_an_area_are_no_faces(tmp_path: Path) -> None:
    header = ["ply", "format ascii 1.0", "element vertex 3", *(f"property float {axis}" for axis in "xyz")]
    header += ["element face 2", "property list uchar int vertex_indices", "end_header"]
    (tmp_path / "a.ply").write_text("\n".join([*header, "0 0 0", "1 0 0", "0 1 0", "2 0 1", "1 2"]) + "\n")
    assert read_ply(tmp_path / "a.ply").faces is None
