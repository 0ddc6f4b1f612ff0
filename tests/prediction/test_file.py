"""pointseg predict: any file of points in, a labelled PLY out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plyfile import PlyData
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.formats.ply import read_ply, write_ply
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.scans.file import read_cloud_file
from pointseg.scans.store import Store


def predict(run: Path, source: Path, output: Path, *options: str) -> Any:
    command = ["predict", str(run), str(source), "-o", str(output), "--device", "cpu", *options]
    return CliRunner().invoke(app, command)


@pytest.fixture
def room(tiny_store: Path, tmp_path: Path) -> Path:
    scene = Store.open(tiny_store).load("val0")
    write_ply(tmp_path / "room.ply", scene.xyz_m, rgb=scene.rgb, faces=np.array([[0, 1, 2], [3, 4, 5]]))
    return tmp_path / "room.ply"


def test_the_labelled_file_has_the_points_their_raw_ids_and_the_class_colours_in_file_order(
    trained_run: Path, tiny_store: Path, room: Path, tmp_path: Path
) -> None:
    result = predict(trained_run, room, tmp_path / "out.ply")
    assert result.exit_code == 0, result.output
    run, written = load_run(trained_run, device="cpu"), read_ply(tmp_path / "out.ply")
    expected = predict_scene(run, Store.open(tiny_store).load("val0"))
    assert np.array_equal(written.xyz, read_ply(room).xyz)
    assert written.label is not None and set(written.label) == {3, 7, 10}
    assert np.array_equal(written.label, run.label_space.decode(expected.train_index))
    assert np.array_equal(written.rgb, run.label_space.color_table[expected.train_index])
    assert np.array_equal(written.faces, [[0, 1, 2], [3, 4, 5]])
    confidence = PlyData.read(str(tmp_path / "out.ply"))["vertex"]["confidence"]
    assert np.array_equal(confidence, expected.confidence)


def test_the_share_of_each_class_is_printed(trained_run: Path, room: Path, tmp_path: Path) -> None:
    output = predict(trained_run, room, tmp_path / "out.ply").output
    for name in ("floor", "wall", "box"):
        assert name in output
    assert "360 points" in output


def test_colours_can_be_kept(trained_run: Path, room: Path, tmp_path: Path) -> None:
    predict(trained_run, room, tmp_path / "out.ply", "--keep-colors")
    assert np.array_equal(read_ply(tmp_path / "out.ply").rgb, read_ply(room).rgb)


def test_a_cloud_without_colours_gets_class_colours(trained_run: Path, room: Path, tmp_path: Path) -> None:
    write_ply(tmp_path / "bare.ply", read_ply(room).xyz)
    assert predict(trained_run, tmp_path / "bare.ply", tmp_path / "o.ply", "--keep-colors").exit_code == 0
    written = read_ply(tmp_path / "o.ply")
    assert written.rgb is not None and written.label is not None
    assert len(np.unique(written.rgb, axis=0)) == len(np.unique(written.label))


def test_map_coordinates_come_back_without_loss(trained_run: Path, room: Path, tmp_path: Path) -> None:
    xyz = read_ply(room).xyz + np.array([651_234.25, 6_861_000.5, 35.0])
    write_ply(tmp_path / "map.ply", xyz, rgb=read_ply(room).rgb)
    assert predict(trained_run, tmp_path / "map.ply", tmp_path / "o.ply").exit_code == 0
    assert np.array_equal(read_ply(tmp_path / "o.ply", double=True).xyz, xyz)


def test_npz_files_are_read_too(trained_run: Path, room: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "room.npz", xyz=read_ply(room).xyz, rgb=read_ply(room).rgb)
    assert predict(trained_run, tmp_path / "room.npz", tmp_path / "a.ply").exit_code == 0
    assert predict(trained_run, room, tmp_path / "b.ply").exit_code == 0
    assert np.array_equal(read_ply(tmp_path / "a.ply").label, read_ply(tmp_path / "b.ply").label)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.ply", b"solid cube\n", "cannot be read as PLY"),
        ("missing.ply", None, "no such file"),
        ("room.obj", b"v 0 0 0\n", "cannot read .obj"),
        ("room.jpg", b"\xff\xd8", "was trained on scans and cannot read .jpg"),
    ],
)
def test_a_file_that_is_no_cloud_ends_with_one_message_and_exit_code_2(
    trained_run: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = predict(trained_run, tmp_path / name, tmp_path / "out.ply")
    assert result.exit_code == 2
    assert message in result.output and name in result.output
    assert not (tmp_path / "out.ply").exists()


def test_an_output_that_is_no_ply_file_is_refused(trained_run: Path, room: Path, tmp_path: Path) -> None:
    result = predict(trained_run, room, tmp_path / "out.txt")
    assert result.exit_code == 2 and "name it <something>.ply" in result.output


def test_a_position_that_is_no_number_is_named(tmp_path: Path) -> None:
    write_ply(tmp_path / "nan.ply", np.array([[0, 0, 0], [1, np.nan, 0]], np.float32))
    with pytest.raises(ValueError, match=r"nan\.ply: 1 of 2 points .*first: point 1"):
        read_cloud_file(tmp_path / "nan.ply")


def test_normals_come_from_the_faces_where_there_are_faces(tmp_path: Path) -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    write_ply(tmp_path / "down.ply", square, faces=np.array([[0, 2, 1], [0, 3, 2]]))
    normal = read_cloud_file(tmp_path / "down.ply", want_normals=True).scene.normal
    assert np.allclose(normal, (0, 0, -1))


def test_normals_of_a_bare_cloud_are_those_of_its_planes(tmp_path: Path) -> None:
    floor = np.random.default_rng(0).uniform(0, 1, (50, 3)) * (1, 1, 0)
    write_ply(tmp_path / "floor.ply", floor.astype(np.float32))
    assert read_cloud_file(tmp_path / "floor.ply").scene.normal is None
    normal = read_cloud_file(tmp_path / "floor.ply", want_normals=True).scene.normal
    assert np.allclose(normal, (0, 0, 1), atol=1e-6)
