"""nuScenes-lidarseg -> store: official scenes, 32 classes to 16 by name, labels by token, missing files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes_sweeps import CATEGORIES, add_version, token_of

from pointseg.formats.nuscenes import GENERAL, LEFT_OUT, split_of_scenes
from pointseg.prepare import check, nuscenes
from pointseg.scans.store import Store


def prepare(source: Path, store: Path, *options: str) -> int:
    return nuscenes.main([str(source), str(store), "--workers", "1", *options])


FIRST = token_of("scene-0061", 0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    scenes = {"scene-0061": [[0, 1, 3, 15, 16], [25, 30, 31]], "scene-0103": [[30] * 4]}
    add_version(tmp_path / "nuscenes", "v1.0-trainval", scenes)
    add_version(tmp_path / "nuscenes", "v1.0-test", {"scene-0077": [6, 7]})
    return tmp_path / "nuscenes"


def test_keyframes_become_scenes_in_the_classes_of_the_challenge(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "store") == 0
    store = Store.open(tmp_path / "store")
    assert store.splits() == {
        "train": [FIRST, token_of("scene-0061", 1)],
        "val": [token_of("scene-0103", 0)],
        "test": [token_of("scene-0077", 0), token_of("scene-0077", 1)],
    }
    space = store.label_space
    assert space.raw_ids == tuple(range(1, 17)) and space.unlabelled_raw_id == 0
    named = {0: "-", **dict(zip(space.raw_ids, space.names, strict=True))}
    first, second = store.load(FIRST), store.load(token_of("scene-0061", 1))
    assert first.raw_label is not None and second.raw_label is not None
    # Noise and animals are left out, both buses are one class, so are pedestrians of all kinds.
    assert [named[i] for i in first.raw_label.tolist()] == ["-", "-", "pedestrian", "bus", "bus"]
    assert [named[i] for i in second.raw_label.tolist()] == ["other_flat", "vegetation", "-"]
    assert np.array_equal(first.xyz_m, np.random.default_rng(0).normal(size=(5, 5)).astype("<f4")[:, :3])
    assert store.entry(FIRST)["notes"]["scene"] == "scene-0061"
    assert store.load(token_of("scene-0077", 1)).raw_label is None
    assert check.main([str(tmp_path / "store")]) == 0


def test_the_tables_of_classes_and_scenes_are_whole() -> None:
    general = [name for names in GENERAL.values() for name in names]
    assert len(GENERAL) == 16 and len({*general, *LEFT_OUT}) == len(general) + len(LEFT_OUT) == 32
    # Its own: this scene is one of val in trainval.
    assert split_of_scenes("v1.0-mini")["scene-0553"] == "train"
    splits = list(split_of_scenes("v1.0-trainval").values())
    assert [splits.count(split) for split in ("train", "val", "test")] == [700, 150, 150]


def test_mini_alone_has_its_own_splits_and_beside_trainval_it_is_left(source: Path, tmp_path: Path) -> None:
    add_version(tmp_path / "mini", "v1.0-mini", {"scene-0553": [[3]], "scene-0916": [[3], [3], [3]]})
    assert prepare(tmp_path / "mini", tmp_path / "s", "--every", "2") == 0
    store = Store.open(tmp_path / "s")
    expected = {
        "train": [token_of("scene-0553", 0)],
        "val": [token_of("scene-0916", 0), token_of("scene-0916", 2)],
    }
    assert store.splits() == expected
    add_version(source, "v1.0-mini", {"scene-0655": [[3]]})
    assert prepare(source, tmp_path / "both") == 0
    assert len(Store.open(tmp_path / "both").entries) == 5


def test_keyframes_of_archives_that_were_not_unpacked_are_counted(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (source / "samples" / "LIDAR_TOP").glob(f"*{token_of('scene-0077', 0)[:16]}*"):
        file.unlink()
    assert prepare(source, tmp_path / "store") == 0
    assert "v1.0-test: the files of 2 keyframes are not there" in capsys.readouterr().err
    assert len(Store.open(tmp_path / "store").entries) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "4 labels for 5 points"),
        (lambda data: b"\x07" + data[1:], "unknown classes [7]"),
        (None, "no labels of"),
    ],
)
def test_labels_that_do_not_fit_are_that_sweeps_failure(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[bytes], bytes] | None,
    said: str,
) -> None:
    file = source / "lidarseg" / "v1.0-trainval" / f"{FIRST}_lidarseg.bin"
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    assert prepare(source, tmp_path / "store") == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert len(Store.open(tmp_path / "store").entries) == 4


def test_a_sweep_that_was_cut_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (source / "samples" / "LIDAR_TOP").glob(f"*{FIRST}*")
    file.write_bytes(file.read_bytes()[:-4])
    assert prepare(source, tmp_path / "store") == 1
    assert "96 bytes are no whole number of points of 20" in capsys.readouterr().err.replace("\n", " ")


def without_index(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"token": record["token"], "name": record["name"]} for record in records]


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("category", without_index, "it is that of nuScenes alone"),
        ("category", lambda records: [{"name": "ship", "index": 5}], "unknown classes ship"),
        ("lidarseg", None, "unpack nuScenes-lidarseg over nuScenes"),
        ("scene", lambda records: [], "do not fit together"),
        ("scene", lambda records: {"a": 1}, "a list of records"),
        ("scene", lambda records: [{**r, "name": "scene-9999"} for r in records], "is no scene of nuScenes"),
        ("sample_data", None, "archive of metadata of v1.0-trainval"),
        ("sample_data", lambda records: [], "none of its keyframes is there"),
    ],
)
def test_tables_that_are_missing_or_wrong_end_it_before_anything_is_written(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    change: Callable[[Any], Any] | None,
    said: str,
) -> None:
    for version in ("v1.0-trainval", "v1.0-test") if "none of" in said else ("v1.0-trainval",):
        file = source / version / f"{table}.json"
        if change is None:
            file.unlink()
        else:
            file.write_text(json.dumps(change(json.loads(file.read_text()))))
    assert prepare(source, tmp_path / "store") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "store").exists()
    assert CATEGORIES["noise"] == 0


def test_a_folder_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(tmp_path, tmp_path / "store") == 2
    assert "expected a folder v1.0-trainval or v1.0-mini or v1.0-test" in " ".join(
        capsys.readouterr().err.split()
    )
