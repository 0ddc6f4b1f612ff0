"""Clouds in NPZ and LAS files, map coordinates and estimated normals."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointseg.formats.clouds import estimate_normals, read_cloud, to_local
from pointseg.formats.ply import write_ply

XYZ = np.array([[0, 0, 0], [1, 2, 3]], dtype=np.float32)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_an_npz_with_positions_and_labels_is_a_cloud(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", xyz=XYZ, label=np.array([2, 67], np.uint16), intensity=np.zeros(2))
    cloud = read_cloud(path)
    assert cloud.label is not None and cloud.label.tolist() == [2, 67] and cloud.label.dtype == np.int32
    assert cloud.rgb is None and cloud.xyz.tolist() == XYZ.tolist()
    # Map coordinates have too many digits for float32.
    assert cloud.xyz.dtype == np.float64


def test_colours_normals_and_instances_of_an_npz_are_kept(tmp_path: Path) -> None:
    rgb, normal = np.array([[0, 128, 255]] * 2, np.uint8), np.array([[0, 0, 1.0]] * 2)
    cloud = read_cloud(save(tmp_path / "a.npz", xyz=XYZ, rgb=rgb, normal=normal, instance=np.array([7, -1])))
    assert cloud.rgb is not None and cloud.normal is not None and cloud.instance is not None
    assert cloud.rgb.tolist() == rgb.tolist() and cloud.normal.tolist() == normal.tolist()
    assert cloud.instance.tolist() == [7, -1] and cloud.label is None


def test_the_name_of_the_labels_can_be_given(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", xyz=XYZ, label=np.array([1, 1]), fine=np.array([5, 6]))
    label = read_cloud(path, label_name="fine").label
    assert label is not None and label.tolist() == [5, 6]
    assert read_cloud(path, label_name="coarse").label is None


def test_the_name_of_a_ply_property_can_be_given(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", XYZ, label=np.array([1, 1]), instance=np.array([5, 6]))
    label = read_cloud(tmp_path / "a.ply", label_name="instance_id").label
    assert label is not None and label.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": np.zeros(2, int)}, "it has no positions"),
        ({"xyz": XYZ[:, :2]}, r"its xyz must be numbers of shape \(2, 3\)"),
        ({"xyz": XYZ, "label": np.zeros(3, int)}, r"its label must be numbers of shape \(2,\)"),
        ({"xyz": XYZ, "label": np.array([0.5, 1])}, "its label must be whole numbers"),
        ({"xyz": XYZ, "rgb": np.full((2, 3), -1)}, "its colours must lie in"),
        ({"xyz": np.float32(1)}, r"its xyz must be numbers of shape \(0, 3\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
        read_cloud(save(tmp_path / "a.npz", **arrays))


def test_an_npz_that_is_cut_is_refused_by_name(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.npz", xyz=XYZ).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.npz: cannot be read as NPZ"):
        read_cloud(tmp_path / "cut.npz")


def test_a_lone_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", XYZ)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a\.npz: cannot be read as NPZ"):
        read_cloud(tmp_path / "a.npz")


def test_pickles_inside_an_npz_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", xyz=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz: cannot be read as NPZ"):
        read_cloud(path)


def test_an_unknown_suffix_is_answered_with_those_that_work(tmp_path: Path) -> None:
    (tmp_path / "a.e57").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"cannot read \.e57; can .*\.laz"):
        read_cloud(tmp_path / "a.e57")


def write_las(path: Path, xyz: Any, labels: list[int], rgb: Any = None) -> Path:
    laspy = pytest.importorskip("laspy", reason="laspy is an optional dependency (extra 'las')")
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.offsets, header.scales = np.floor(np.min(xyz, axis=0)), [0.01] * 3
    las = laspy.LasData(header)
    las.xyz = np.asarray(xyz)
    las.classification = np.array(labels, dtype=np.uint8)
    if rgb is not None:
        las.red, las.green, las.blue = np.asarray(rgb, dtype=np.uint16).T
    las.write(str(path))
    return path


UTM = [[652_123.01, 6_862_000.02, 35.0], [652_124.0, 6_862_001.5, 36.25]]


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_las_and_laz_bring_classification_colour_and_map_coordinates(tmp_path: Path, suffix: str) -> None:
    path = write_las(tmp_path / f"a{suffix}", UTM, [2, 6], [[0, 0, 0], [65535, 257, 0]])
    cloud = read_cloud(path)
    assert cloud.label is not None and cloud.rgb is not None
    np.testing.assert_allclose(cloud.xyz, UTM, atol=1e-6)
    assert cloud.label.tolist() == [2, 6] and cloud.rgb.tolist() == [[0, 0, 0], [255, 1, 0]]


def test_las_colours_that_nobody_filled_in_are_no_colours(tmp_path: Path) -> None:
    assert read_cloud(write_las(tmp_path / "a.las", UTM, [2, 6])).rgb is None


def test_a_broken_las_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("laspy", reason="laspy is an optional dependency (extra 'las')")
    (tmp_path / "a.las").write_bytes(b"LASF" + bytes(20))
    with pytest.raises(ValueError, match=r"a\.las: cannot be read as LAS"):
        read_cloud(tmp_path / "a.las")


def test_without_laspy_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "laspy", None)
    (tmp_path / "a.las").write_bytes(b"LASF")
    with pytest.raises(ValueError, match=r"pip install 'laspy\[lazrs\]'"):
        read_cloud(tmp_path / "a.las")


def test_map_coordinates_keep_their_centimetres_after_the_shift() -> None:
    local, offset = to_local(np.array(UTM))
    assert offset == (652_123.0, 6_862_000.0, 0.0) and local.dtype == np.float32
    np.testing.assert_allclose(local[0], [0.01, 0.02, 35.0], atol=1e-6)


def test_an_axis_is_shifted_beyond_ten_kilometres() -> None:
    xyz = np.array([[10_000.0, 10_000.5, -10_001.5], [5.0, 9_000.0, -10_000.5]])
    local, offset = to_local(xyz)
    assert offset == (0.0, 9_000.0, -10_002.0)
    np.testing.assert_allclose(local, [[10_000, 1_000.5, 0.5], [5, 0, 1.5]])


def test_small_coordinates_are_not_shifted() -> None:
    local, offset = to_local(XYZ.astype(np.float64) - 50)
    assert offset == (0.0, 0.0, 0.0) and local[0].tolist() == [-50, -50, -50]


def test_estimated_normals_of_a_slope_are_its_normal_pointing_up() -> None:
    plane = np.random.default_rng(0).uniform(size=(200, 3))
    plane[:, 2] = 2 * plane[:, 0] + 5
    expected = np.array([-2, 0, 1]) / np.sqrt(5)
    np.testing.assert_allclose(estimate_normals(plane), np.tile(expected, (200, 1)), atol=1e-5)


def test_estimated_normals_equal_those_of_a_plain_loop() -> None:
    points = np.random.default_rng(0).normal(size=(60, 3))
    fast = estimate_normals(points, num_neighbours=7)
    for point, normal in zip(points, fast, strict=True):
        near = points[np.argsort(np.linalg.norm(points - point, axis=1))[:7]]
        direction = np.linalg.svd(near - near.mean(axis=0))[2][2]
        assert abs(direction @ normal) == pytest.approx(1, abs=1e-5) and normal[2] >= 0


def test_three_points_span_a_plane() -> None:
    triangle = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1]])
    np.testing.assert_allclose(estimate_normals(triangle), [[0, 0, 1]] * 3, atol=1e-6)


def test_a_neighbourhood_has_sixteen_points_and_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = np.random.default_rng(1).normal(size=(50, 3))
    usual = estimate_normals(points)
    np.testing.assert_array_equal(usual, estimate_normals(points, num_neighbours=16))
    assert not np.array_equal(usual, estimate_normals(points, num_neighbours=17))
    monkeypatch.setattr("pointseg.formats.clouds._CHUNK", 7)
    np.testing.assert_allclose(estimate_normals(points), usual, atol=1e-6)


@pytest.mark.parametrize(
    "points", [np.zeros((20, 3)), np.arange(20)[:, None] * np.ones(3), np.zeros((2, 3)), np.zeros((1, 3))]
)
def test_points_that_span_no_plane_have_a_zero_normal(points: Any) -> None:
    assert not estimate_normals(points).any()
