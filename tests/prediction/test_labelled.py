"""Labelled files are in the format that they came in, with all that they had and numbers beside labels."""

import struct
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.extras import classes_needed, columns_of, parse_extras
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.prediction import ScenePrediction, entropy_of
from pointseg.formats.las_labelled import label_dimension, write_labelled_las
from pointseg.formats.ply import read_ply
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.scans.file import read_cloud_file
from pointseg.scans.store import Store

LABELS = LabelSpace(
    "six", (5, 300, 1, 9, 2, 40), ("a", "b", "c", "d", "e", "f"), ("",) * 6, distinct_colors(6)
)


def predict(run: Path, source: Path, output: Path, *options: str) -> Any:
    command = ["predict", str(run), str(source), "-o", str(output), "--device", "cpu", *options]
    return CliRunner().invoke(app, command)


@pytest.fixture
def room(tiny_store: Path) -> tuple[np.ndarray, np.ndarray]:
    scene = Store.open(tiny_store).load("val0")
    assert scene.rgb is not None
    return scene.xyz_m, scene.rgb


def las_file(
    path: Path, room: tuple[np.ndarray, np.ndarray], *, point_format: int = 7, version: str = "1.4"
) -> None:
    """A tile in map coordinates with odd scales, foreign dimensions, and records of its own."""
    xyz, rgb = room
    random = np.random.default_rng(0)
    header = laspy.LasHeader(version=version, point_format=point_format)
    header.scales, header.offsets = [0.001, 0.0025, 1 / 3000], [651_234.123, 6_861_000.777, 35.1]
    header.generating_software, header.system_identifier = "scanner 7", "left wing"
    header.add_extra_dims(
        [
            laspy.ExtraBytesParams("Reflectance", np.int16, "dB", scales=[0.01], offsets=[3.5]),
            laspy.ExtraBytesParams("beam", "3f4", "a vector"),
        ]
    )
    # No zero at the end, and a record that is nobody's: neither may be changed.
    header.vlrs.append(laspy.VLR("LASF_Projection", 2112, "wkt", b'LOCAL_CS["here",UNIT["metre",1]]'))
    header.vlrs.append(laspy.VLR("somebody", 77, "odd", bytes(range(200))))
    tile = laspy.LasData(header)
    tile.x, tile.y, tile.z = (xyz[:, i] + header.offsets[i] for i in range(3))
    tile.red, tile.green, tile.blue = (rgb[:, i].astype(np.uint16) * 256 for i in range(3))
    count = len(xyz)
    tile.intensity = random.integers(0, 65_536, count)
    tile.gps_time = random.uniform(1e8, 2e8, count)
    tile.return_number = np.full(count, 2)
    tile.number_of_returns = np.full(count, 3)
    tile.user_data = random.integers(0, 256, count)
    tile.point_source_id = random.integers(0, 65_536, count)
    tile.withheld = random.integers(0, 2, count)
    tile.classification = random.integers(0, 31, count)
    tile.points.array["Reflectance"] = random.integers(-999, 999, count)
    tile["beam"] = random.normal(size=(count, 3)).astype(np.float32)
    if version == "1.4":
        tile.evlrs = laspy.vlrs.vlrlist.VLRList([laspy.VLR("somebody", 78, "behind", b"behind the points")])
    tile.write(path)


def records(path: Path) -> list[bytes]:
    """The records before the points as they stand, those that laszip and extra dimensions own left out."""
    data = path.read_bytes()
    at, (count,) = struct.unpack_from("<H", data, 94)[0], struct.unpack_from("<I", data, 100)
    found = []
    for _ in range(count):
        user, number, length = struct.unpack_from("<16sHH", data, at + 2)
        # The first two bytes are reserved, and of no meaning.
        if (user.rstrip(b"\0"), number) not in ((b"LASF_Spec", 4), (b"laszip encoded", 22204)):
            found.append(data[at + 2 : at + 54 + length])
        at += 54 + length
    return found


def test_a_record_described_in_letters_that_las_does_not_know_is_kept(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    las_file(tmp_path / "tile.las", room)
    data = (tmp_path / "tile.las").read_bytes()
    assert data.count(b"odd\0") == 1
    # Latin 1, which the standard does not allow and writers put there.
    (tmp_path / "tile.las").write_bytes(data.replace(b"odd\0", b"\xf6dd\0"))
    result = predict(trained_run, tmp_path / "tile.las", tmp_path / "out.las")
    assert result.exit_code == 0, result.output
    assert [record.replace(b"\xf6", b"?") for record in records(tmp_path / "tile.las")] == records(
        tmp_path / "out.las"
    )


@pytest.mark.parametrize(
    ("suffix", "out", "point_format", "version"),
    [
        (".las", ".las", 7, "1.4"),
        (".laz", ".laz", 7, "1.4"),
        (".laz", ".las", 7, "1.4"),
        (".las", ".las", 3, "1.2"),
    ],
)
def test_las_keeps_all_dimensions_records_and_every_bit_of_its_coordinates(
    trained_run: Path,
    room: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    suffix: str,
    out: str,
    point_format: int,
    version: str,
) -> None:
    source, target = tmp_path / f"tile{suffix}", tmp_path / f"out{out}"
    las_file(source, room, point_format=point_format, version=version)
    before = source.read_bytes()
    result = predict(trained_run, source, target, "--save", "confidence,top5")
    assert result.exit_code == 0, result.output
    assert source.read_bytes() == before
    own, written = laspy.read(source), laspy.read(target)
    for name in set(own.points.array.dtype.names) - {"classification", "raw_classification"}:
        assert written.points.array[name].tobytes() == own.points.array[name].tobytes(), name
    assert np.array_equal(written.withheld, own.withheld)
    assert np.array_equal(np.asarray(written["Reflectance"]), np.asarray(own["Reflectance"]))
    for field in ("scales", "offsets", "mins", "maxs", "number_of_points_by_return"):
        assert np.array_equal(getattr(written.header, field), getattr(own.header, field)), field
    for field in ("version", "creation_date", "generating_software", "system_identifier", "uuid"):
        assert getattr(written.header, field) == getattr(own.header, field), field
    assert records(target) == records(source) and len(records(source)) == 2
    if version == "1.4":
        assert written.evlrs[0].record_data == b"behind the points"
    run = load_run(trained_run, device="cpu")
    expected = predict_scene(run, read_cloud_file(source).scene, top=3)
    assert np.array_equal(written.classification, run.label_space.decode(expected.train_index))
    assert len(set(np.asarray(written.classification))) == 3
    assert np.array_equal(written["confidence"], expected.confidence)
    assert expected.top_index is not None and expected.top_probability is not None
    for i in range(3):
        ids = run.label_space.decode(expected.top_index[:, i])
        assert np.array_equal(written[f"top{i + 1}_label"], ids)
        assert np.array_equal(written[f"top{i + 1}_probability"], expected.top_probability[:, i])
    assert "top4_label" not in written.point_format.dimension_names
    assert not list(tmp_path.glob(".*"))


def test_ids_that_do_not_fit_a_classification_are_an_extra_dimension(
    room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    las_file(tmp_path / "a.las", room)
    label = np.resize(np.array([5, 300, -1], np.int32), len(room[0]))
    write_labelled_las(tmp_path / "a.las", tmp_path / "b.las", label, (5, 300, -1))
    own, written = laspy.read(tmp_path / "a.las"), laspy.read(tmp_path / "b.las")
    assert np.array_equal(written["label"], label)
    assert np.array_equal(written.classification, own.classification)
    # Once more: the dimension is replaced, and none is there twice.
    write_labelled_las(tmp_path / "b.las", tmp_path / "c.las", label[::-1].copy(), (5, 300, -1))
    again = laspy.read(tmp_path / "c.las")
    assert np.array_equal(again["label"], label[::-1])
    assert list(again.point_format.extra_dimension_names) == ["Reflectance", "beam", "label"]


@pytest.mark.parametrize(
    ("point_format", "ids", "name"),
    [
        (3, (0, 31), "classification"),
        (5, (0, 32), "label"),
        (6, (0, 255), "classification"),
        (6, (0, 256), "label"),
        (6, (-1, 5), "label"),
    ],
)
def test_the_bits_of_a_classification_are_those_of_its_point_format(
    point_format: int, ids: tuple[int, ...], name: str
) -> None:
    assert label_dimension(point_format, ids) == name


def test_more_dimensions_than_las_has_room_for_are_refused(
    room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    las_file(tmp_path / "a.las", room)
    count, many = len(room[0]), tuple(range(350))
    labels = LabelSpace("many", many, tuple(map(str, many)), ("",) * 350, distinct_colors(350), 999)
    index = np.tile(np.arange(350), (count, 1))
    prediction = ScenePrediction.ranked("a", index, np.full((count, 350), 1 / 350, np.float32))
    columns = columns_of(prediction, labels, ["probabilities"])
    with pytest.raises(ValueError, match=r"room for 341 extra dimensions; these would be 353"):
        write_labelled_las(tmp_path / "a.las", tmp_path / "b.las", np.zeros(count, np.int32), many, columns)
    assert not (tmp_path / "b.las").exists()


@pytest.mark.parametrize(("text", "byte_order"), [(False, "<"), (False, ">"), (True, "=")])
def test_ply_keeps_its_properties_polygons_comments_and_encoding(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path, text: bool, byte_order: str
) -> None:
    xyz, rgb = room
    kinds = [("x", "f8"), ("y", "f8"), ("z", "f8"), ("scalar_time", "f8"), ("quality", "i2"), ("label", "f4")]
    vertex = np.zeros(len(xyz), dtype=[*kinds, ("red", "u1"), ("green", "u1"), ("blue", "u1")])
    for i, (axis, channel) in enumerate(zip("xyz", ("red", "green", "blue"), strict=True)):
        vertex[axis], vertex[channel] = xyz[:, i] + np.array([651_234.1, 6_861_000.3, 0.7])[i], rgb[:, i]
    vertex["scalar_time"] = np.random.default_rng(0).uniform(1e8, 2e8, len(xyz))
    vertex["quality"] = np.arange(len(xyz))
    face = np.empty(2, dtype=[("vertex_indices", "O"), ("material", "i4")])
    face["vertex_indices"] = [np.array([0, 1, 2, 3], np.int32), np.array([3, 4, 5], np.int32)]
    face["material"] = [7, 8]
    camera = np.array([(1.5,)], dtype=[("focal", "f4")])
    elements = [
        PlyElement.describe(a, n) for a, n in ((vertex, "vertex"), (face, "face"), (camera, "camera"))
    ]
    PlyData(elements, text=text, byte_order=byte_order, comments=["of the survey"]).write(tmp_path / "a.ply")

    result = predict(trained_run, tmp_path / "a.ply", tmp_path / "b.ply", "--keep-colors", "--save", "margin")
    assert result.exit_code == 0, result.output
    own, written = PlyData.read(tmp_path / "a.ply"), PlyData.read(tmp_path / "b.ply")
    assert (written.text, written.byte_order) == (own.text, own.byte_order)
    assert written.comments == ["of the survey", "labels: raw ids of tiny"]
    for name in set(vertex.dtype.names or ()) - {"label"}:
        assert np.array_equal(written["vertex"][name], own["vertex"][name]), name
        assert str(written["vertex"].ply_property(name)) == str(own["vertex"].ply_property(name))
    expected = predict_scene(load_run(trained_run, device="cpu"), read_cloud_file(tmp_path / "a.ply").scene)
    raw = np.array([3, 10, 7])[expected.train_index]
    assert written["vertex"]["label"].dtype.kind == "i"
    assert np.array_equal(written["vertex"]["label"], raw)
    assert [p.name for p in written["vertex"].properties][-2:] == ["confidence", "margin"]
    assert [list(f) for f in written["face"]["vertex_indices"]] == [[0, 1, 2, 3], [3, 4, 5]]
    assert list(written["face"]["material"]) == [7, 8] and written["camera"]["focal"][0] == 1.5


def test_class_colours_take_the_place_of_colours_under_other_names(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    xyz, rgb = room
    kinds = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("r", "f4"), ("g", "f4"), ("b", "f4")]
    vertex = np.zeros(len(xyz), dtype=kinds)
    for i in range(3):
        vertex["xyz"[i]], vertex["rgb"[i]] = xyz[:, i], rgb[:, i] / 255
    PlyData([PlyElement.describe(vertex, "vertex")]).write(tmp_path / "a.ply")
    assert predict(trained_run, tmp_path / "a.ply", tmp_path / "b.ply").exit_code == 0
    names = [p.name for p in PlyData.read(tmp_path / "b.ply")["vertex"].properties]
    assert names == ["x", "y", "z", "red", "green", "blue", "label", "confidence"]
    written, run = read_ply(tmp_path / "b.ply"), load_run(trained_run, device="cpu")
    assert written.label is not None and written.rgb is not None
    assert np.array_equal(written.rgb, run.label_space.paint(run.label_space.encode(written.label)))


def test_npz_keeps_its_arrays_also_those_that_would_run_code(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    xyz, rgb = room
    anything = np.array([{"by": "hand"}, None], dtype=object)
    old = np.zeros(len(xyz), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", coord=xyz, color=rgb, pose=np.eye(4), notes=anything, label=old)
    result = predict(trained_run, tmp_path / "a.npz", tmp_path / "b.npz", "--save", "probabilities,top5")
    assert result.exit_code == 0, result.output
    expected = predict_scene(
        load_run(trained_run, device="cpu"), read_cloud_file(tmp_path / "a.npz").scene, top=3
    )
    with np.load(tmp_path / "b.npz", allow_pickle=True) as written:
        assert set(written.files) == {
            *("coord", "color", "pose", "notes", "label", "probabilities", "probabilities_label"),
            *("top5_label", "top5_probability"),
        }
        assert np.array_equal(written["coord"], xyz) and written["coord"].dtype == xyz.dtype
        assert np.array_equal(written["pose"], np.eye(4)) and written["notes"][0] == {"by": "hand"}
        assert np.array_equal(written["label"], np.array([3, 10, 7])[expected.train_index])
        assert written["probabilities_label"].tolist() == [3, 10, 7]
        assert written["probabilities"].shape == (len(xyz), 3)
        assert np.allclose(written["probabilities"].sum(axis=1), 1, atol=1e-5)
        best = written["probabilities_label"][written["probabilities"].argmax(axis=1)]
        assert np.array_equal(best, written["label"])
        assert np.array_equal(written["top5_label"][:, 0], written["label"])


def test_what_has_no_labelled_form_of_its_own_becomes_ply_or_npz(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    table = np.concatenate(room, axis=1)
    np.savetxt(tmp_path / "a.txt", table, fmt=["%.6f"] * 3 + ["%d"] * 3, header="x y z red green blue")
    for name in ("b.ply", "b.npz"):
        assert predict(trained_run, tmp_path / "a.txt", tmp_path / name).exit_code == 0
    ply = read_ply(tmp_path / "b.ply", double=True)
    with np.load(tmp_path / "b.npz") as npz:
        assert np.array_equal(npz["xyz"], np.loadtxt(tmp_path / "a.txt")[:, :3])
        assert np.array_equal(npz["rgb"], room[1])
        assert np.array_equal(npz["label"], ply.label)
    refused = predict(trained_run, tmp_path / "a.txt", tmp_path / "b.las")
    assert refused.exit_code == 2 and "PLY or NPZ" in refused.output


def test_points_that_are_not_sure_enough_are_unclassified(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """By hand from the probabilities that the same file holds."""
    np.savez(tmp_path / "a.npz", xyz=room[0], rgb=room[1])
    predict(trained_run, tmp_path / "a.npz", tmp_path / "all.npz", "--save", "probabilities,confidence")
    with np.load(tmp_path / "all.npz") as found:
        probabilities, ids = found["probabilities"], found["probabilities_label"]
        largest = probabilities.max(axis=1)
        assert np.array_equal(largest, found["confidence"])
    limit = float(np.median(largest))
    result = predict(
        trained_run,
        tmp_path / "a.npz",
        tmp_path / "b.npz",
        "--min-confidence",
        str(limit),
        "--save",
        "confidence",
    )
    assert result.exit_code == 0 and "unclassified" in result.output
    expected = np.where(largest < np.float32(limit), 0, ids[probabilities.argmax(axis=1)])
    assert 0 < (expected == 0).sum() < len(expected)
    with np.load(tmp_path / "b.npz") as written:
        assert np.array_equal(written["label"], expected)
        assert np.array_equal(written["confidence"], largest)
    predict(trained_run, tmp_path / "a.npz", tmp_path / "b.ply", "--min-confidence", str(limit))
    painted = read_ply(tmp_path / "b.ply")
    assert painted.rgb is not None and np.array_equal(painted.label, expected)
    assert np.array_equal((painted.rgb == 0).all(axis=1), expected == 0)


def six_classes() -> tuple[np.ndarray, ScenePrediction]:
    probabilities = np.random.default_rng(1).dirichlet(np.ones(6), 50).astype(np.float32)
    probabilities[0] = [0, 0, 1, 0, 0, 0]
    order = np.argsort(-probabilities, axis=1, kind="stable")
    entropy = entropy_of(torch.from_numpy(probabilities)).numpy()
    return probabilities, ScenePrediction.ranked(
        "six", order, np.take_along_axis(probabilities, order, axis=1), entropy
    )


def test_extras_are_what_their_definitions_say() -> None:
    probabilities, prediction = six_classes()
    names = ("confidence", "entropy", "margin", "top5", "probabilities")
    columns = {column.name: column for column in columns_of(prediction, LABELS, names)}
    ordered = np.sort(probabilities, axis=1)[:, ::-1]
    assert np.array_equal(columns["confidence"].values, ordered[:, 0])
    assert np.array_equal(columns["margin"].values, ordered[:, 0] - ordered[:, 1])
    by_hand = [-sum(float(p) * np.log(float(p)) for p in row if p > 0) for row in probabilities]
    assert np.allclose(columns["entropy"].values, by_hand, atol=1e-6) and columns["entropy"].values[0] == 0
    top = columns["top5_probability"].values
    assert top.shape == (50, 5) and (np.diff(top, axis=1) <= 0).all()
    assert np.allclose(top.sum(axis=1), 1 - probabilities.min(axis=1), atol=1e-6)
    ids = columns["top5_label"].values
    for row in range(50):
        for i, p in zip(ids[row], top[row], strict=True):
            assert probabilities[row, LABELS.raw_ids.index(i)] == p or p == 0
    assert np.array_equal(columns["probabilities"].values, probabilities)
    assert columns["probabilities"].parts[1] == "probability_300"
    assert all(column.values.dtype in (np.float32, np.int32) for column in columns.values())


@pytest.mark.parametrize(("views", "max_tile_points"), [(1, None), (1, 150), (2, 150)])
def test_entropy_is_that_of_all_classes_without_them_being_kept(
    trained_run: Path, room: tuple[np.ndarray, np.ndarray], tmp_path: Path, views: int, max_tile_points: int
) -> None:
    np.savez(tmp_path / "a.npz", xyz=room[0])
    run, scene = load_run(trained_run, device="cpu"), read_cloud_file(tmp_path / "a.npz").scene
    options = {"views": views, "max_tile_points": max_tile_points}
    p = predict_scene(run, scene, top=3, **options).top_probability
    alone = predict_scene(run, scene, entropy=True, **options)
    assert p is not None and alone.entropy is not None and alone.top_index is None
    by_hand = -(p.astype(float) * np.log(np.maximum(p.astype(float), 1e-300))).sum(axis=1)
    np.testing.assert_allclose(alone.entropy, by_hand, atol=1e-5)
    assert by_hand.max() - by_hand.min() > 0.01
    assert predict_scene(run, scene, **options).entropy is None


@pytest.mark.parametrize(
    ("save", "needed"), [("", 1), ("confidence", 1), ("margin", 2), ("top5", 5), ("margin,entropy", 2)]
)
def test_a_prediction_has_no_more_classes_than_are_saved(save: str, needed: int) -> None:
    assert classes_needed(parse_extras(save), 6) == needed


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--save", "confidence,variance", "unknown variance; expected some of confidence,entropy"),
        ("--min-confidence", "1.5", "is a probability, 0..1; got 1.5"),
    ],
)
def test_options_that_cannot_be_are_refused(
    trained_run: Path,
    room: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    option: str,
    value: str,
    message: str,
) -> None:
    np.savez(tmp_path / "a.npz", xyz=room[0])
    result = predict(trained_run, tmp_path / "a.npz", tmp_path / "b.npz", option, value)
    assert result.exit_code == 2 and message in " ".join(result.output.split())
    assert not (tmp_path / "b.npz").exists()
