"""The files of a generated scene: their bytes, their agreement, their quirks."""

import json
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import load_label_space
from pointseg.formats.ply import read_ply
from pointseg.formats.scannet import axis_alignment, read_metadata, read_scannet_scene
from pointseg.formats.scannet_tables import read_label_table, shipped_label_table
from pointseg.synthetic import writer
from pointseg.synthetic.model import RoomModel
from pointseg.synthetic.scan import Scan
from pointseg.synthetic.writer import nyu40_ids, write_scene

NAME = "scene0191_00"


@pytest.fixture(scope="module")
def folder(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = tmp_path_factory.mktemp("raw") / "scans"
    write_scene(scans, NAME, scan, np.random.default_rng(0), labelled=True)
    return scans / NAME


@pytest.fixture(scope="module")
def category_ids() -> dict[str, int]:
    return dict(read_label_table(shipped_label_table(), load_label_space("scannet200")).category_ids)


def header(path: Path) -> list[str]:
    return path.read_bytes().split(b"end_header\n")[0].decode().splitlines()


def test_a_labelled_scene_has_exactly_the_five_files_for_this_task(folder: Path) -> None:
    assert sorted(path.name.removeprefix(NAME) for path in folder.iterdir()) == [
        ".aggregation.json",
        ".txt",
        "_vh_clean_2.0.010000.segs.json",
        "_vh_clean_2.labels.ply",
        "_vh_clean_2.ply",
    ]


def test_the_mesh_has_the_layout_and_the_size_of_the_original(folder: Path, scan: Scan) -> None:
    path = folder / f"{NAME}_vh_clean_2.ply"
    lines = header(path)
    assert lines == [
        "ply",
        "format binary_little_endian 1.0",
        "comment VCGLIB generated",
        f"element vertex {scan.num_vertices}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue", "alpha")),
        f"element face {len(scan.faces)}",
        "property list uchar int vertex_indices",
    ]
    size = len("\n".join([*lines, "end_header", ""]))
    assert path.stat().st_size == size + 16 * scan.num_vertices + 13 * len(scan.faces)


def test_the_label_mesh_has_the_same_vertices_nyu40_ids_and_a_varying_alpha(folder: Path, scan: Scan) -> None:
    path = folder / f"{NAME}_vh_clean_2.labels.ply"
    lines = header(path)
    assert lines[2] == "comment MLIB generated"
    assert lines[11] == "property ushort label"
    mesh, labels = read_ply(folder / f"{NAME}_vh_clean_2.ply"), read_ply(path)
    assert np.array_equal(mesh.xyz, labels.xyz)
    assert labels.label is not None
    bed = [thing.raw_category for thing in scan.objects].index("bed")
    assert set(labels.label[(scan.object == bed) & scan.annotated].tolist()) == {4}
    start = path.read_bytes().index(b"end_header\n") + len(b"end_header\n")
    vertices = np.frombuffer(path.read_bytes(), np.uint8, 18 * scan.num_vertices, start).reshape(-1, 18)
    assert len(np.unique(vertices[:, 15])) > 100


def test_reading_the_scene_gives_the_labels_of_the_scan(
    folder: Path, scan: Scan, category_ids: dict[str, int]
) -> None:
    scene, report = read_scannet_scene(folder, NAME, category_ids)
    assert np.array_equal(scene.xyz_m, scan.xyz_m)
    assert np.array_equal(scene.rgb, scan.rgb)
    assert np.array_equal(scene.raw_label, scan.raw_label())
    assert report.scene_type == "Bedroom / Hotel"


@pytest.mark.parametrize("quirk", ["LISTED_TWICE", "CLAIMED_EARLY", "UNKNOWN", "PREFIXED"])
def test_no_quirk_changes_a_label(
    quirk: str,
    scan: Scan,
    category_ids: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LISTED_TWICE", "CLAIMED_EARLY", "UNKNOWN", "PREFIXED"):
        monkeypatch.setattr(writer, name, 1.0 if name == quirk else 0.0)
    write_scene(tmp_path, NAME, scan, np.random.default_rng(3), labelled=True)
    scene, report = read_scannet_scene(tmp_path / NAME, NAME, category_ids)
    assert np.array_equal(scene.raw_label, scan.raw_label())
    groups = json.loads((tmp_path / NAME / f"{NAME}.aggregation.json").read_text())["segGroups"]
    listed = [segment for group in groups for segment in group["segments"]]
    doubled = len(listed) != len(set(listed))
    segs = json.loads((tmp_path / NAME / f"{NAME}_vh_clean_2.0.010000.segs.json").read_text())
    shown = {
        "LISTED_TWICE": report.repeated_objects == len(groups) / 2,
        "CLAIMED_EARLY": doubled and report.repeated_objects == 0,
        "UNKNOWN": writer.UNKNOWN_CATEGORY in report.unknown_categories,
        "PREFIXED": segs["sceneId"] == f"scannet.{NAME}",
    }
    assert [name for name, seen in shown.items() if seen] == [quirk]


def test_segments_are_one_integer_a_vertex_with_parameters_as_text(folder: Path, scan: Scan) -> None:
    segs = json.loads((folder / f"{NAME}_vh_clean_2.0.010000.segs.json").read_text())
    assert segs["segIndices"] == scan.segment.tolist()
    assert segs["params"]["kThresh"] == "0.0001"
    assert all(isinstance(value, str) for value in segs["params"].values())


def test_object_numbers_count_from_zero(folder: Path) -> None:
    aggregation = json.loads((folder / f"{NAME}.aggregation.json").read_text())
    numbers = [(group["id"], group["objectId"]) for group in aggregation["segGroups"]]
    assert numbers == [(i, i) for i in range(len(numbers))]
    assert aggregation["segmentsFile"] == f"{NAME}_vh_clean_2.0.010000.segs.json"


def test_the_text_file_holds_the_alignment(folder: Path, scan: Scan) -> None:
    path = folder / f"{NAME}.txt"
    metadata = read_metadata(path)
    matrix = axis_alignment(path, metadata["axisAlignment"])
    assert np.array_equal(matrix, scan.axis_alignment)
    assert metadata["colorWidth"] == "1296"


def test_a_test_scene_has_only_its_mesh_and_a_text_without_alignment(scan: Scan, tmp_path: Path) -> None:
    write_scene(tmp_path, "scene0707_00", scan, np.random.default_rng(0), labelled=False)
    files = sorted(path.name for path in (tmp_path / "scene0707_00").iterdir())
    assert files == ["scene0707_00.txt", "scene0707_00_vh_clean_2.ply"]
    assert "axisAlignment" not in read_metadata(tmp_path / "scene0707_00" / "scene0707_00.txt")


def test_nothing_is_left_of_the_half_written_scene(folder: Path) -> None:
    assert [path.name for path in folder.parent.parent.iterdir()] == ["scans"]


def test_nyu40_ids_come_from_the_first_row_of_a_category() -> None:
    assert nyu40_ids()["wall"] == 1
    assert nyu40_ids()["bed"] == 4
    assert nyu40_ids()["office chair"] == 5


def test_the_room_has_an_object_of_a_category_outside_the_200(room: RoomModel) -> None:
    """Guards the fixture: the tests above must pass through that branch."""
    assert any(thing.raw_id == 0 and thing.annotated for thing in room.objects)
