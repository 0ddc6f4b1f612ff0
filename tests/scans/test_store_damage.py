"""Damaged stores: no flipped bit reads as another scene; a writer killed at its start blocks nothing."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.scans import store as module
from pointseg.scans.store import Store, StoreWriter

SPACE = LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2))
ARRAYS = ("xyz_m", "rgb", "normal", "raw_label")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(40, 3)).astype(np.float32)
    scene = Scene(
        "a",
        rng.normal(size=(40, 3)).astype(np.float32),
        rgb=rng.integers(0, 256, (40, 3), dtype=np.uint8),
        normal=normal / np.linalg.norm(normal, axis=1, keepdims=True),
        raw_label=rng.integers(1, 3, 40, dtype=np.int32),
    )
    writer = StoreWriter(tmp_path / "store", SPACE)
    writer.add(scene, "train", {"offset_m": [4.0, 5.0, 6.0]})
    writer.finish()
    return tmp_path / "store"


def content(path: Path) -> tuple[object, ...]:
    module._VERIFIED.clear()
    store = Store.open(path)
    scene = store.load("a")
    values = [np.array(getattr(scene, name)).tolist() for name in ARRAYS]
    return (*values, scene.offset_m, store.label_space, dict(store.entries))


def test_no_flipped_bit_of_a_store_is_read_as_another(path: Path) -> None:
    whole = content(path)
    rng, refused, tried = random.Random(1), 0, 0
    for file in [*sorted(path.rglob("*.npy")), path / "manifest.json"]:
        original = file.read_bytes()
        for bit in rng.sample(range(8 * len(original)), 60):
            changed = bytearray(original)
            changed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(bytes(changed))
            tried += 1
            try:
                assert content(path) == whole, (file, bit)
            except ValueError as error:
                assert str(path) in str(error)
                refused += 1
        file.write_bytes(original)
    assert content(path) == whole
    # Not noticed is what changes nothing: the key of the digest itself.
    assert refused >= tried - 2


def test_a_scene_is_verified_once_in_a_process(path: Path) -> None:
    module._VERIFIED.clear()
    store = Store.open(path)
    before = np.array(store.load("a").xyz_m)
    file = path / "scenes/a/rgb.npy"
    values = np.load(file)
    np.save(file, 255 - values)
    assert np.array_equal(store.load("a").rgb, 255 - values)
    module._VERIFIED.clear()
    with pytest.raises(ValueError, match=r"rgb\.npy: its content is not .*run `pointseg prepare` again"):
        store.load("a")
    assert np.array_equal(store.load("a", verify=False).xyz_m, before)


@pytest.mark.parametrize("left", ["scenes/", ".partial/", ".manifest.json.0badcafe.partial", ".lock"])
def test_what_a_writer_leaves_that_was_killed_at_its_start_blocks_nothing(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    if left.endswith("/"):
        (folder / left).mkdir()
    else:
        (folder / left).touch()
    StoreWriter(folder, SPACE).finish()
    assert Store.open(folder).entries == {}
    assert not list(folder.glob(".manifest*"))


def test_a_foreign_folder_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="not empty and no store"):
        StoreWriter(tmp_path, SPACE)


def test_a_newer_store_is_refused_by_name(path: Path) -> None:
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(ValueError, match=r"store format 9 is newer than this pointseg.*Update pointseg"):
        Store.open(path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scenes", [], "scenes and options must be objects"),
        ("options", "none", "scenes and options must be objects"),
        ("label_space", {"name": "two"}, "its label_space is none"),
        ("scenes", {"a": {"split": "train"}}, "the entry of scene 'a' is none"),
    ],
)
def test_what_was_edited_by_hand_must_still_be_a_manifest(
    path: Path, key: str, value: object, said: str
) -> None:
    file = path / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["digest"]
    file.write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(ValueError, match=said) as caught:
        Store.open(path)
    assert str(file) in str(caught.value)
