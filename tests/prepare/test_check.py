"""data_prep/check.py: a sound store passes; every kind of damage is named."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def store(raw: Any, scannet: ModuleType) -> Path:
    raw.add("scene0000_00", "train")
    raw.add("scene0707_00", "test", parent="scans_test", labelled=False)
    path = raw.path.parent / "store"
    assert scannet.main([str(raw.path), str(path), "--workers", "1"]) == 0
    return Path(path)


def edit(path: Path, **changes: Any) -> None:
    """By a person who means it: with the digest gone."""
    data = {**json.loads(path.read_text()), **changes}
    del data["digest"]
    path.write_text(json.dumps(data))


def test_a_sound_store_passes(store: Path, check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(store)]) == 0
    assert "2 scenes checked; every scene is sound" in capsys.readouterr().out


def damage_bytes(folder: Path) -> str:
    values = np.load(folder / "rgb.npy")
    np.save(folder / "rgb.npy", values ^ 1)
    return "scene0000_00: rgb.npy has another hash"


def damage_length(folder: Path) -> str:
    np.save(folder / "instance.npy", np.zeros(2, dtype=np.int32))
    return "expected 5 rows of int32; got 2 of int32"


def damage_positions(folder: Path) -> str:
    np.save(folder / "xyz_m.npy", np.full((5, 3), np.nan, dtype=np.float32))
    return "positions that are NaN"


def damage_normals(folder: Path) -> str:
    np.save(folder / "normal.npy", np.full((5, 3), 3, dtype=np.float32))
    return "normals that are neither of length 1"


def damage_labels(folder: Path) -> str:
    np.save(folder / "raw_label.npy", np.array([3, 3, 3, 1, 9999], dtype=np.int32))
    return "raw ids outside the label set scannet200: [9999]"


def remove_an_array(folder: Path) -> str:
    (folder / "normal.npy").unlink()
    return "normal.npy: cannot be read"


def add_an_array(folder: Path) -> str:
    np.save(folder / "extra.npy", np.zeros(5))
    return "files that the manifest does not list: ['extra']"


def change_the_entry(folder: Path) -> str:
    edit(folder / "scene.json", split="val")
    return "scene.json differs from the manifest"


@pytest.mark.parametrize(
    "damage",
    [
        damage_bytes,
        damage_length,
        damage_positions,
        damage_normals,
        damage_labels,
        remove_an_array,
        add_an_array,
        change_the_entry,
    ],
    ids=lambda f: f.__name__,
)
def test_damage_is_named(
    store: Path, check: ModuleType, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    expected = damage(store / "scenes" / "scene0000_00")
    assert check.main([str(store)]) == 1
    assert expected in capsys.readouterr().out


def test_a_scene_that_the_manifest_lacks_is_named(
    store: Path, check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "scenes" / "stray").mkdir()
    assert check.main([str(store)]) == 1
    assert "stray: not in the manifest" in capsys.readouterr().out


def test_wrong_class_counts_are_named(
    store: Path, check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["scenes"]["scene0000_00"]["class_points"] = {"3": 99}
    edit(store / "manifest.json", scenes=manifest["scenes"])
    edit(store / "scenes" / "scene0000_00" / "scene.json", class_points={"3": 99})
    assert check.main([str(store)]) == 1
    assert "class counts differ" in capsys.readouterr().out


def test_no_store_is_exit_code_two(tmp_path: Path, check: ModuleType) -> None:
    assert check.main([str(tmp_path)]) == 2
