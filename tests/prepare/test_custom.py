"""data_prep/custom.py: anybody's clouds -> store."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pointseg.formats.ply import write_ply
from pointseg.scans.store import Store


class Source:
    """A folder of clouds of four points on the ground, with classes 2, 6, 17 and the ignored 7."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.classes = path / "classes.csv"
        self.classes.write_text("raw_id,name,ignore\n2,ground,0\n6,building,0\n7,noise,1\n17,bridge,0\n")

    def add(self, name: str, labels: list[int] | None = None, **arrays: Any) -> None:
        xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=np.float64)
        file = self.path / f"{name}.npz"
        file.parent.mkdir(exist_ok=True)
        columns = {"xyz": xyz, **arrays}
        np.savez(file, **columns, **({} if labels is None else {"label": np.array(labels)}))

    def split(self, **split_of: str) -> None:
        rows = [f"{name},{split}" for name, split in split_of.items()]
        (self.path / "scenes.csv").write_text("\n".join(["scene,split", *rows]))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "clouds")


def prepare(script: ModuleType, source: Source, *options: str) -> tuple[int, Path]:
    store = source.path.parent / "store"
    command = [str(source.path), str(store), "--classes", str(source.classes), "--workers", "1"]
    return script.main([*command, *options]), store


def test_clouds_arrive_with_labels_and_normals_and_without_colour(source: Source, custom: ModuleType) -> None:
    source.add("a", [2, 2, 6, 7])
    source.add("b", [2, 2, 2, 17])
    source.split(a="train", b="val")
    code, path = prepare(custom, source)
    store = Store.open(path)
    scene = store.load("a")
    assert code == 0 and store.splits() == {"train": ["a"], "val": ["b"]}
    assert scene.raw_label is not None and scene.normal is not None and scene.rgb is None
    assert scene.raw_label.tolist() == [2, 2, 6, 7]
    np.testing.assert_allclose(scene.normal, [[0, 0, 1]] * 4)
    assert store.label_space.name == "clouds" and store.label_space.raw_ids == (2, 6, 17)


def test_ignored_labels_are_kept_but_count_for_nothing(
    source: Source, custom: ModuleType, check: ModuleType
) -> None:
    source.add("a", [2, 2, 6, 7])
    source.split(a="train")
    _, path = prepare(custom, source)
    assert Store.open(path).class_statistics("train").points.tolist() == [2, 1, 0]
    assert check.main([str(path)]) == 0


def test_groups_follow_from_the_training_points_alone(source: Source, custom: ModuleType) -> None:
    source.add("a", [6, 6, 2, 2])
    source.add("b", [6, 17, 17, 17])
    source.add("c", [17, 17, 17, 17])
    source.split(a="train", b="val", c="val")
    _, path = prepare(custom, source)
    # Training points: ground 2, building 2, bridge 0; a tie keeps the order of the table.
    assert Store.open(path).label_space.groups == ("head", "common", "tail")


def test_groups_of_the_table_come_before_the_counts(source: Source, custom: ModuleType) -> None:
    source.classes.write_text("raw_id,name,group\n2,ground,tail\n6,building,head\n")
    source.add("a", [2, 2, 2, 6])
    source.split(a="train")
    _, path = prepare(custom, source)
    assert Store.open(path).label_space.groups == ("tail", "head")


def test_folders_give_the_splits_where_there_is_no_table(source: Source, custom: ModuleType) -> None:
    source.add("train/a", [2, 2, 2, 6])
    source.add("test/b")
    code, path = prepare(custom, source)
    assert code == 0 and Store.open(path).splits() == {"train": ["a"], "test": ["b"]}
    assert not Store.open(path).has_labels("b")


def test_clouds_without_any_split_are_refused(
    source: Source, custom: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    source.add("a", [2, 2, 2, 6])
    code, path = prepare(custom, source)
    assert code == 2 and not path.exists()
    assert "nothing says which split a cloud belongs to" in capsys.readouterr().err


def test_map_coordinates_are_shifted_and_the_offset_is_kept(source: Source, custom: ModuleType) -> None:
    utm = np.array([[652_123.01, 6_862_000.02, 5]] * 4) + np.arange(4)[:, None]
    source.add("a", [2, 2, 2, 6], xyz=utm)
    source.split(a="train")
    _, path = prepare(custom, source)
    store = Store.open(path)
    assert store.entry("a")["notes"]["offset_m"] == [652_123, 6_862_000, 0]
    np.testing.assert_allclose(store.load("a").xyz_m[0], [0.01, 0.02, 5], atol=1e-6)


def test_a_ply_with_faces_takes_its_normals_from_them(source: Source, custom: ModuleType) -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    faces, labels = np.array([[0, 2, 1]]), np.array([2, 2, 6])
    write_ply(source.path / "m.ply", xyz, rgb=np.full((3, 3), 9, np.uint8), label=labels, faces=faces)
    source.split(m="train")
    _, path = prepare(custom, source)
    scene = Store.open(path).load("m")
    assert scene.normal is not None and scene.rgb is not None
    assert scene.normal.tolist() == [[0, 0, -1]] * 3 and scene.rgb.tolist() == [[9, 9, 9]] * 3


def test_normals_can_be_left_out(source: Source, custom: ModuleType) -> None:
    source.add("a", [2, 2, 2, 6])
    source.split(a="train")
    _, path = prepare(custom, source, "--no-normals")
    assert Store.open(path).load("a").normal is None


def test_a_label_outside_the_table_is_named_and_the_others_go_on(
    source: Source, custom: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    source.add("a", [2, 2, 65, 65])
    source.add("b", [2, 2, 2, 6])
    source.split(a="train", b="train")
    code, path = prepare(custom, source)
    assert code == 1 and list(Store.open(path).entries) == ["b"]
    assert "labels that the class table does not have: 65 (2 points)" in capsys.readouterr().err


def test_points_of_the_unlabelled_id_need_no_row(source: Source, custom: ModuleType) -> None:
    source.add("a", [2, 2, 6, 255])
    source.split(a="train")
    code, path = prepare(custom, source, "--unlabelled-id", "255")
    assert code == 0 and Store.open(path).label_space.unlabelled_raw_id == 255


@pytest.mark.parametrize(
    ("arrays", "labels", "message"),
    [
        ({}, None, "no labels"),
        ({"xyz": np.full((4, 3), np.nan)}, [2, 2, 2, 6], "4 of 4 points have no place"),
        ({"xyz": np.empty((0, 3))}, [], "the cloud has no point"),
    ],
)
def test_a_bad_cloud_is_named(
    source: Source,
    custom: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arrays: dict[str, Any],
    labels: list[int] | None,
    message: str,
) -> None:
    source.add("bad", labels, **arrays)
    source.add("good", [2, 2, 2, 6])
    source.split(bad="train", good="train")
    code, path = prepare(custom, source)
    assert code == 1 and list(Store.open(path).entries) == ["good"]
    assert f"bad.npz: {message}" in capsys.readouterr().err


def test_clouds_and_rows_without_each_other_are_listed(
    source: Source, custom: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    source.add("a", [2, 2, 2, 6])
    source.add("extra", [2, 2, 2, 6])
    source.split(a="train", lost="val")
    assert prepare(custom, source)[0] == 1
    errors = capsys.readouterr().err
    assert "extra.npz: not in scenes.csv" in errors and "lost: " in errors


def test_two_clouds_of_one_name_fail_and_the_others_go_on(
    source: Source, custom: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    source.add("train/a", [2, 2, 2, 6])
    source.add("val/a", [2, 2, 2, 6])
    source.add("train/b", [2, 2, 2, 6])
    code, path = prepare(custom, source)
    said = capsys.readouterr().err
    assert code == 1 and list(Store.open(path).entries) == ["b"]
    assert "train/a.npz" in said and "val/a.npz" in said and "scene names must differ" in said


def test_a_second_run_keeps_what_is_there_and_the_groups(source: Source, custom: ModuleType) -> None:
    source.add("a", [2, 2, 2, 6])
    source.split(a="train")
    prepare(custom, source)
    code, path = prepare(custom, source)
    assert code == 0 and Store.open(path).label_space.groups == ("head", "common", "tail")


def test_other_classes_do_not_continue_a_store(
    source: Source, custom: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    source.add("a", [2, 2, 2, 6])
    source.split(a="train")
    prepare(custom, source)
    source.classes.write_text("raw_id,name\n2,soil\n6,building\n")
    assert prepare(custom, source)[0] == 2
    assert "begun with other classes (2: 'ground' then, 'soil' now" in capsys.readouterr().err
