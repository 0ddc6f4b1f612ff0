"""Vertex counts: the shipped table, and the headers of meshes in a copy of ScanNet, real or generated."""

from pathlib import Path

import numpy as np
import pytest

from pointseg.formats.ply import ply_vertex_count, write_scannet_mesh
from pointseg.scans.benchmark import Benchmark, read_scene_list

SCANNET = Benchmark.of("scannet20")


def write_mesh(folder: Path, scene: str, count: int) -> None:
    (folder / scene).mkdir(parents=True)
    xyz = np.zeros((count, 3), dtype=np.float32)
    rgba = np.zeros((count, 4), dtype=np.uint8)
    write_scannet_mesh(folder / scene / f"{scene}_vh_clean_2.ply", xyz, rgba, np.array([[0, 1, 2]]))


def test_the_shipped_table_has_every_scan_of_scannet() -> None:
    counts = SCANNET.counts
    assert {split: len(scans) for split, scans in counts.items()} == {"train": 1201, "val": 312, "test": 100}
    assert sum(counts["val"].values()) == 49_540_568
    assert sum(counts["test"].values()) == 18_178_253
    assert counts["train"]["scene0000_00"] == 81_369


def test_the_count_comes_from_the_header(tmp_path: Path) -> None:
    write_mesh(tmp_path, "scene0707_00", 5)
    assert ply_vertex_count(tmp_path / "scene0707_00" / "scene0707_00_vh_clean_2.ply") == 5


@pytest.mark.parametrize(
    "data", [b"", b"not a mesh\nelement vertex 5\n", b"ply\nelement face 5\nend_header\n"]
)
def test_a_file_without_a_vertex_element_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.ply"):
        ply_vertex_count(tmp_path / "a.ply")


@pytest.mark.parametrize("folder", ["scans", "scans_test", "."])
def test_meshes_are_found_wherever_a_copy_keeps_them(tmp_path: Path, folder: str) -> None:
    write_mesh(tmp_path / folder, "scene0707_00", 4)
    assert SCANNET.raw_counts(tmp_path, ["scene0707_00"]) == {"scene0707_00": 4}


def test_a_missing_mesh_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scene0707_00_vh_clean_2"):
        SCANNET.raw_counts(tmp_path, ["scene0707_00"])


def test_the_test_scenes_are_those_of_the_split_file_then_of_the_folder(tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans_test", "scene0707_00", 4)
    write_mesh(tmp_path / "scans_test", "scene0708_00", 4)
    assert SCANNET.raw_scored_scenes(tmp_path) == ["scene0707_00", "scene0708_00"]
    (tmp_path / "scannetv2_test.txt").write_text("scene0708_00\n")
    assert SCANNET.raw_scored_scenes(tmp_path) == ["scene0708_00"]


def test_test_scenes_among_the_others_are_found_by_the_official_list(tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans", "scene0000_00", 4)
    write_mesh(tmp_path / "scans", "scene0806_00", 4)
    assert SCANNET.raw_scored_scenes(tmp_path) == ["scene0806_00"]


def test_a_folder_without_test_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no test scan"):
        SCANNET.raw_scored_scenes(tmp_path)


def test_a_scene_list_is_sorted_and_must_not_repeat(tmp_path: Path) -> None:
    path = tmp_path / "scenes.txt"
    path.write_text("b\na\n\n")
    assert read_scene_list(path) == ["a", "b"]
    path.write_text("a\na\n")
    with pytest.raises(ValueError, match="different scene names"):
        read_scene_list(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_scene_list(tmp_path / "absent.txt")
