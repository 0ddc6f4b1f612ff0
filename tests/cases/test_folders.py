"""Folders, lists and tables as people have them: one odd file is named, and the others go on."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointseg.formats.ply import write_ply, write_scannet_mesh
from pointseg.prepare import custom, scannet
from pointseg.scans.store import Store

RNG = np.random.default_rng(0)


def cloud(path: Path, classes: tuple[int, ...] = (1, 2, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    label = RNG.choice(classes, 60)
    write_ply(path, RNG.random((60, 3)).astype(np.float32), rgb=np.zeros((60, 3), np.uint8), label=label)


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Clouds a and b to train on, c to validate on, with their classes."""
    for place in ("train/a", "train/b", "val/c"):
        cloud(tmp_path / "clouds" / f"{place}.ply")
    (tmp_path / "clouds" / "classes.csv").write_text("raw_id,name\n1,ground\n2,tree\n3,car\n")
    return tmp_path / "clouds"


def prepare(clouds: Path, *options: str) -> tuple[int, Path]:
    store = clouds.parent / "store"
    command = [str(clouds), str(store), "--classes", str(clouds / "classes.csv"), "--workers", "1"]
    return custom.main([*command, *options]), store


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        (b"train/._a.ply", b"\0\5\26\7" * 50, 0),
        (b"train/2024-05-01T12:30:00.ply", None, 1),
        (b"train/caf\xe9.ply", None, 1),
        (b"train/empty.ply", b"", 1),
        (b"extra/d.ply", None, 1),
        (b"d.ply", None, 1),
        (b"val/a.ply", None, 1),
        (b".ipynb_checkpoints/a-checkpoint.ply", None, 0),
        (b"__MACOSX/train/a.ply", b"", 0),
        (b"train/broken.npz", b"PK\x03\x04 no archive", 1),
    ],
)
def test_one_odd_file_stops_nothing(
    clouds: Path, capsys: pytest.CaptureFixture[str], name: bytes, content: bytes | None, code: int
) -> None:
    place = os.path.join(os.fsencode(clouds), name)  # noqa: PTH118
    os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
    cloud(clouds.parent / "x.ply")
    if content is not None:
        (clouds.parent / "x.ply").write_bytes(content)
    os.replace(os.fsencode(clouds.parent / "x.ply"), place)  # noqa: PTH105
    found, store = prepare(clouds)
    said = capsys.readouterr().err
    assert found == code
    assert {"b", "c"} <= set(Store.open(store).entries)
    if code:
        shown = os.path.basename(name).decode("utf-8", "backslashreplace")  # noqa: PTH119
        assert shown in said or repr(os.fsdecode(name))[-12:-1] in said


def test_a_split_that_is_a_link_is_followed_and_a_link_to_nothing_is_named(
    clouds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clouds / "val").rename(clouds.parent / "elsewhere")
    (clouds / "val").symlink_to(clouds.parent / "elsewhere")
    (clouds / "test").symlink_to(clouds.parent / "unmounted")
    (clouds / "train" / "loop").symlink_to(clouds / "train")
    code, store = prepare(clouds)
    assert code == 1 and Store.open(store).splits() == {"train": ["a", "b"], "val": ["c"]}
    assert "a link that leads nowhere" in capsys.readouterr().err


def test_folders_of_splits_go_by_their_other_names(clouds: Path) -> None:
    (clouds / "train").rename(clouds / "Training")
    (clouds / "val").rename(clouds / "validation")
    assert Store.open(prepare(clouds)[1]).splits() == {"train": ["a", "b"], "val": ["c"]}


def test_scenes_csv_may_name_files_with_a_mark_of_byte_order(clouds: Path) -> None:
    (clouds / "scenes.csv").write_bytes(b"\xef\xbb\xbfscene;split\r\na.ply;train\r\nb.ply;val\r\nc;test\r\n")
    assert Store.open(prepare(clouds)[1]).splits() == {"test": ["c"], "train": ["a"], "val": ["b"]}


def test_classes_corrected_after_the_error_that_asked_for_it_are_taken(clouds: Path) -> None:
    (clouds / "classes.csv").write_text("raw_id,name\n7,ground\n")
    assert prepare(clouds)[0] == 1
    (clouds / "classes.csv").write_text("raw_id,name\n1,ground\n2,tree\n3,tree\n")
    code, store = prepare(clouds)
    opened = Store.open(store)
    assert (
        code == 0 and opened.label_space.raw_ids == (1, 2) and opened.label_space.names == ("ground", "tree")
    )
    assert set(opened.entry("a")["class_points"]) == {"1", "2"}


def test_what_is_doubtful_is_said_and_kept(clouds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ply(clouds / "train" / "mm.ply", 1000 * RNG.random((60, 3)) * (3, 3, 2.5), label=np.ones(60, int))
    assert prepare(clouds)[0] == 0
    said = capsys.readouterr().err
    assert "WARNING: mm: the cloud is" in said and "if it is millimetres" in said
    assert "1 of 4 scenes have no colours: mm" in said and "normals of 4 scenes were made" in said
    assert "high if its unit" in Store.open(clouds.parent / "store").entry("mm")["notes"]["remarks"][0]


def test_map_coordinates_come_back_from_the_store(clouds: Path) -> None:
    xyz = RNG.random((60, 3)) + np.array([652_000.125, 6_862_000.25, 10])
    np.savez(clouds / "train" / "map.npz", xyz=np.vstack([xyz, [(0, 0, 0)]]), label=np.ones(61, int))
    scene = Store.open(prepare(clouds)[1]).load("map")
    np.testing.assert_allclose(scene.xyz_m[:60].astype(np.float64) + scene.offset_m, xyz, atol=1e-3)


def test_scenes_csv_may_name_files_with_their_folders(clouds: Path) -> None:
    (clouds / "scenes.csv").write_text("scene,split\ntrain/a.ply,train\ntrain\\b.ply,val\n./val/c,test\n")
    assert Store.open(prepare(clouds)[1]).splits() == {"test": ["c"], "train": ["a"], "val": ["b"]}


def test_files_that_are_not_read_are_counted(clouds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("d.e57", "e.ptx", "f.ptx", "g.ply.gz", "notes.txt"):
        (clouds / "train" / name).write_bytes(b"x")
    assert prepare(clouds)[0] == 0
    assert "Left out, as they cannot be read as clouds: 1 .e57, 1 .gz, 2 .ptx." in capsys.readouterr().err


def test_a_class_without_a_name_is_named_by_its_row(clouds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clouds / "classes.csv").write_text("raw_id,name\n1,ground\n2,\n3,car\n")
    assert prepare(clouds)[0] == 2 and "row 3: the class has no name" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 300, b"[]"])
def test_a_scene_whose_entry_was_cut_is_made_again(clouds: Path, content: bytes) -> None:
    store = prepare(clouds)[1]
    before = json.loads((store / "scenes" / "a" / "scene.json").read_text())
    (store / "scenes" / "a" / "scene.json").write_bytes(content)
    assert prepare(clouds)[0] == 0
    assert json.loads((store / "scenes" / "a" / "scene.json").read_text()) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 300, b"[1]"])
def test_a_manifest_that_was_cut_is_named_with_the_way_out(
    clouds: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    store = prepare(clouds)[1]
    (store / "manifest.json").write_bytes(content)
    assert prepare(clouds)[0] == 2
    said = capsys.readouterr().err
    assert "manifest.json: not a store's manifest" in said and f"Delete {store} and prepare it again" in said


# Raw ScanNet.


def test_a_link_to_scans_that_are_not_mounted_is_named(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00")
    (tmp_path / "raw" / "scans" / "scene0001_00").symlink_to(tmp_path / "nowhere")
    code, said = run_scannet(tmp_path / "raw", capsys)
    assert code == 1 and "scene0001_00" in said
    (tmp_path / "raw" / "scans_test").symlink_to(tmp_path / "nowhere")
    code, said = run_scannet(tmp_path / "raw", capsys)
    assert code == 2 and "scans_test: a link that leads nowhere" in said


def raw_scene(raw: Path, name: str, category: str = "wall", *, labels_for_mesh: bool = False) -> None:
    folder = raw / "scans" / name
    folder.mkdir(parents=True)
    xyz, faces = RNG.random((30, 3)).astype(np.float32), np.arange(30).reshape(10, 3)
    label = np.ones(30, np.uint16) if labels_for_mesh else None
    write_scannet_mesh(folder / f"{name}_vh_clean_2.ply", xyz, np.zeros((30, 4), np.uint8), faces, label)
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": [0] * 30}))
    groups = [{"objectId": 0, "label": category, "segments": [0]}]
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"segGroups": groups}))


def run_scannet(raw: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = scannet.main([str(raw), str(raw.parent / "store"), "--workers", "1"])
    return code, capsys.readouterr().err


def test_a_split_list_with_a_mark_of_byte_order_is_read(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00")
    (tmp_path / "raw" / "scannetv2_train.txt").write_bytes(b"\xef\xbb\xbfscene0000_00\r\n")
    assert run_scannet(tmp_path / "raw", capsys)[0] == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_split_list_in_utf_16_is_named(tmp_path: Path, capsys: Any, encoding: str) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00")
    (tmp_path / "raw" / "scannetv2_train.txt").write_bytes("scene0000_00\r\n".encode(encoding))
    code, said = run_scannet(tmp_path / "raw", capsys)
    assert code == 2 and "scannetv2_train.txt" in said and "UTF-16" in said


@pytest.mark.parametrize(("category", "near"), [("trashcan", "trash can"), ("dishrack", "dish rack")])
def test_categories_of_the_first_release_get_a_hint(
    tmp_path: Path, capsys: Any, category: str, near: str
) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00", category)
    said = run_scannet(tmp_path / "raw", capsys)[1]
    assert f"'{category}' 1 (did they mean '{near}'?)" in said and "ScanNet v1" in said


def test_labels_copied_over_the_mesh_are_recognised(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00", labels_for_mesh=True)
    raw_scene(tmp_path / "raw", "scene0001_00")
    code, said = run_scannet(tmp_path / "raw", capsys)
    assert code == 1 and "a copy of scene0000_00_vh_clean_2.labels.ply" in said
    assert list(Store.open(tmp_path / "store").entries) == ["scene0001_00"]
