"""data_prep/scannet.py: raw scenes -> store, with everything that can be wrong with them."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pointseg.scans.store import Store


def prepare(script: ModuleType, raw: Any, *options: str) -> tuple[int, Path]:
    store = raw.path.parent / "store"
    return script.main([str(raw.path), str(store), "--workers", "1", *options]), store


def test_scenes_of_every_split_arrive_with_their_labels(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "train")
    raw.add("scene0001_00", "val")
    raw.add("scene0707_00", "test", parent="scans_test", labelled=False)
    code, path = prepare(scannet, raw)
    store = Store.open(path)
    assert code == 0
    assert store.splits() == {"train": ["scene0000_00"], "val": ["scene0001_00"], "test": ["scene0707_00"]}
    scene = store.load("scene0000_00")
    assert scene.raw_label is not None and scene.instance is not None and scene.rgb is not None
    assert scene.raw_label.tolist() == [3, 3, 3, 1, 0] and scene.instance.tolist() == [0, 0, 0, 1, -1]
    assert not store.has_labels("scene0707_00")
    assert store.label_space.name == "scannet200" and store.options["axis_aligned"] is False


def test_scannet20_reads_the_nyu40_column(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "train")
    _, path = prepare(scannet, raw, "--labels", "scannet20")
    scene = Store.open(path).load("scene0000_00")
    assert scene.raw_label is not None and scene.raw_label.tolist() == [2, 2, 2, 1, 0]


def test_the_split_list_counts_and_not_the_folder(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0707_00", "test", parent="scans", labelled=False)
    raw.add("scene0001_00", "train", parent="scans_test")
    _, path = prepare(scannet, raw)
    assert Store.open(path).splits() == {"train": ["scene0001_00"], "test": ["scene0707_00"]}


def test_without_split_lists_the_official_ones_apply(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "val")
    (raw.path / "scannetv2_val.txt").unlink()
    _, path = prepare(scannet, raw)
    assert Store.open(path).splits() == {"train": ["scene0000_00"]}


def test_given_split_lists_come_before_those_of_the_data(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "train")
    (raw.path.parent / "lists").mkdir()
    (raw.path.parent / "lists" / "scannetv2_val.txt").write_text("scene0000_00\n")
    _, path = prepare(scannet, raw, "--splits", str(raw.path.parent / "lists"))
    assert Store.open(path).splits() == {"val": ["scene0000_00"]}


def test_a_scene_in_no_split_list_is_listed_as_a_failure(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.add("scene0000_00", "train")
    raw.add("scene0001_00", "train")
    (raw.path / "scannetv2_train.txt").write_text("scene0000_00\n")
    code, path = prepare(scannet, raw)
    assert code == 1 and list(Store.open(path).entries) == ["scene0000_00"]
    assert "scene0001_00: in no split list" in capsys.readouterr().err


def test_unknown_categories_are_unlabelled_and_listed_at_the_end(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.add("scene0000_00", "train", categories=("hologram", "wall"))
    raw.add("scene0001_00", "train", categories=("hologram", "unicorn"))
    code, path = prepare(scannet, raw)
    assert code == 0 and "'hologram' 2, 'unicorn' 1" in capsys.readouterr().err
    scene = Store.open(path).load("scene0000_00")
    assert scene.raw_label is not None and scene.raw_label.tolist() == [0, 0, 0, 1, 0]


def break_mesh(folder: Path) -> str:
    mesh = next(folder.glob("*_vh_clean_2.ply"))
    mesh.write_bytes(mesh.read_bytes()[:-9])
    return f"{mesh.name}: cannot be read as PLY"


def break_segments(folder: Path) -> str:
    file = next(folder.glob("*.segs.json"))
    file.write_text(json.dumps({"segIndices": [1, 2, 3, 4, 5, 6]}))
    return f"{file.name}: it has 6 vertices"


def break_json(folder: Path) -> str:
    file = next(folder.glob("*.aggregation.json"))
    file.write_text(file.read_text()[:-4])
    return f"{file.name}: broken JSON"


def remove_segments(folder: Path) -> str:
    file = next(folder.glob("*.segs.json"))
    file.unlink()
    return f"{file.name}: no such file"


def remove_mesh(folder: Path) -> str:
    file = next(folder.glob("*.ply"))
    file.unlink()
    return f"{file.name}: no such file"


@pytest.mark.parametrize(
    "damage", [break_mesh, break_segments, break_json, remove_segments, remove_mesh], ids=lambda f: f.__name__
)
def test_a_bad_scene_is_named_and_the_others_go_on(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    expected = damage(raw.add("scene0000_00", "train"))
    raw.add("scene0001_00", "train")
    code, path = prepare(scannet, raw)
    errors = capsys.readouterr().err
    assert code == 1 and expected in errors.partition("could not be prepared")[2]
    assert list(Store.open(path).entries) == ["scene0001_00"]


def test_a_label_table_of_another_version_is_named_before_anything_is_written(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.add("scene0000_00", "train")
    (raw.path / "scannetv2-labels.combined.tsv").write_text("index\tcategory\tnyuId\n1\twall\t21\n")
    code, path = prepare(scannet, raw)
    assert code == 2 and not path.exists()
    assert "scannetv2-labels.combined.tsv: no column" in capsys.readouterr().err


def test_a_store_is_not_continued_with_another_label_table(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.add("scene0000_00", "train")
    prepare(scannet, raw)
    header = "id\traw_category\tcategory\tnyu40id\tnyu40class"
    (raw.path / "scannetv2-labels.combined.tsv").write_text(f"{header}\n1\twall\twall\t1\twall")
    assert prepare(scannet, raw)[0] == 2
    assert "begun with other options (label_table_sha256" in capsys.readouterr().err


def test_strict_counts_refuse_a_mesh_of_another_size_than_the_release(
    raw: Any, scannet: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.add("scene0000_00", "train")
    assert prepare(scannet, raw)[0] == 0
    assert prepare(scannet, raw, "--strict-counts", "--overwrite")[0] == 1
    assert "5 vertices, but the released scene0000_00 has 81369" in capsys.readouterr().err


def test_a_second_run_keeps_the_scenes_and_takes_in_the_repaired_one(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "train")
    folder = raw.add("scene0001_00", "train")
    whole = (folder / "scene0001_00_vh_clean_2.ply").read_bytes()
    break_mesh(folder)
    _, path = prepare(scannet, raw)
    first = (path / "scenes" / "scene0000_00" / "xyz_m.npy").stat().st_mtime_ns
    (folder / "scene0001_00_vh_clean_2.ply").write_bytes(whole)
    assert prepare(scannet, raw)[0] == 0
    assert list(Store.open(path).entries) == ["scene0000_00", "scene0001_00"]
    assert (path / "scenes" / "scene0000_00" / "xyz_m.npy").stat().st_mtime_ns == first


def test_a_run_that_is_stopped_between_scenes_continues(
    raw: Any, scannet: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.add("scene0000_00", "train")
    raw.add("scene0001_00", "train")
    read = scannet.read_scannet_scene

    def stop_at_the_second(folder: Path, name: str, *args: Any, **options: Any) -> Any:
        if name == "scene0001_00":
            raise KeyboardInterrupt
        return read(folder, name, *args, **options)

    monkeypatch.setattr(scannet, "read_scannet_scene", stop_at_the_second)
    code, path = prepare(scannet, raw)
    assert code == 130 and [f.name for f in (path / "scenes").iterdir()] == ["scene0000_00"]
    with pytest.raises(ValueError, match="stopped before the end"):
        Store.open(path)
    monkeypatch.undo()
    assert prepare(scannet, raw)[0] == 0
    assert list(Store.open(path).entries) == ["scene0000_00", "scene0001_00"]


def test_a_scene_that_changes_its_split_is_read_again(raw: Any, scannet: ModuleType) -> None:
    raw.add("scene0000_00", "train")
    prepare(scannet, raw)
    (raw.path / "scannetv2_train.txt").rename(raw.path / "scannetv2_val.txt")
    _, path = prepare(scannet, raw)
    assert Store.open(path).splits() == {"val": ["scene0000_00"]}


def test_several_workers_write_the_bytes_of_one(raw: Any, scannet: ModuleType) -> None:
    for number in range(3):
        raw.add(f"scene000{number}_00", "train")
    break_json(raw.add("scene0003_00", "train"))
    one, two = raw.path.parent / "one", raw.path.parent / "two"
    assert scannet.main([str(raw.path), str(one), "--workers", "1"]) == 1
    assert scannet.main([str(raw.path), str(two), "--workers", "2"]) == 1
    assert Store.open(one).entries == Store.open(two).entries
    np.testing.assert_array_equal(
        Store.open(one).load("scene0002_00").xyz_m, Store.open(two).load("scene0002_00").xyz_m
    )


def test_the_script_runs_from_the_command_line(raw: Any) -> None:
    raw.add("scene0000_00", "train")
    script = Path(__file__).parents[2] / "data_prep" / "scannet.py"
    command = [sys.executable, str(script), str(raw.path), str(raw.path.parent / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train: 1 scenes, 5 vertices" in done.stderr
