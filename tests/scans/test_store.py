"""The store: writing, reading, continuing, refusing."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.scans import store_writer
from pointseg.scans.store import Store, StoreWriter
from pointseg.scans.store_layout import check_scene_name

SPACE = LabelSpace("toy", (3, 900, 7), ("a", "b", "c"), ("", "", ""), ((0, 0, 0),) * 3, 0)


def scene(name: str = "room", labels: list[int] | None = None, **changes: Any) -> Scene:
    raw = np.array([3, 3, 900, 0, 5] if labels is None else labels, dtype=np.int32)
    rows = np.arange(15, dtype=np.float32).reshape(5, 3)
    arrays: dict[str, Any] = {
        "xyz_m": rows,
        "rgb": rows.astype(np.uint8),
        "normal": rows / 10,
        "raw_label": raw,
        "instance": np.array([-1, 0, 1, -1, 2], dtype=np.int32),
    }
    return Scene(name, **{**arrays, **changes})


def filled(path: Path) -> Store:
    writer = StoreWriter(path, SPACE, options={"source": "test"})
    writer.add(scene("b"), "train")
    writer.add(scene("a", [7, 7, 7, 3, 3]), "train", {"offset": [1.5, 2, 3]})
    writer.add(scene("bare", rgb=None, normal=None, raw_label=None, instance=None), "test")
    writer.finish()
    return Store.open(path)


def edit_manifest(path: Path, **changes: Any) -> None:
    """By a person who means it: with the digest gone."""
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["digest"]
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_a_scene_reads_back_equal_as_read_only_memory_maps(tmp_path: Path) -> None:
    loaded, given = filled(tmp_path / "s").load("b"), scene("b")
    for array in ("xyz_m", "rgb", "normal", "raw_label", "instance"):
        values = getattr(loaded, array)
        np.testing.assert_array_equal(values, getattr(given, array))
        assert values.dtype == getattr(given, array).dtype
        assert isinstance(values, np.memmap) and not values.flags.writeable


def test_what_a_scene_lacks_stays_none(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    bare = store.load("bare")
    assert (bare.rgb, bare.normal, bare.raw_label, bare.instance) == (None,) * 4
    assert not store.has_labels("bare") and store.has_labels("a") and not store.has_colors("bare")


def test_splits_list_their_scenes_sorted(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    assert store.splits() == {"train": ["a", "b"], "test": ["bare"]}
    assert store.scene_names("train") == ["a", "b"] and store.num_vertices("a") == 5


def test_the_label_space_and_the_options_come_back(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    assert store.label_space == SPACE and store.options == {"source": "test"}
    assert store.entry("a")["notes"] == {"offset": [1.5, 2, 3]}


def test_class_statistics_count_points_and_scenes_without_reading_a_scene(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    for file in (tmp_path / "s" / "scenes").glob("*/*.npy"):
        file.unlink()
    statistics = store.class_statistics("train")
    assert statistics.points.tolist() == [4, 1, 3]
    assert statistics.samples.tolist() == [2, 1, 1]
    assert statistics.num_samples == 2


def test_class_statistics_of_an_unlabelled_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no scene of split 'test' is labelled"):
        filled(tmp_path / "s").class_statistics("test")


def test_an_unknown_split_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'val'; it holds train \(2 scenes\), test \(1 scenes\)"):
        filled(tmp_path / "s").scene_names("val")


def test_an_unknown_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no scene 'attic'"):
        filled(tmp_path / "s").load("attic")


def test_a_store_can_be_sent_to_a_loader_worker(tmp_path: Path) -> None:
    store = pickle.loads(pickle.dumps(filled(tmp_path / "s")))
    assert store.load("a").num_vertices == 5


def test_a_stopped_preparation_is_not_a_store_yet(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "s", SPACE).add(scene(), "train")
    with pytest.raises(ValueError, match="stopped before the end"):
        Store.open(tmp_path / "s")


def test_a_stopped_preparation_continues_with_its_scenes(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "s", SPACE).add(scene("first"), "train")
    writer = StoreWriter(tmp_path / "s", SPACE)
    assert writer.has("first") and not writer.has("second")
    writer.add(scene("second"), "val")
    writer.finish()
    assert Store.open(tmp_path / "s").splits() == {"train": ["first"], "val": ["second"]}


def test_a_scene_that_was_half_written_is_absent_and_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    # As if the power had gone before the rename: no clean-up runs.
    monkeypatch.setattr(store_writer.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(store_writer, "move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        writer.add(scene(), "train")
    monkeypatch.undo()
    assert len(list((tmp_path / "s" / ".partial").iterdir())) == 1
    writer = StoreWriter(tmp_path / "s", SPACE)
    assert not writer.has("room") and not (tmp_path / "s" / ".partial").exists()
    writer.finish()
    assert Store.open(tmp_path / "s").splits() == {}


def test_a_scene_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    with pytest.raises(ValueError, match=r"rgb\.npy: expected uint8; got int64"):
        writer.add(scene(rgb=np.zeros((5, 3), dtype=np.int64)), "train")
    assert not writer.has("room") and list((tmp_path / "s" / ".partial").iterdir()) == []


def test_adding_a_scene_again_replaces_it(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    writer.add(scene(), "train")
    writer.add(scene(labels=[7] * 5, rgb=None), "val")
    writer.finish()
    store = Store.open(tmp_path / "s")
    loaded = store.load("room")
    assert loaded.raw_label is not None and loaded.raw_label.tolist() == [7] * 5 and loaded.rgb is None
    assert store.splits() == {"val": ["room"]}


def test_a_writer_knows_in_which_split_a_scene_is(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    writer.add(scene(), "train")
    assert writer.has("room", "train") and not writer.has("room", "val") and not writer.has("hall", "train")


def test_finishing_may_add_the_groups_that_follow_from_the_counts(tmp_path: Path) -> None:
    groups = LabelSpace("toy", SPACE.raw_ids, SPACE.names, ("head", "tail", "common"), SPACE.colors, 0)
    writer = StoreWriter(tmp_path / "s", SPACE)
    writer.add(scene(), "train")
    writer.finish(groups)
    assert Store.open(tmp_path / "s").label_space.groups == ("head", "tail", "common")
    StoreWriter(tmp_path / "s", SPACE)


def test_a_store_is_not_continued_with_other_options(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE, options={"axis_aligned": True})
    writer.add(scene("a", [7, 7, 7, 3, 3]), "train")
    with pytest.raises(ValueError, match=r"other options .axis_aligned: True then, False now"):
        StoreWriter(tmp_path / "s", SPACE, options={"axis_aligned": False})


def test_a_store_is_not_continued_with_other_classes(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    fewer = LabelSpace("toy", (3, 7), ("a", "c"), ("", ""), ((0, 0, 0),) * 2, 0)
    with pytest.raises(ValueError, match=r"other classes .900: 'b' then, None now"):
        StoreWriter(tmp_path / "s", fewer, options={"source": "test"})


def test_a_store_without_a_scene_takes_corrected_classes_and_options(tmp_path: Path) -> None:
    StoreWriter(tmp_path / "s", SPACE, options={"label_name": "wrong"})
    fewer = LabelSpace("toy", (3, 7), ("a", "c"), ("", ""), ((0, 0, 0),) * 2, 0)
    StoreWriter(tmp_path / "s", fewer, options={"label_name": "right"}).finish()
    assert Store.open(tmp_path / "s").label_space.raw_ids == (3, 7)


def test_a_store_with_scenes_takes_further_classes(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    more = LabelSpace(
        "toy", (*SPACE.raw_ids, 5), (*SPACE.names, "new"), (*SPACE.groups, ""), (*SPACE.colors, (1, 1, 1)), 0
    )
    StoreWriter(tmp_path / "s", more, options={"source": "test"}).finish()
    assert Store.open(tmp_path / "s").label_space.raw_ids == (*SPACE.raw_ids, 5)


def test_a_folder_with_something_else_is_not_made_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="not empty and no store"):
        StoreWriter(tmp_path, SPACE)


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", "", ".", "..", ".hidden", "a\nb", "c:", "x" * 201])
def test_a_name_with_path_parts_is_refused(tmp_path: Path, name: str) -> None:
    writer = StoreWriter(tmp_path / "s", SPACE)
    with pytest.raises(ValueError, match="cannot be a scene's name"):
        writer.add(scene(name), "train")


def test_a_manifest_with_a_path_for_a_name_reads_nothing_outside(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    edit_manifest(tmp_path / "s", scenes={"../../s/scenes/a": store.entries["a"]})
    with pytest.raises(ValueError, match="cannot be a scene's name"):
        Store.open(tmp_path / "s").load("../../s/scenes/a")


def test_positions_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    xyz = np.ones((5, 3), dtype=np.float32)
    xyz[[1, 3], 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="room: 2 vertices have positions that are NaN"):
        StoreWriter(tmp_path / "s", SPACE).add(scene(xyz_m=xyz), "train")


def test_an_empty_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no vertex"):
        StoreWriter(tmp_path / "s", SPACE).add(Scene("void", np.empty((0, 3), np.float32)), "train")


def test_a_folder_without_manifest_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no store here"):
        Store.open(tmp_path)


def test_another_format_version_says_who_wrote_it(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    edit_manifest(tmp_path / "s", format_version=99, package_version="7.0")
    with pytest.raises(ValueError, match=r"store format 99.*reads format 1.*7\.0"):
        Store.open(tmp_path / "s")


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format_version": ')
    with pytest.raises(ValueError, match=r"manifest\.json: not a store's manifest"):
        Store.open(tmp_path)


def test_a_manifest_without_its_scenes_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    (tmp_path / "s" / "manifest.json").write_text(json.dumps({"format_version": 1}))
    with pytest.raises(ValueError, match=r"incomplete manifest, .*'scenes'"):
        Store.open(tmp_path / "s")


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    (tmp_path / "s" / "scenes" / "a" / "rgb.npy").unlink()
    with pytest.raises(ValueError, match=r"a/rgb\.npy: cannot be read"):
        store.load("a")


def test_an_array_of_another_length_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    np.save(tmp_path / "s" / "scenes" / "a" / "raw_label.npy", np.zeros(4, dtype=np.int32))
    with pytest.raises(ValueError, match="expected 5 rows of int32; got 4 of int32"):
        store.load("a")


def test_pickled_arrays_are_never_unpickled(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    np.save(tmp_path / "s" / "scenes" / "a" / "rgb.npy", np.array([{}] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a/rgb\.npy: cannot be read"):
        store.load("a")


def test_a_name_may_have_200_bytes_and_no_more() -> None:
    assert check_scene_name("é" * 100) == "é" * 100
    with pytest.raises(ValueError, match="1 to 200 bytes"):
        check_scene_name("é" * 100 + "a")
