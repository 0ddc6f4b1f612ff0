"""ScanNet++ v2 -> store: several labels a vertex, names mapped to classes, mask, points on the surface."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scannetpp_rooms import CLASSES, add_scene, add_tables, labels_by_hand

from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.formats.mesh_points import sample_surface
from pointseg.prepare import check, scannetpp
from pointseg.scans.store import Store, StoreWriter

NONE = -100


def prepare(source: Path, store: Path, *options: str) -> int:
    return scannetpp.main([str(source), str(store), "--workers", "1", *options])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two rooms with labels, one without, and one that is listed and was not downloaded."""
    add_tables(
        tmp_path / "spp",
        {
            "nvs_sem_train": ["aaaaaaaaaa", "dddddddddd"],
            "nvs_sem_val": ["bbbbbbbbbb"],
            "sem_test": ["cccccccccc"],
        },
    )
    objects = [
        ("floor", [10, 20, 30]),  # nine vertices
        ("chair", [20, 30]),  # six: smaller than the floor, renamed
        ("remove", [20, 30]),
        ("poster", [10]),
        ("cushion", [30]),  # three
        ("table", [30]),  # a fourth label has no room
        ("nobody knows it", [10]),
    ]
    add_scene(tmp_path / "spp", "aaaaaaaaaa", [10] * 3 + [20] * 3 + [30] * 3, objects)
    add_scene(tmp_path / "spp", "bbbbbbbbbb", [1] * 8 + [2], [("wall", [1]), ("table", [2])], mask=[0, 8])
    add_scene(tmp_path / "spp", "cccccccccc", None)
    return tmp_path / "spp"


def test_rooms_become_scenes_with_all_labels_that_of_the_smallest_object_first(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(source, tmp_path / "store", "--sample", "0") == 0
    assert "1 of 4 listed scenes are not there" in capsys.readouterr().err
    store = Store.open(tmp_path / "store")
    assert store.splits() == {"train": ["aaaaaaaaaa"], "val": ["bbbbbbbbbb"], "test": ["cccccccccc"]}
    assert store.label_space.name == "scannetpp" and store.label_space.names == CLASSES
    assert store.label_space.raw_ids == (0, 1, 2, 3, 4) and store.label_space.has_groups
    room = store.load("aaaaaaaaaa")
    assert room.raw_label is not None and room.further_label is not None and room.instance is not None
    # Floor; chair before floor; cushion, the smallest, before floor and chair.
    assert room.raw_label.tolist() == [1] * 3 + [2] * 3 + [3] * 3
    assert room.further_label[:3].tolist() == [[NONE, NONE]] * 3
    assert room.further_label[3:6].tolist() == [[1, NONE]] * 3
    assert sorted(room.further_label[8].tolist()) == [1, 2]
    assert room.instance.tolist() == [1] * 3 + [2] * 3 + [5] * 3
    assert store.entry("aaaaaaaaaa")["notes"]["unknown_names"] == ["nobody knows it", "poster", "remove"]
    assert room.normal is not None and room.normal.tolist() == [[0, 0, 1]] * 9
    assert check.main([str(tmp_path / "store")]) == 0


def test_vertices_of_the_mask_have_no_label_and_test_rooms_none_at_all(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "store", "--sample", "0") == 0
    store = Store.open(tmp_path / "store")
    room = store.load("bbbbbbbbbb")
    assert room.raw_label is not None and room.raw_label.tolist() == [NONE] + [0] * 7 + [NONE]
    assert room.instance is not None and room.instance[[0, 8]].tolist() == [-1, -1]
    assert store.load("cccccccccc").raw_label is None and store.load("cccccccccc").further_label is None


def test_points_are_drawn_on_the_surface_behind_the_vertices(source: Path, tmp_path: Path) -> None:
    for name in ("store", "again"):
        assert prepare(source, tmp_path / name, "--sample", "20") == 0
    store = Store.open(tmp_path / "store")
    for name in store.entries:
        room, again = store.load(name), Store.open(tmp_path / "again").load(name)
        assert room.num_vertices == 9 + 180 and store.num_scored(name) == 9
        assert np.array_equal(room.xyz_m, again.xyz_m)
        assert room.xyz_m[:9, 0].tolist() == [0, 1, 2] * 3
        drawn = room.xyz_m[9:]
        assert drawn[:, :2].min() >= 0 and drawn[:, :2].max() <= 2 and not drawn[:, 2].any()
        # Colours follow the position as those of the mesh do, evenly over the square.
        assert room.rgb is not None
        assert np.abs(room.rgb[9:, 0] - 10 * drawn[:, 0]).max() <= 0.51
        assert np.abs(drawn[:, :2].mean(axis=0) - 1).max() < 0.15
    train, val = store.load("aaaaaaaaaa"), store.load("bbbbbbbbbb")
    assert train.raw_label is not None and val.raw_label is not None and val.further_label is not None
    # Rows of the room are labels 1, 2, 3; a drawn point has that of a corner of its triangle.
    row = train.xyz_m[9:, 1]
    assert (np.abs(train.raw_label[9:] - 1 - row) < 1).all() and set(train.raw_label[9:]) == {1, 2, 3}
    assert (val.raw_label[9:] == NONE).all() and (val.further_label[9:] == NONE).all()
    assert check.main([str(tmp_path / "store")]) == 0


def test_drawn_points_belong_to_their_nearest_corner_and_large_triangles_have_more() -> None:
    xyz = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [9, 9, 9], [9, 9, 9]], dtype=np.float32)
    faces = np.array([[3, 4, 3], [0, 1, 2], [0, 1, 1]])
    points = sample_surface(xyz, faces, 500, np.random.default_rng(1))
    distance = np.linalg.norm(points.xyz[:, None] - xyz[None, :3], axis=2)
    assert np.array_equal(points.nearest, distance.argmin(axis=1))
    assert np.allclose(points.blend(xyz), points.xyz, atol=1e-6)
    assert (points.corner == [0, 1, 2]).all()
    with pytest.raises(ValueError, match="no triangle with an area"):
        sample_surface(xyz, faces[:1], 5, np.random.default_rng(1))


@pytest.mark.parametrize("seed", range(8))
def test_labels_are_those_that_are_found_vertex_by_vertex(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    segments = rng.integers(0, 12, 49).tolist()
    names = ["wall", "floor", "chair", "office chair", "cushion", "table", "remove"]
    objects = [
        (names[rng.integers(len(names))], rng.integers(0, 14, int(rng.integers(1, 8))).tolist())
        for _ in range(12)
    ]
    add_tables(tmp_path / "spp", {"nvs_sem_train": ["aaaaaaaaaa"]})
    add_scene(tmp_path / "spp", "aaaaaaaaaa", segments, objects, side=7)
    assert prepare(tmp_path / "spp", tmp_path / "store", "--sample", "0") == 0
    room = Store.open(tmp_path / "store").load("aaaaaaaaaa")
    assert room.raw_label is not None and room.further_label is not None
    found = [
        [first, *sorted(i for i in rest if i != NONE)] if first != NONE else []
        for first, rest in zip(room.raw_label.tolist(), room.further_label.tolist(), strict=True)
    ]
    assert found == labels_by_hand(segments, objects)


def test_further_labels_are_one_row_a_vertex_and_of_the_label_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xyz, raw = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
    for shape in ((4,), (3, 2)):
        with pytest.raises(ValueError, match="further_label must be"):
            Scene("room", xyz, raw_label=raw, further_label=np.zeros(shape, np.int32))
    space = LabelSpace("two", (0, 1), ("a", "b"), ("", ""), ((1, 1, 1), (2, 2, 2)), NONE)
    writer = StoreWriter(tmp_path / "store", space)
    writer.add(Scene("room", xyz, raw_label=raw, further_label=np.array([[1, NONE]] * 3 + [[1, 7]])), "train")
    writer.finish()
    assert check.main([str(tmp_path / "store")]) == 1
    assert "raw ids outside the label set two: [7]" in capsys.readouterr().out


SCANS = "data/bbbbbbbbbb/scans"


def edited(key: str, change: Callable[[list], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        data = json.loads(text)
        data[key] = change(data[key])
        return json.dumps(data)

    return edit


#: file -> what is done to it (None: removed), and what is said of it
DAMAGES: dict[str, tuple[str, Callable[[str], str] | None, str]] = {
    "segments of another mesh": (
        "segments.json",
        edited("segIndices", lambda x: x[:-1]),
        "it has 8 vertices, but mesh_aligned_0.05.ply has 9",
    ),
    "segments as words": ("segments.json", edited("segIndices", lambda x: ["a"] * 9), "list of integers"),
    "no list": ("segments.json", lambda text: "{}", "the list 'segIndices'"),
    "cut": ("segments_anno.json", lambda text: text[:-9], "broken JSON"),
    "objects without names": (
        "segments_anno.json",
        edited("segGroups", lambda x: [{"objectId": 1}]),
        "objectId, label and segments",
    ),
    "missing annotation": ("segments_anno.json", None, "scenes of train and val have it"),
    "a mask of another mesh": ("mesh_aligned_0.05_mask.txt", lambda text: "9\n", "0..8; got 9..9"),
    "a mask of words": ("mesh_aligned_0.05_mask.txt", lambda text: "x\n", "numbers of vertices"),
    "no mesh": ("mesh_aligned_0.05.ply", None, "mesh_aligned_0.05.ply"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_room_is_named_and_the_others_go_on(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    file, change, said = DAMAGES[damage]
    path = source / SCANS / file
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    assert prepare(source, tmp_path / "store", "--sample", "0") == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(Store.open(tmp_path / "store").entries) == ["aaaaaaaaaa", "cccccccccc"]


def test_a_missing_mask_is_said_and_an_empty_one_is_none(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / SCANS / "mesh_aligned_0.05_mask.txt").unlink()
    assert prepare(source, tmp_path / "store", "--sample", "0") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "bbbbbbbbbb: no mesh_aligned_0.05_mask.txt" in told and "aaaaaaaaaa: no" not in told


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metadata/semantic_benchmark/top100.txt", None, "it comes with the metadata"),
        ("metadata/semantic_benchmark/top100.txt", "wall\nwall\n", "different names of classes"),
        ("metadata/semantic_benchmark/map_benchmark.csv", None, "it comes with the metadata"),
        ("metadata/semantic_benchmark/map_benchmark.csv", "class,map\n", "columns class and semantic_map_to"),
        ("splits/nvs_sem_val.txt", "aaaaaaaaaa\n", "is also in split 'train'"),
    ],
)
def test_tables_that_are_missing_or_wrong_end_it_before_anything_is_written(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: str | None,
    said: str,
) -> None:
    if content is None:
        (source / file).unlink()
    else:
        (source / file).write_text(content)
    assert prepare(source, tmp_path / "store") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "store").exists()


def test_a_folder_of_something_else_and_a_negative_number_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(source, tmp_path / "store", "--sample", "-1") == 2
    assert "0 or more" in capsys.readouterr().err
    (source / "data").rename(source / "scenes")
    assert prepare(source, tmp_path / "store") == 2
    assert "none of 4 listed scenes is there" in " ".join(capsys.readouterr().err.split())
