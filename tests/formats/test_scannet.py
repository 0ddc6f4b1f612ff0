"""Raw ScanNet scenes and the tables around them; every quirk of the release is one test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointseg.core.labels import load_label_space
from pointseg.formats.ply import write_scannet_mesh
from pointseg.formats.scannet import (
    SegmentGroup,
    label_vertices,
    read_aggregation,
    read_metadata,
    read_scannet_scene,
)
from pointseg.formats.scannet_tables import (
    find_scene_folders,
    read_label_table,
    read_split_lists,
    shipped_label_table,
    shipped_splits,
    shipped_vertex_counts,
)

SCANNET200, SCANNET20 = load_label_space("scannet200"), load_label_space("scannet20")
NAME = "scene0000_00"
# A floor triangle (segment 70) and a wall quad (segments 5 and 9).
XYZ = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4]])
RGBA = np.arange(20, dtype=np.uint8).reshape(5, 4)
SEGMENT = [70, 70, 70, 5, 9]
IDS = {"wall": 1, "floor": 3, "mattress": 1191, "object outside the set": 0}


def group(object_id: int, label: str, *segments: int) -> dict[str, Any]:
    return {"id": object_id, "objectId": object_id, "segments": list(segments), "label": label}


GROUPS = [group(0, "floor", 70), group(1, "wall", 5, 9)]


def write_scene(folder: Path, *, labelled: bool = True, text: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_scannet_mesh(folder / f"{NAME}_vh_clean_2.ply", XYZ, RGBA, FACES)
    if labelled:
        write_segments(folder, {"sceneId": NAME, "segIndices": SEGMENT})
        write_aggregation(folder, {"sceneId": NAME, "segGroups": GROUPS})
    if text is not None:
        (folder / f"{NAME}.txt").write_text(text)


def write_segments(folder: Path, data: Any) -> None:
    (folder / f"{NAME}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(data))


def write_aggregation(folder: Path, data: Any) -> None:
    (folder / f"{NAME}.aggregation.json").write_text(json.dumps(data))


def label_of(groups: list[SegmentGroup], ids: dict[str, int] | None = None) -> tuple[list[int], list[int]]:
    label, instance, _ = label_vertices(np.array(SEGMENT), groups, IDS if ids is None else ids)
    return label.tolist(), instance.tolist()


# Meshes and labels


def test_a_scene_keeps_its_vertices_colours_labels_and_objects_in_file_order(tmp_path: Path) -> None:
    write_scene(tmp_path)
    scene, _ = read_scannet_scene(tmp_path, NAME, IDS)
    assert scene.rgb is not None and scene.raw_label is not None and scene.instance is not None
    np.testing.assert_array_equal(scene.xyz_m, XYZ)
    np.testing.assert_array_equal(scene.rgb, RGBA[:, :3])
    assert scene.raw_label.tolist() == [3, 3, 3, 1, 1] and scene.instance.tolist() == [0, 0, 0, 1, 1]


def test_normals_come_from_the_faces(tmp_path: Path) -> None:
    write_scene(tmp_path)
    scene, _ = read_scannet_scene(tmp_path, NAME, None)
    assert scene.normal is not None
    np.testing.assert_allclose(scene.normal[[2, 4]], [[0, 0, 1], [0, -1, 0]])


def test_colours_are_never_taken_from_the_labels_mesh(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_scannet_mesh(
        tmp_path / f"{NAME}_vh_clean_2.labels.ply", XYZ, 255 - RGBA, FACES, np.ones(5, dtype=np.uint16)
    )
    scene, _ = read_scannet_scene(tmp_path, NAME, IDS)
    assert scene.rgb is not None and scene.rgb.tolist() == RGBA[:, :3].tolist()


def test_a_test_scene_needs_no_label_files(tmp_path: Path) -> None:
    write_scene(tmp_path, labelled=False)
    scene, _ = read_scannet_scene(tmp_path, NAME, None)
    assert scene.raw_label is None and scene.instance is None


def test_vertices_of_no_object_have_label_zero_and_instance_minus_one() -> None:
    assert label_of([SegmentGroup(0, "floor", (70,))]) == ([3, 3, 3, 0, 0], [0, 0, 0, -1, -1])


def test_later_groups_overwrite_earlier_ones_also_with_nothing() -> None:
    groups = [
        SegmentGroup(0, "wall", (5, 9)),
        SegmentGroup(1, "mattress", (9,)),
        SegmentGroup(2, "object outside the set", (5,)),
    ]
    assert label_of(groups) == ([0, 0, 0, 0, 1191], [-1, -1, -1, 2, 1])


def test_a_category_that_the_table_lacks_is_unlabelled_and_counted() -> None:
    groups = [SegmentGroup(0, "hologram", (5,)), SegmentGroup(1, "hologram", (9,))]
    label, instance, report = label_vertices(np.array(SEGMENT), groups, IDS)
    assert label.tolist() == [0] * 5 and instance.tolist() == [-1, -1, -1, 0, 1]
    assert report.unknown_categories == {"hologram": 2}


def test_categories_match_with_case_and_blanks() -> None:
    groups = [SegmentGroup(0, "Wall", (5,)), SegmentGroup(1, "wall ", (9,))]
    assert label_of(groups)[0] == [0] * 5


def test_objects_that_are_listed_twice_keep_their_first_number() -> None:
    groups = [SegmentGroup(0, "floor", (70,)), SegmentGroup(1, "wall", (5, 9))]
    again = [SegmentGroup(31, "floor", (70,)), SegmentGroup(32, "wall", (9, 5))]
    label, instance, report = label_vertices(np.array(SEGMENT), groups + again, IDS)
    assert instance.tolist() == [0, 0, 0, 1, 1] and label.tolist() == [3, 3, 3, 1, 1]
    assert report.repeated_objects == 2


def test_labels_equal_those_of_a_plain_loop_over_vertices() -> None:
    generator = np.random.default_rng(0)
    segment = generator.integers(0, 50, 400) * 977 - 3
    names = [*IDS, "unknown"]
    groups = [
        SegmentGroup(i, str(generator.choice(names)), tuple(generator.choice(segment, 6).tolist()))
        for i in range(20)
    ]
    label, instance, _ = label_vertices(segment, groups, IDS)
    for vertex, own in enumerate(segment.tolist()):
        expected = (0, -1)
        for g in groups:
            if own in g.segments:
                expected = (IDS.get(g.category, 0), g.object_id)
        assert (label[vertex], instance[vertex]) == expected


def test_scene_ids_may_begin_with_scannet(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_segments(tmp_path, {"sceneId": f"scannet.{NAME}", "segIndices": SEGMENT})
    write_aggregation(tmp_path, {"sceneId": f"scannet.{NAME}", "segGroups": GROUPS})
    scene, _ = read_scannet_scene(tmp_path, NAME, IDS)
    assert scene.raw_label is not None and scene.raw_label[0] == 3


def test_files_of_another_scene_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_aggregation(tmp_path, {"sceneId": "scene0001_00", "segGroups": GROUPS})
    with pytest.raises(ValueError, match=r"aggregation\.json: it is of scene 'scene0001_00'"):
        read_scannet_scene(tmp_path, NAME, IDS)


def test_the_aggregation_of_the_high_resolution_mesh_is_refused(tmp_path: Path) -> None:
    data = {"segmentsFile": f"scannet.{NAME}_vh_clean.segs.json", "segGroups": GROUPS}
    write_aggregation(tmp_path, data)
    with pytest.raises(ValueError, match="belongs to the high-resolution mesh"):
        read_aggregation(tmp_path / f"{NAME}.aggregation.json", NAME)


def test_an_aggregation_whose_segments_are_not_in_the_mesh_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_aggregation(tmp_path, {"segGroups": [group(0, "wall", 1001, 1002), group(1, "floor", 70)]})
    with pytest.raises(ValueError, match="2 of its 3 segments are not in"):
        read_scannet_scene(tmp_path, NAME, IDS)


def test_segments_of_another_number_of_vertices_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_segments(tmp_path, {"segIndices": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"segs\.json: it has 3 vertices, but .*_vh_clean_2\.ply has 5"):
        read_scannet_scene(tmp_path, NAME, IDS)


def test_broken_json_is_named(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / f"{NAME}.aggregation.json").write_text('{"segGroups": [')
    with pytest.raises(ValueError, match=r"aggregation\.json: broken JSON"):
        read_scannet_scene(tmp_path, NAME, IDS)


def test_binary_rubbish_for_json_is_named(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / f"{NAME}.aggregation.json").write_bytes(b"\x80\x81\x00")
    with pytest.raises(ValueError, match=r"aggregation\.json: broken JSON"):
        read_scannet_scene(tmp_path, NAME, IDS)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"segIndices": "5"},
        {"segIndices": [1.5] * 5},
        {},
        {"segIndices": [[1], 2]},
        {"segIndices": [2**70]},
    ],
)
def test_segments_that_are_no_list_of_integers_are_refused(tmp_path: Path, data: Any) -> None:
    write_scene(tmp_path)
    write_segments(tmp_path, data)
    with pytest.raises(ValueError, match=r"segs\.json: (expected a JSON object|'segIndices' must be)"):
        read_scannet_scene(tmp_path, NAME, IDS)


@pytest.mark.parametrize(
    "bad",
    [
        {"label": "wall"},
        {"label": "wall", "id": 1, "segments": 5},
        {"label": "wall", "id": 1, "segments": [1.5]},
        {"label": "wall", "id": 1, "segments": [2**70]},
        {"label": "wall", "id": 2**40, "segments": [1]},
        "wall",
    ],
)
def test_an_object_without_its_parts_is_named_by_position(tmp_path: Path, bad: Any) -> None:
    write_aggregation(tmp_path, {"segGroups": [GROUPS[0], bad]})
    with pytest.raises(ValueError, match=r"segGroups\[1\] must have"):
        read_aggregation(tmp_path / f"{NAME}.aggregation.json", NAME)


def test_a_labelled_scene_without_segments_names_the_missing_file(tmp_path: Path) -> None:
    write_scene(tmp_path, labelled=False)
    with pytest.raises(FileNotFoundError, match=r"vh_clean_2\.0\.010000\.segs\.json: no such file"):
        read_scannet_scene(tmp_path, NAME, IDS)


# The text file


def test_metadata_values_stay_text_and_split_at_the_first_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("sceneType = Bedroom / Hotel = 5\r\nfx = 1\nno pair here\n")
    assert read_metadata(tmp_path / "s.txt") == {"sceneType": "Bedroom / Hotel = 5", "fx": "1"}


QUARTER_TURN = "axisAlignment = 0 -1 0 10 1 0 0 20 0 0 1 30 0 0 0 1 \nsceneType = Office\n"


def test_scenes_are_not_aligned_unless_asked(tmp_path: Path) -> None:
    write_scene(tmp_path, text=QUARTER_TURN)
    scene, report = read_scannet_scene(tmp_path, NAME, IDS)
    assert scene.xyz_m[1].tolist() == [1, 0, 0] and not report.axis_aligned
    assert report.scene_type == "Office"


def test_axis_alignment_multiplies_column_vectors_and_turns_the_normals(tmp_path: Path) -> None:
    write_scene(tmp_path, text=QUARTER_TURN)
    scene, report = read_scannet_scene(tmp_path, NAME, IDS, axis_align=True)
    assert scene.normal is not None and report.axis_aligned
    np.testing.assert_allclose(scene.xyz_m[1], [10, 21, 30])
    np.testing.assert_allclose(scene.normal[4], [1, 0, 0], atol=1e-6)


def test_a_scene_without_alignment_stays_as_it_is(tmp_path: Path) -> None:
    write_scene(tmp_path, text="sceneType = Office\n")
    scene, report = read_scannet_scene(tmp_path, NAME, IDS, axis_align=True)
    np.testing.assert_array_equal(scene.xyz_m, XYZ)
    assert not report.axis_aligned


def test_an_alignment_that_is_no_matrix_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, text="axisAlignment = 1 0 0\n")
    with pytest.raises(ValueError, match=r"scene0000_00\.txt: axisAlignment must be 16 numbers"):
        read_scannet_scene(tmp_path, NAME, IDS, axis_align=True)


# The label table


def test_the_shipped_table_leads_245_categories_to_scannet200_and_148_to_scannet20() -> None:
    for space, expected in ((SCANNET200, 245), (SCANNET20, 148)):
        table = read_label_table(shipped_label_table(), space)
        assert len(table.category_ids) == 606
        assert sum(value != 0 for value in table.category_ids.values()) == expected


def test_the_two_label_sets_read_different_columns() -> None:
    wide = read_label_table(shipped_label_table(), SCANNET200).category_ids
    narrow = read_label_table(shipped_label_table(), SCANNET20).category_ids
    assert (wide["bed"], narrow["bed"]) == (11, 4) and (wide["table"], narrow["table"]) == (4, 7)
    assert (wide["mattress"], narrow["object"]) == (1191, 0)


def table_text(rows: list[str]) -> str:
    return "\n".join(["id\traw_category\tcategory\tnyu40id\tnyu40class", *rows])


def test_line_ends_and_the_last_one_do_not_matter(tmp_path: Path) -> None:
    text = table_text(["1\twall\twall\t1\twall", "3\tfloor\tfloor\t2\tfloor"])
    tables = []
    for number, (end, last) in enumerate((("\n", ""), ("\r\n", "\r\n"), ("\r\r\n", "\r\r\n"))):
        file = tmp_path / f"{number}.tsv"
        file.write_bytes((text.replace("\n", end) + last).encode())
        tables.append(read_label_table(file, SCANNET200))
    assert tables[0].category_ids == {"wall": 1, "floor": 3}
    assert tables[0] == tables[1] == tables[2]


def test_the_older_table_with_stick_is_read_as_it_stands(tmp_path: Path) -> None:
    rows = ["1163\tobject\tobject\t40\totherprop", "1163\tstick\tstick\t40\totherprop"]
    (tmp_path / "old.tsv").write_text(table_text(rows))
    assert read_label_table(tmp_path / "old.tsv", SCANNET200).category_ids == {"object": 1163, "stick": 1163}


def test_the_first_row_of_a_category_counts(tmp_path: Path) -> None:
    rows = ["1\twall\twall\t1\twall", "3\twall\tfloor\t2\tfloor"]
    (tmp_path / "t.tsv").write_text(table_text(rows))
    assert read_label_table(tmp_path / "t.tsv", SCANNET200).category_ids == {"wall": 1}


def test_empty_cells_are_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(table_text(["1\twall\twall\t1\twall", "\tghost\tghost\t\t"]))
    assert read_label_table(tmp_path / "t.tsv", SCANNET200).category_ids["ghost"] == 0


def test_a_table_without_the_id_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v1.tsv").write_text("index\traw_category\tcategory\n1\twall\twall\n")
    with pytest.raises(ValueError, match=r"v1\.tsv: no column \['id'\].*another version"):
        read_label_table(tmp_path / "v1.tsv", SCANNET200)


def test_a_table_whose_ids_mean_other_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(table_text(["1\tfloor\tfloor\t2\tfloor", "3\twall\twall\t1\twall"]))
    with pytest.raises(ValueError, match=r"t\.tsv: .*1 is 'floor', not 'wall'.*another version"):
        read_label_table(tmp_path / "t.tsv", SCANNET200)


def test_a_table_with_words_for_ids_is_refused_by_row(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(table_text(["1\twall\twall\t1\twall", "two\tchair\tchair\t5\tchair"]))
    with pytest.raises(ValueError, match="row 3: column 'id' must be a number; got 'two'"):
        read_label_table(tmp_path / "t.tsv", SCANNET200)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("")
    with pytest.raises(ValueError, match=r"t\.tsv: no column"):
        read_label_table(tmp_path / "t.tsv", SCANNET200)


# Splits and layouts


def test_the_shipped_splits_have_1201_312_and_100_scans_of_known_size() -> None:
    split_of, counts = read_split_lists(shipped_splits()), shipped_vertex_counts()
    sizes = [sum(value == split for value in split_of.values()) for split in ("train", "val", "test")]
    assert sizes == [1201, 312, 100] and split_of["scene0707_00"] == "test"
    assert set(split_of) == set(counts) and counts[NAME] == 81369


def test_a_scene_in_two_split_lists_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / f"scannetv2_{split}.txt").write_text(f"{NAME}\n")
    with pytest.raises(ValueError, match=r"scannetv2_val\.txt: scene scene0000_00 is in .* 'train'"):
        read_split_lists(tmp_path)


def test_a_folder_without_split_lists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no split list"):
        read_split_lists(tmp_path)


def test_scenes_are_found_in_scans_and_scans_test_and_flat(tmp_path: Path) -> None:
    write_scene(tmp_path / "scans" / NAME)
    (tmp_path / "scans_test" / "scene0707_00").mkdir(parents=True)
    (tmp_path / "scene0005_01").mkdir()
    (tmp_path / "tasks").mkdir()
    found = find_scene_folders(tmp_path)
    assert list(found) == [NAME, "scene0005_01", "scene0707_00"]
    assert found[NAME] == tmp_path / "scans" / NAME


def test_meshes_that_lie_in_one_folder_are_found(tmp_path: Path) -> None:
    write_scene(tmp_path)
    assert find_scene_folders(tmp_path) == {NAME: tmp_path}


def test_of_two_folders_of_a_scene_the_one_with_the_mesh_counts(tmp_path: Path) -> None:
    (tmp_path / "scans" / NAME).mkdir(parents=True)
    write_scene(tmp_path / "scans_test" / NAME)
    assert find_scene_folders(tmp_path) == {NAME: tmp_path / "scans_test" / NAME}


def test_a_folder_without_scenes_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no scene here"):
        find_scene_folders(tmp_path)
