"""Every image benchmark in its true layout, with the traps that lie in it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pointseg.core.labels import IGNORE, id_counts
from pointseg.images.dataset import ImageSet

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


def open_set(root: Path, layout: Any, train: str = "train") -> ImageSet:
    return ImageSet.open(root, layout, train, SIZE)


def encoded(root: Path, layout: str, name: str, train: str = "train") -> list[int]:
    opened = open_set(root, layout, train)
    raw = opened.load(name).raw_label
    assert raw is not None
    return opened.label_space.encode(raw).tolist()


def cityscapes(root: Path, kind: str, values: list[int], split: str = "train") -> str:
    city = "ulm" if split == "train" else "berlin"
    stem = f"{city}_000000_000019"
    photo(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
    put(root / f"gtFine/{split}/{city}/{stem}_gtFine_{kind}.png", [values])
    return stem


@pytest.mark.parametrize(
    ("kind", "values"), [("labelIds", [7, 33, 0, 4]), ("labelTrainIds", [0, 18, 255, 255])]
)
def test_cityscapes_ids_become_the_19_train_classes(tmp_path: Path, kind: str, values: list[int]) -> None:
    name = cityscapes(tmp_path, kind, values)
    layout = "cityscapes" if kind == "labelIds" else "cityscapes_train_ids"
    assert encoded(tmp_path, layout, name) == [0, 18, IGNORE, IGNORE]
    space = open_set(tmp_path, layout).label_space
    assert space.num_classes == 19
    if layout == "cityscapes":
        # The server wants labelIds.
        assert space.decode(np.array([0, 18])).tolist() == [7, 33]


@pytest.mark.parametrize(
    ("layout", "kind"), [("cityscapes", "labelIds"), ("cityscapes_train_ids", "labelTrainIds")]
)
def test_a_licence_plate_of_cityscapes_is_minus_one_in_a_byte_and_ignored(
    tmp_path: Path, layout: str, kind: str
) -> None:
    name = cityscapes(tmp_path, kind, [-1 % 256] * 4)
    assert encoded(tmp_path, layout, name) == [IGNORE] * 4


def test_other_files_of_cityscapes_are_left_alone(tmp_path: Path) -> None:
    name = cityscapes(tmp_path, "labelIds", [7, 8, 33, 0])
    labels, images = tmp_path / "gtFine/train/ulm", tmp_path / "leftImg8bit/train/ulm"
    put(labels / f"{name}_gtFine_color.png", np.full((1, 4, 4), 9))
    put(labels / f"{name}_gtFine_labelTrainIds.png", [[5, 5, 5, 5]])
    Image.fromarray(np.full((1, 4), 26_001, np.uint16)).save(labels / f"{name}_gtFine_instanceIds.png")
    (labels / f"{name}_gtFine_polygons.json").write_text("{}")
    (images / f"._{name}_leftImg8bit.png").write_bytes(b"mac")
    opened = open_set(tmp_path, "cityscapes")
    assert list(opened.entries) == [name]
    assert encoded(tmp_path, "cityscapes", name) == [0, 1, 18, IGNORE]


def test_the_test_split_of_cityscapes_counts_as_unlabelled_and_the_others_do_not(tmp_path: Path) -> None:
    cityscapes(tmp_path, "labelIds", [7] * 4)
    test = cityscapes(tmp_path, "labelIds", [0] * 4, "test")
    assert not open_set(tmp_path, "cityscapes").has_labels(test)
    (tmp_path / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(
        ValueError, match=r"ulm_000000_000019_gtFine_labelIds\.png: no such file; it is the label"
    ):
        open_set(tmp_path, "cityscapes")
    with pytest.raises(ValueError, match=r"labelTrainIds\.png: no such file.*use data\.layout=cityscapes"):
        open_set(tmp_path, "cityscapes_train_ids")


def test_ade20k_other_is_ignored_and_classes_are_shifted_once(tmp_path: Path) -> None:
    photo(tmp_path / "images/training/a.jpg")
    photo(tmp_path / "images/testing/t.jpg")
    put(tmp_path / "annotations/training/a.png", [[0, 1, 2, 150]])
    assert encoded(tmp_path, "ade20k", "a") == [IGNORE, 0, 1, 149]
    opened = open_set(tmp_path, "ade20k")
    assert opened.label_space.num_classes == 150
    assert opened.splits()["test"] == ["t"] and not opened.has_labels("t")


def voc(root: Path) -> Path:
    """Image a to train on, b to validate on; their labels are palette images."""
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, name in (("train", "2007_000032"), ("val", "2007_000033")):
        (lists / f"{split}.txt").write_text(f"{name}\n")
        photo(root / f"JPEGImages/{name}.jpg")
        put(root / f"SegmentationClass/{name}.png", [[0, 1, 20, 255]], palette=True)
    return root


def test_voc_palette_index_is_the_label_and_255_the_border(tmp_path: Path) -> None:
    assert encoded(voc(tmp_path), "voc2012", "2007_000032") == [0, 1, 20, IGNORE]
    assert "train_aug" not in open_set(tmp_path, "voc2012").splits()


@pytest.mark.parametrize(
    ("listing", "text"),
    [
        ("train_aug.txt", "2007_000032\n2008_000002\n"),
        ("trainaug.txt", "2007_000032\n2008_000002\n"),
        (
            "train_aug.txt",
            "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\n"
            "/JPEGImages/2008_000002.jpg /SegmentationClassAug/2008_000002.png\n",
        ),
    ],
)
def test_voc_with_the_labels_of_sbd_is_split_train_aug(tmp_path: Path, listing: str, text: str) -> None:
    root = voc(tmp_path)
    (root / "ImageSets/Segmentation" / listing).write_text(text)
    photo(root / "JPEGImages/2008_000002.jpg")
    put(root / "SegmentationClassAug/2008_000002.png", [[3, 3, 255, 0]])
    opened = open_set(root, "voc2012", "train_aug")
    assert opened.splits() == {"train_aug": ["2007_000032", "2008_000002"], "val": ["2007_000033"]}
    assert encoded(root, "voc2012", "2008_000002", "train_aug") == [3, 3, IGNORE, 0]
    # An image that SBD has no own file for keeps the label of VOC.
    assert encoded(root, "voc2012", "2007_000032", "train_aug") == [0, 1, 20, IGNORE]
    assert open_set(root, "voc2012").splits()["train"] == ["2007_000032"]


def test_an_image_to_validate_on_may_not_be_trained_on(tmp_path: Path) -> None:
    root = voc(tmp_path)
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("2007_000032\n2007_000033\n")
    with pytest.raises(ValueError, match="'2007_000033' is listed twice, in split 'train_aug' and in 'val'"):
        open_set(root, "voc2012", "train_aug")


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Segmentation/train_aug\.txt: no such list"):
        open_set(voc(tmp_path), "voc2012", "train_aug")


@pytest.mark.parametrize(
    ("gone", "role"),
    [("JPEGImages/2007_000033.jpg", "image"), ("SegmentationClass/2007_000033.png", "label")],
)
def test_a_listed_image_without_a_file_is_named_with_its_role(tmp_path: Path, gone: str, role: str) -> None:
    (voc(tmp_path) / gone).unlink()
    with pytest.raises(
        ValueError, match=rf"{gone}: no such file; it is the {role} of '2007_000033' in split 'val'"
    ):
        open_set(tmp_path, "voc2012")


def test_a_list_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    photo(tmp_path / "secret.jpg")
    (root / "annotations").mkdir(parents=True)
    (root / "annotations/trainval.txt").write_text("../../secret 1 1 1\n")
    (root / "annotations/test.txt").write_text("")
    with pytest.raises(ValueError, match="outside of this folder"):
        open_set(root, "pets")


def test_camvid_palette_index_is_the_label_and_11_is_ignored(tmp_path: Path) -> None:
    photo(tmp_path / "train/x.png")
    photo(tmp_path / "train/._x.png")
    put(tmp_path / "trainannot/x.png", [[0, 10, 11, 8]], palette=True)
    assert encoded(tmp_path, "camvid", "x") == [0, 10, IGNORE, 8]
    assert open_set(tmp_path, "camvid").label_space.num_classes == 11


def test_camvid_lists_decide_where_there_are_some_whatever_machine_they_were_written_on(
    tmp_path: Path,
) -> None:
    for name in ("x", "left_out"):
        photo(tmp_path / f"train/{name}.png")
    photo(tmp_path / "val/y.png")
    put(tmp_path / "trainannot/x.png", [[0, 10, 11, 8]], palette=True)
    put(tmp_path / "valannot/y.png", [[1, 1, 1, 1]])
    (tmp_path / "train.txt").write_text("/SegNet/CamVid/train/x.png /SegNet/CamVid/trainannot/x.png\n\n")
    opened = open_set(tmp_path, "camvid")
    assert opened.splits() == {"train": ["x"], "val": ["y"]}
    assert encoded(tmp_path, "camvid", "x") == [0, 10, IGNORE, 8]
    (tmp_path / "val.txt").write_text("/SegNet/CamVid/val/z.png /SegNet/CamVid/valannot/z.png\n")
    with pytest.raises(ValueError, match=r"val/z\.png: no such file; it is the image of 'z'"):
        open_set(tmp_path, "camvid")
    (tmp_path / "val.txt").write_text("val/y.png\n")
    with pytest.raises(ValueError, match=r"val\.txt: line 1: expected an image and a label"):
        open_set(tmp_path, "camvid")


#: Label ids 12 26 29 30 45 66 68 69 71 83 91 of COCO have no pixels anywhere.
COCO_ABSENT = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)


def test_cocostuff_ids_that_never_occur_are_no_classes(tmp_path: Path) -> None:
    photo(tmp_path / "images/train2017/000000000009.jpg", width=183)
    put(tmp_path / "annotations/train2017/000000000009.png", [[*range(182), 255]])
    found = encoded(tmp_path, "cocostuff", "000000000009")
    # Files hold the label id less one.
    assert [i for i in range(182) if found[i] == IGNORE] == [i - 1 for i in COCO_ABSENT]
    assert [i for i in found if i != IGNORE] == list(range(171)) and found[182] == IGNORE
    assert open_set(tmp_path, "cocostuff").label_space.names[11] == "stop sign"


def test_cocostuff_10k_holds_label_ids_in_mat_files_and_0_is_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "annotations").mkdir()
    for split, name in (("train", "COCO_train2014_000000000077"), ("test", "COCO_train2014_000000000092")):
        (tmp_path / f"imageLists/{split}.txt").write_text(f"{name}\n")
        photo(tmp_path / f"images/{name}.jpg", height=2)
        truth = np.array([[0, 1, 12, 182], [13, 92, 1, 0]], np.uint16)
        names = np.array([["person", "bicycle"]], object)
        savemat(tmp_path / f"annotations/{name}.mat", {"S": truth, "names": names})
    opened = open_set(tmp_path, "cocostuff10k")
    assert opened.label_space.num_classes == 171 and sorted(opened.splits()) == ["train", "val"]
    found = encoded(tmp_path, "cocostuff10k", "COCO_train2014_000000000077")
    assert found == [IGNORE, 0, IGNORE, 170, 11, 80, 0, IGNORE]
    for content in (b"no matlab", b""):
        (tmp_path / "annotations/COCO_train2014_000000000077.mat").write_bytes(content)
        with pytest.raises(ValueError, match=r"000000000077\.mat: cannot be read"):
            open_set(tmp_path, "cocostuff10k")
    savemat(tmp_path / "annotations/COCO_train2014_000000000077.mat", {"T": truth})
    with pytest.raises(ValueError, match=r"000000000077\.mat: expected the label map S"):
        open_set(tmp_path, "cocostuff10k")


def test_pets_leave_the_border_and_files_of_macos_out(tmp_path: Path) -> None:
    photo(tmp_path / "images/Abyssinian_1.jpg")
    (tmp_path / "images/Abyssinian_1.mat").write_bytes(b"mat")
    put(tmp_path / "annotations/trimaps/Abyssinian_1.png", [[1, 2, 3, 1]])
    (tmp_path / "annotations/trimaps/._Abyssinian_1.png").write_bytes(b"mac")
    (tmp_path / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\n")
    (tmp_path / "annotations/test.txt").write_text("#Image CLASS-ID\n")
    assert encoded(tmp_path, "pets", "Abyssinian_1") == [0, 1, IGNORE, 0]
    assert list(open_set(tmp_path, "pets").entries) == ["Abyssinian_1"]


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
    open_set(root, "folder")
    (kept,) = (tmp_path / "cache/pointseg").iterdir()
    before = kept.stat().st_mtime_ns
    open_set(root, "folder")
    assert kept.stat().st_mtime_ns == before
    put(root / "labels/a.png", [[5, 5, 5, 1]])
    assert open_set(root, "folder").class_statistics("train").points.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("LA", "png"), ("RGBA", "png"), ("1", "png")],
)
def test_photographs_that_are_not_rgb_are_read_as_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    root = folder(tmp_path)
    (root / "images/a.png").unlink()
    grey = Image.new("RGB", (4, 1), (255, 255, 255)).convert(mode)
    grey.save(root / f"images/a.{suffix}", **({"transparency": bytes([9] * 256)} if mode == "P" else {}))
    opened = open_set(root, "folder")
    for scene in (opened.load("a"), opened.read("a")):
        assert scene.rgb.shape == (4, 3) and scene.rgb.min() >= 250


def test_a_label_in_colours_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, np.zeros((1, 4, 3)))
    with pytest.raises(ValueError, match=r"labels/a\.png: expected a label image of one channel"):
        open_set(root, "folder")


def test_ids_above_255_and_above_65535_are_counted(tmp_path: Path) -> None:
    root = folder(tmp_path)
    with (root / "classes.csv").open("a", newline="") as handle:
        csv.writer(handle).writerows([(1191, "mattress"), (70_000, "rare")])
    label = np.array([[1, 1191, 70_000, 70_000]], np.int32)
    assert [part.tolist() for part in id_counts(label)] == [[1, 1191, 70_000], [1, 1, 2]]
    Image.fromarray(np.array([[1, 5, 1191, 1191]], np.uint16)).save(root / "labels/a.png")
    assert open_set(root, "folder").class_statistics("train").points.tolist() == [0, 1, 1, 2, 0]


@pytest.mark.parametrize(("split", "is_needed"), [("train", True), ("val", True), ("test", False)])
def test_only_images_of_split_test_may_lack_a_label(tmp_path: Path, split: str, is_needed: bool) -> None:
    root = folder(tmp_path)
    photo(root / "images/b.jpg")
    (root / "split.csv").write_text(f"image,split\na,train\nb,{split}\n")
    if is_needed:
        with pytest.raises(ValueError, match=rf"labels/b\.png: no such file; .*'b' in split '{split}'"):
            open_set(root, "folder")
    else:
        assert not open_set(root, "folder").has_labels("b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,part\na,train\n", "expected columns image,split"),
        ("image,split\n", "expected columns image,split"),
        ("image,split\na,train\nb,val\n", "image 'b' is not in"),
        ("image,split\na,\n", "image 'a' has no split"),
        ("image,split\na,train\na,val\n", "image 'a' is listed twice"),
    ],
)
def test_a_table_of_splits_with_a_mistake_is_explained(tmp_path: Path, content: str, message: str) -> None:
    root = folder(tmp_path)
    (root / "split.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        open_set(root, "folder")


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    photo(folder(tmp_path) / "images/a.jpg")
    with pytest.raises(ValueError, match=r"images/a\.png: a\.jpg has the same name"):
        open_set(tmp_path, "folder")


@pytest.mark.parametrize("damage", ["truncated", "empty", "another", "no_text", "list"])
def test_a_damaged_cache_is_counted_again(tmp_path: Path, damage: str) -> None:
    root = folder(tmp_path)
    open_set(root, "folder")
    (kept,) = (tmp_path / "cache/pointseg").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "empty": b"",
            "another": b'{"b": [1, 4, {}]}',
            "no_text": b"\xff\xfe\x00",
            "list": b"[[1, 2, 3]]",
        }[damage]
    )
    opened = open_set(root, "folder")
    assert opened.class_statistics("train").points.tolist() == [2, 1, 1]
    assert kept.read_bytes() == whole


def test_sizes_are_kept_so_that_no_image_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path)
    photo(root / "images/b.jpg", 3, 5)
    (root / "split.csv").write_text("image,split\na,train\nb,test\n")
    assert open_set(root, "folder").num_vertices("b") == 15
    monkeypatch.setattr("pointseg.images.counts.open_image", pytest.fail)
    entry = open_set(root, "folder").entry("b")
    assert (entry["height"], entry["width"], entry["num_vertices"]) == (3, 5, 15)


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="class counts cannot be kept"):
        opened = open_set(folder(tmp_path / "set"), "folder")
    assert opened.class_statistics("train").points.tolist() == [2, 1, 1]


def test_many_images_are_counted_as_few_are(tmp_path: Path) -> None:
    root, random = folder(tmp_path), np.random.default_rng(0)
    rows, expected = ["image,split"], np.zeros(6, np.int64)
    for number in range(600):
        label = random.choice([0, 1, 5], (2, 3))
        photo(root / f"images/{number}.png", 2, 3)
        put(root / f"labels/{number}.png", label)
        rows.append(f"{number},train")
        expected += np.bincount(label.ravel(), minlength=6)
    (root / "split.csv").write_text("\n".join(rows))
    opened = open_set(root, "folder")
    assert opened.class_statistics("train").points.tolist() == expected[[0, 1, 5]].tolist()


def test_an_image_and_a_label_of_different_size_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels/a\.png: the label has 2 x 1 pixels"):
        ImageSet.open(folder(tmp_path, [[0, 1]]), "folder", "train", SIZE)


def test_a_label_id_outside_the_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels/a\.png: label ids \[9\]"):
        ImageSet.open(folder(tmp_path, [[0, 1, 9, 0]]), "folder", "train", SIZE)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "images/a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"images/a\.png: cannot be read"):
        open_set(root, "folder")


def test_an_empty_split_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no image of split 'training'; found train"):
        ImageSet.open(folder(tmp_path), "folder", "training", SIZE)
