"""`pointseg synthesize`: names and splits, equal bytes by seed, continuation, and refusals."""

import hashlib
from pathlib import Path

import pytest
from rich.console import Console

from pointseg.formats.scannet_tables import find_scene_folders, read_split_lists, shipped_splits
from pointseg.synthetic.synthesize import MANIFEST, Recipe, claim, scene_jobs, synthesize

QUIET = Console(quiet=True)


def names_of(num_scenes: int, split: str, *, official_names_only: bool = True) -> list[str]:
    jobs = scene_jobs(Recipe(num_scenes, 0, 0.0), official_names_only=official_names_only)
    return [job.name for job in jobs if job.split == split]


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "raw"
    synthesize(out, num_scenes=3, seed=5, split_files=True, workers=1, console=QUIET)
    return out


@pytest.mark.parametrize(
    ("num_scenes", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (10, (7, 2, 1)), (40, (28, 8, 4))],
)
def test_the_splits_are_about_70_20_and_10_percent(num_scenes: int, sizes: tuple[int, int, int]) -> None:
    assert tuple(len(names_of(num_scenes, split)) for split in ("train", "val", "test")) == sizes


def test_names_come_from_the_official_lists() -> None:
    split_of = read_split_lists(shipped_splits())
    for split in ("train", "val", "test"):
        assert {split_of[name] for name in names_of(50, split)} == {split}
    assert names_of(50, "test")[0] == "scene0707_00"
    assert names_of(50, "train")[0] == "scene0000_00"


def test_first_visits_come_first() -> None:
    assert all(name.endswith("_00") for name in names_of(500, "train"))


def test_more_scenes_than_official_names_need_split_files() -> None:
    with pytest.raises(ValueError, match="--split-files"):
        names_of(1800, "train")
    names = [
        name
        for split in ("train", "val", "test")
        for name in names_of(1800, split, official_names_only=False)
    ]
    assert len(set(names)) == 1800


@pytest.mark.parametrize(("num_scenes", "temper"), [(0, 0.0), (-1, 0.0), (3, 1.5)])
def test_impossible_numbers_are_refused(num_scenes: int, temper: float) -> None:
    with pytest.raises(ValueError, match=r"Expected at least one scene|Temper must lie"):
        scene_jobs(Recipe(num_scenes, 0, temper), official_names_only=True)


def test_the_folder_holds_scans_test_scans_label_table_and_lists(generated: Path) -> None:
    assert sorted(path.name for path in generated.iterdir()) == [
        "scannetv2-labels.combined.tsv",
        "scannetv2_test.txt",
        "scannetv2_train.txt",
        "scannetv2_val.txt",
        "scans",
        "scans_test",
        "synthetic.json",
    ]
    assert set(find_scene_folders(generated)) == set(read_split_lists(generated))
    test_scene = generated / "scans_test" / "scene0707_00"
    assert not list(test_scene.glob("*.json")) + list(test_scene.glob("*labels*"))


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", num_scenes=3, seed=5, split_files=True, workers=2, console=QUIET)
    assert digest(tmp_path / "raw") == digest(generated)


def test_another_seed_gives_another_scene(generated: Path, tmp_path: Path) -> None:
    synthesize(tmp_path / "raw", num_scenes=1, seed=6, workers=1, console=QUIET)
    mesh = Path("scans", "scene0000_00", "scene0000_00_vh_clean_2.ply")
    assert (tmp_path / "raw" / mesh).read_bytes() != (generated / mesh).read_bytes()


def test_a_stopped_run_continues_with_what_is_missing(generated: Path) -> None:
    before = digest(generated)
    victim = generated / "scans_test" / "scene0707_00"
    kept = generated / "scans" / "scene0000_00" / "scene0000_00.txt"
    modified = kept.stat().st_mtime_ns
    for path in victim.iterdir():
        path.unlink()
    victim.rmdir()
    (generated / ".scene0707_00.partial").mkdir()
    synthesize(generated, num_scenes=3, seed=5, split_files=True, workers=1, console=QUIET)
    assert digest(generated) == before
    assert kept.stat().st_mtime_ns == modified
    assert not (generated / ".scene0707_00.partial").exists()


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="was not made by pointseg synthesize"):
        synthesize(tmp_path, num_scenes=3, console=QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_of_another_seed_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "raw", Recipe(3, 0, 0.0))
    claim(tmp_path / "raw", Recipe(3, 0, 0.0))
    with pytest.raises(FileExistsError, match="Choose another folder"):
        claim(tmp_path / "raw", Recipe(3, 1, 0.0))
    assert (tmp_path / "raw" / MANIFEST).is_file()
