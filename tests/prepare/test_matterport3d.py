"""Matterport3D in its true layout, made here: categories of faces, classes by the table, splits."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pointseg.formats.matterport import majority, split_of_houses
from pointseg.prepare import check, matterport3d
from pointseg.scans.store import Store

TRAIN, VAL, TEST = "17DRP5sb8fy", "2azQ1b91cZZ", "2t7WUuJeko7"
#: index, raw_category, category, nyuClass: two names of a class, one that is none, an empty one, a quote.
ROWS = (
    (1, "wall", "wall", "wall"),
    (2, "door", "door", "door"),
    (3, "doorframe", "door frame", "door"),
    (4, "remove", "remove", "void"),
    (5, "object", "object", ""),
    (6, 'the "big" chair', "chair", "chair"),
    (7, "unknown", "unknown", "unknown"),
    (8, "lamp", "lamp", "lamp"),
    (9, "rare wall", "wall", "wall"),
)


def table(path: Path) -> Path:
    head = "index\traw_category\tcategory\tcount\tnyuId\tnyu40id\teigen13id\tnyuClass\tnyu40class\n"
    lines = [f"{i}\t{raw}\t{name}\t5\t1\t1\t1\t{nyu}\twall\n" for i, raw, name, nyu in ROWS]
    path.write_text(head + "".join(lines))
    return path


def region(source: Path, house: str, number: int, category: list[int], *, field: str = "category_id") -> Path:
    """A fan of triangles around vertex 0, one for each category, as the release writes meshes."""
    count = len(category)
    vertex = np.dtype([("v", "<f4", (8,)), ("rgb", "u1", (3,))])
    face = np.dtype([("n", "u1"), ("v", "<i4", (3,)), ("ids", "<i4", (3,))])
    angle = np.linspace(0, 2, count + 1)
    points = np.zeros(count + 2, vertex)
    points["v"][1:, 0], points["v"][1:, 1] = np.cos(angle), np.sin(angle)
    points["v"][:, 5] = 2  # normals that are not of length 1
    points["rgb"] = np.arange(3 * (count + 2)).reshape(-1, 3) % 250
    faces = np.zeros(count, face)
    faces["n"] = 3
    faces["v"] = [[0, i + 1, i + 2] for i in range(count)]
    faces["ids"] = np.stack([np.arange(count), np.arange(count) + 7, category], axis=1)
    properties = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz", "tx", "ty")]
    properties += [f"property uchar {name}" for name in ("red", "green", "blue")]
    ids = [f"property int {name}" for name in ("material_id", "segment_id", field)]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *properties]
    lines += [f"element face {count}", "property list uchar int vertex_indices", *ids, "end_header", ""]
    path = source / house / "region_segmentations" / f"region{number}.ply"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode() + points.tobytes() + faces.tobytes())
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    scans = tmp_path / "scans"
    region(scans, TRAIN, 0, [1, 2, 3, -1])
    region(scans, TRAIN, 10, [6, 9])
    # Unzipped into the house's own folder.
    region(scans / VAL, VAL, 2, [4, 5, 7, 8])
    region(scans, TEST, 1, [1])
    table(scans / "category_mapping.tsv")
    return scans


def prepare(source: Path, store: Path, *options: str) -> int:
    return matterport3d.main([str(source), str(store), "--workers", "1", "--classes", "3", *options])


def test_regions_become_scenes_with_classes_by_the_faces_of_a_vertex(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "store") == 0
    store = Store.open(tmp_path / "store")
    assert store.splits() == {
        "train": [f"{TRAIN}_region0", f"{TRAIN}_region10"],
        "val": [f"{VAL}_region2"],
        "test": [f"{TEST}_region1"],
    }
    # The first three classes of the table: lamps come after them, and void and unknown are none.
    assert store.label_space.name == "matterport3" and store.label_space.names == ("wall", "door", "chair")
    assert store.label_space.raw_ids == (1, 2, 3) and store.label_space.unlabelled_raw_id == 0
    first = store.load(f"{TRAIN}_region0")
    assert first.raw_label is not None and first.rgb is not None and first.normal is not None
    # The centre has two doors by two categories, one wall and one nothing; rim vertices have one face or two.
    assert first.raw_label.tolist() == [2, 1, 1, 2, 0, 0]
    assert first.normal.tolist() == [[0, 0, 1]] * 6 and first.rgb[1].tolist() == [3, 4, 5]
    second, third = store.load(f"{TRAIN}_region10"), store.load(f"{VAL}_region2")
    assert second.raw_label is not None and third.raw_label is not None
    assert second.raw_label.tolist() == [1, 3, 1, 1]
    assert third.raw_label.tolist() == [0] * 6
    assert store.load(f"{TEST}_region1").raw_label is not None
    assert check.main([str(tmp_path / "store")]) == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_most_frequent_value_of_a_vertex_is_that_which_counting_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    faces, values = rng.integers(0, 30, (60, 3)), rng.integers(0, 5, 60)
    expected = []
    for vertex in range(32):
        votes = Counter(
            int(v) for face, v in zip(faces, values, strict=True) for corner in face if corner == vertex
        )
        expected.append(min(votes, key=lambda v: (-votes[v], v)) if votes else 0)
    assert majority(faces, values, 32).tolist() == expected


def test_the_table_may_lie_beside_the_houses_or_be_given(source: Path, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (source / "category_mapping.tsv").rename(tmp_path / "metadata" / "category_mapping.tsv")
    assert prepare(source, tmp_path / "store") == 0
    (tmp_path / "metadata" / "category_mapping.tsv").rename(tmp_path / "mine.tsv")
    assert prepare(source, tmp_path / "store") == 2
    assert prepare(source, tmp_path / "store", "--mapping", str(tmp_path / "mine.tsv")) == 0


def test_the_splits_are_those_of_the_release() -> None:
    assert Counter(split_of_houses().values()) == {"train": 61, "val": 11, "test": 18}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "metadata/category_mapping.tsv of the release"),
        ("index,nyuClass\n1,wall\n", "a table with tabs"),
        ("index\tnyuClass\n1\twall\n", "it has 1 classes, fewer than 3"),
        ("index\tnyuClass\none\twall\n", "line 2: 'one' is no number"),
    ],
)
def test_a_table_that_is_missing_or_wrong_ends_it(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = source / "category_mapping.tsv"
    file.unlink() if text is None else file.write_text(text)
    assert prepare(source, tmp_path / "store") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "store").exists()


def test_other_folders_and_houses_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(tmp_path / "scans" / TRAIN, tmp_path / "store") == 2
    assert "expected <house>/region_segmentations/region0.ply" in " ".join(capsys.readouterr().err.split())
    region(source, "myhouse", 0, [1])
    assert prepare(source, tmp_path / "store") == 2
    assert "'myhouse' is no house of Matterport3D" in " ".join(capsys.readouterr().err.split())


def test_a_damaged_region_is_named_and_the_others_go_on(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = region(source, TRAIN, 3, [1, 1])
    cut.write_bytes(cut.read_bytes()[:-5])
    region(source, TRAIN, 4, [1], field="colour_id")
    region(source, TRAIN, 5, [77])
    assert prepare(source, tmp_path / "store") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "region3.ply: cannot be read as PLY" in told
    assert "region4.ply: its faces have no category_id" in told
    assert "category 77, but the table ends at 9" in told
    assert len(Store.open(tmp_path / "store").entries) == 4
