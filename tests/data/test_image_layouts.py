"""Every image benchmark in its true layout, with the traps that lie in it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointseg.core.labels import IGNORE
from pointseg.data.image_data import ImageSet

SIZE = (8, 8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def put(path: Path, values: object, *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.array(values, np.uint8))
    if palette:
        picture.putpalette([(7 * i) % 256 for i in range(768)])
    picture.save(path)


def photo(path: Path, height: int = 1, width: int = 4) -> None:
    put(path, np.full((height, width, 3), 90))


def encoded(root: Path, layout: str, name: str, train: str = "train") -> list[int]:
    opened = ImageSet.open(root, layout, train, SIZE)  # type: ignore[arg-type]
    raw = opened.load(name).raw_label
    assert raw is not None
    return opened.label_space.encode(raw).tolist()


@pytest.mark.parametrize(
    ("kind", "values"), [("labelIds", [7, 33, 0, 4]), ("labelTrainIds", [0, 18, 255, 255])]
)
def test_cityscapes_ids_become_the_19_train_classes(tmp_path: Path, kind: str, values: list[int]) -> None:
    photo(tmp_path / "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png")
    put(tmp_path / f"gtFine/train/ulm/ulm_000000_000019_gtFine_{kind}.png", [values])
    layout = "cityscapes" if kind == "labelIds" else "cityscapes_train_ids"
    assert encoded(tmp_path, layout, "ulm_000000_000019") == [0, 18, IGNORE, IGNORE]
    space = ImageSet.open(tmp_path, layout, "train", SIZE).label_space  # type: ignore[arg-type]
    assert space.num_classes == 19
    if layout == "cityscapes":
        # The server wants labelIds.
        assert space.decode(np.array([0, 18])).tolist() == [7, 33]


def test_ade20k_other_is_ignored_and_classes_are_shifted_once(tmp_path: Path) -> None:
    photo(tmp_path / "images/training/a.jpg")
    put(tmp_path / "annotations/training/a.png", [[0, 1, 2, 150]])
    assert encoded(tmp_path, "ade20k", "a") == [IGNORE, 0, 1, 149]


def test_voc_palette_index_is_the_label_and_255_the_border(tmp_path: Path) -> None:
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "val.txt").write_text("")
    photo(tmp_path / "JPEGImages/2007_000032.jpg")
    put(tmp_path / "SegmentationClass/2007_000032.png", [[0, 1, 20, 255]], palette=True)
    assert encoded(tmp_path, "voc2012", "2007_000032") == [0, 1, 20, IGNORE]


def test_camvid_11_is_ignored(tmp_path: Path) -> None:
    photo(tmp_path / "train/x.png")
    put(tmp_path / "trainannot/x.png", [[0, 10, 11, 8]], palette=True)
    assert encoded(tmp_path, "camvid", "x") == [0, 10, IGNORE, 8]


def test_cocostuff_ids_that_never_occur_are_no_classes(tmp_path: Path) -> None:
    photo(tmp_path / "images/train2017/000000000009.jpg")
    # 12 is the stop sign: it comes after the street sign, png value 11, which has no class.
    put(tmp_path / "annotations/train2017/000000000009.png", [[0, 12, 181, 255]])
    assert encoded(tmp_path, "cocostuff", "000000000009") == [0, 11, 170, IGNORE]


def test_pets_leave_the_border_and_files_of_macos_out(tmp_path: Path) -> None:
    photo(tmp_path / "images/Abyssinian_1.jpg")
    (tmp_path / "images/Abyssinian_1.mat").write_bytes(b"mat")
    put(tmp_path / "annotations/trimaps/Abyssinian_1.png", [[1, 2, 3, 1]])
    (tmp_path / "annotations/trimaps/._Abyssinian_1.png").write_bytes(b"mac")
    (tmp_path / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\n")
    (tmp_path / "annotations/test.txt").write_text("#Image CLASS-ID\n")
    assert encoded(tmp_path, "pets", "Abyssinian_1") == [0, 1, IGNORE, 0]


def test_nyu40_zero_is_unlabelled(tmp_path: Path) -> None:
    photo(tmp_path / "train/images/0001.png")
    put(tmp_path / "train/labels/0001.png", [[0, 1, 40, 2]])
    assert encoded(tmp_path, "nyu40", "0001") == [IGNORE, 0, 39, 1]


def folder(root: Path, label: object = ((0, 1, 5, 0),)) -> Path:
    photo(root / "images/a.png")
    photo(root / "images/._b.png")
    put(root / "labels/a.png", label)
    with (root / "classes.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("id", "name"), (0, "null"), (1, "bag"), (5, "belt")])
    (root / "split.csv").write_text("image,split\na,train\n")
    return root


def test_a_folder_counts_its_classes_and_groups_them(tmp_path: Path) -> None:
    opened = ImageSet.open(folder(tmp_path), "folder", "train", SIZE)
    assert opened.class_statistics("train").points.tolist() == [2, 1, 1]
    assert opened.label_space.groups == ("head", "common", "tail")


def test_class_counts_are_kept_and_made_again_when_a_label_changes(tmp_path: Path) -> None:
    root = folder(tmp_path)
    ImageSet.open(root, "folder", "train", SIZE)
    (kept,) = (tmp_path / "cache/pointseg").iterdir()
    before = kept.stat().st_mtime_ns
    ImageSet.open(root, "folder", "train", SIZE)
    assert kept.stat().st_mtime_ns == before
    put(root / "labels/a.png", [[5, 5, 5, 1]])
    assert ImageSet.open(root, "folder", "train", SIZE).class_statistics("train").points.tolist() == [0, 1, 3]


def test_an_image_and_a_label_of_different_size_are_named(tmp_path: Path) -> None:
    opened = ImageSet.open(folder(tmp_path, [[0, 1]]), "folder", "train", SIZE)
    with pytest.raises(ValueError, match=r"labels/a\.png: the label has 2 x 1 pixels"):
        opened.load("a")


def test_a_label_id_outside_the_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels/a\.png: label ids \[9\]"):
        ImageSet.open(folder(tmp_path, [[0, 1, 9, 0]]), "folder", "train", SIZE)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "images/a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"images/a\.png: cannot be read"):
        ImageSet.open(root, "folder", "train", SIZE)


def test_an_empty_split_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image of split 'training'; found train"):
        ImageSet.open(folder(tmp_path), "folder", "training", SIZE)
