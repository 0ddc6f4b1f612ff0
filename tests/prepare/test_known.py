"""S3DIS and SemanticKITTI in their true layouts, made here: splits, classes, the broken byte, cut files."""

from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import load_label_space
from pointseg.prepare import s3dis, semantickitti
from pointseg.scans.store import Store


def room(area: Path, name: str, objects: dict[str, bytes]) -> None:
    (area / name / "Annotations").mkdir(parents=True)
    (area / name / f"{name}.txt").write_text("the whole room, which is not read\n")
    for file, text in objects.items():
        (area / name / "Annotations" / file).write_bytes(text)


@pytest.fixture
def stanford(tmp_path: Path) -> Path:
    source = tmp_path / "Stanford3dDataset_v1.2_Aligned_Version"
    wall = b"1.0 2.0 3.0 10 20 30\n1.5 2.0 3.0 11 21 31\n"
    room(source / "Area_1", "office_1", {"wall_1.txt": wall, "stairs_1.txt": b"0 0 0 1 2 3\n"})
    broken = b"22.350 6.692 3.048 185\x10187 182\n"
    room(source / "Area_5", "hallway_6", {"ceiling_1.txt": broken, ".DS_Store": b"\0", "._wall_2.txt": b"\0"})
    return source


def test_rooms_become_scenes_with_classes_by_file_name(stanford: Path, tmp_path: Path) -> None:
    assert s3dis.main([str(stanford), str(tmp_path / "store"), "--workers", "1"]) == 0
    store = Store.open(tmp_path / "store")
    assert store.splits() == {"train": ["Area_1_office_1"], "val": ["Area_5_hallway_6"]}
    office = store.load("Area_1_office_1")
    space = load_label_space("s3dis")
    named = dict(zip(space.raw_ids, space.names, strict=True))
    # Files in the order of their names: stairs, which are clutter, before the wall.
    assert [named[i] for i in office.raw_label.tolist()] == ["clutter", "wall", "wall"]
    assert office.instance.tolist() == [1, 2, 2]
    assert office.xyz_m[1:].tolist() == [[1, 2, 3], [1.5, 2, 3]] and office.rgb[2].tolist() == [11, 21, 31]
    broken = store.load("Area_5_hallway_6")
    assert broken.rgb.tolist() == [[185, 187, 182]] and broken.xyz_m[0, 0] == np.float32(22.35)


def test_another_area_may_be_for_validation(stanford: Path, tmp_path: Path) -> None:
    assert s3dis.main([str(stanford), str(tmp_path / "s"), "--val-area", "1", "--workers", "1"]) == 0
    assert Store.open(tmp_path / "s").scene_names("val") == ["Area_1_office_1"]


def test_a_broken_room_is_named_and_the_rest_goes_on(
    stanford: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room(stanford / "Area_1", "office_2", {"door_1.txt": b"1 2 3 4 5\n"})
    assert s3dis.main([str(stanford), str(tmp_path / "store"), "--workers", "1"]) == 1
    assert "door_1.txt: expected lines of x y z and r g b" in capsys.readouterr().err.replace("\n", " ")
    assert len(Store.open(tmp_path / "store").entries) == 2


def test_a_folder_without_areas_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert s3dis.main([str(tmp_path), str(tmp_path / "store")]) == 2
    assert "expected the folders Area_1 to Area_6" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def sweep(source: Path, sequence: str, number: int, raw: list[int] | None) -> np.ndarray:
    folder = source / "sequences" / sequence
    for name in ("velodyne", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    points = np.random.default_rng(number).normal(size=(5, 4)).astype("<f4")
    points.tofile(folder / "velodyne" / f"{number:06d}.bin")
    if raw is not None:
        both = np.array(raw, dtype="<u4") | (np.arange(5, dtype="<u4") << 16)
        both.tofile(folder / "labels" / f"{number:06d}.label")
    return points


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    source = tmp_path / "dataset"
    # Moving car, bus, lane marking, outlier, other structure; then all as they are.
    sweep(source, "00", 0, [252, 13, 60, 1, 52])
    sweep(source, "00", 1, [10, 11, 15, 18, 20])
    sweep(source, "08", 0, [253, 254, 255, 258, 81])
    sweep(source, "11", 0, None)
    return source


def test_sweeps_become_scenes_with_moving_classes_merged(kitti: Path, tmp_path: Path) -> None:
    assert semantickitti.main([str(kitti), str(tmp_path / "store"), "--workers", "1"]) == 0
    store = Store.open(tmp_path / "store")
    assert store.splits() == {
        "train": ["00_000000", "00_000001"],
        "val": ["08_000000"],
        "test": ["11_000000"],
    }
    first = store.load("00_000000")
    assert first.raw_label.tolist() == [10, 20, 40, 0, 0] and first.instance.tolist() == [0, 1, 2, 3, 4]
    assert store.load("08_000000").raw_label.tolist() == [31, 30, 32, 18, 81]
    assert np.array_equal(first.xyz_m, np.random.default_rng(0).normal(size=(5, 4)).astype("<f4")[:, :3])
    test = store.load("11_000000")
    assert test.raw_label is None and test.rgb is None and test.normal is None
    # The classes of the benchmark by its own indices, 1 to 19, less one.
    space = load_label_space("semantickitti")
    assert space.num_classes == 19 and space.names[0] == "car" and space.names[18] == "traffic-sign"


def test_every_second_sweep(kitti: Path, tmp_path: Path) -> None:
    assert semantickitti.main([str(kitti), str(tmp_path / "s"), "--every", "2", "--workers", "1"]) == 0
    assert Store.open(tmp_path / "s").scene_names("train") == ["00_000000"]


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("velodyne/000000.bin", lambda data: data[:-3], "77 bytes are no whole number of points of 16"),
        ("labels/000000.label", lambda data: data[:-4], "4 labels for 5 points"),
        ("labels/000000.label", lambda data: b"\x07\x00\x00\x00" + data[4:], "unknown classes"),
        ("labels/000000.label", None, "no such file"),
    ],
)
def test_a_damaged_sweep_is_named(
    kitti: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, change: object, said: str
) -> None:
    path = kitti / "sequences" / "00" / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    assert semantickitti.main([str(kitti), str(tmp_path / "store"), "--workers", "1"]) == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert len(Store.open(tmp_path / "store").entries) == 3
