"""Photographs and label images as people have them: right, or named before the first step."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pointseg.images.dataset import ImageData, ImageSet
from pointseg.images.file import ImageFile, read_image_file
from pointseg.images.files import read_indices, read_label

GREY = (np.arange(48).reshape(6, 8) * 5).astype(np.uint8)


def image_set(root: Path, names: str = "ab") -> Path:
    """Image a to train on and b to validate on, of 8 x 6 pixels, with labels 1 and 2."""
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for name in names:
        Image.fromarray(np.stack([GREY] * 3, axis=2)).save(root / "images" / f"{name}.png")
        Image.fromarray((1 + GREY % 2).astype(np.uint8)).save(root / "labels" / f"{name}.png")
    (root / "split.csv").write_text("image,split\na,train\nb,val\n")
    (root / "classes.csv").write_text("raw_id,name\n1,one\n2,two\n")
    return root


def opened(root: Path) -> ImageSet:
    return ImageSet.open(root, "folder", "train", (1, 1), "val")


def save(path: Path, picture: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    Image.fromarray(picture).save(path)
    image = read_image_file(path)
    return image.rgb.reshape(image.height, image.width, 3)[..., 0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_grey_of_8_bits(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(save(tmp_path / f"a.{suffix}", GREY.astype(np.uint16) * 257), GREY)


def test_bytes_in_16_bits_are_bytes(tmp_path: Path) -> None:
    assert np.array_equal(save(tmp_path / "a.png", GREY.astype(np.uint16)), GREY)


def test_grey_of_twelve_bits_is_said(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.uint16) * 16).save(tmp_path / "a.png")
    assert "of 10 or 12 bits" in ImageFile.read(tmp_path / "a.png").remarks[0]
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert ImageFile.read(tmp_path / "a.png").remarks == ()


def test_floats_between_zero_and_one_are_grey_and_others_are_named(tmp_path: Path) -> None:
    assert np.array_equal(save(tmp_path / "a.tif", (GREY / 255).astype(np.float32)), GREY)
    with pytest.raises(ValueError, match=r"b\.tif: .*its grey values lie in -5"):
        save(tmp_path / "b.tif", GREY.astype(np.float32) - 5)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "webp", "bmp", "png"])
def test_images_of_other_formats_are_read(tmp_path: Path, suffix: str) -> None:
    picture = Image.fromarray(np.stack([GREY] * 3, axis=2))
    picture.save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_image_file(tmp_path / f"a.{suffix}").rgb.reshape(6, 8, 3)[..., 0], GREY)


@pytest.mark.parametrize(
    ("orientation", "turned"), [(3, np.rot90(GREY, 2)), (6, np.rot90(GREY, 3)), (8, np.rot90(GREY))]
)
def test_a_photograph_stands_as_its_camera_was_held(
    tmp_path: Path, orientation: int, turned: npt.NDArray[np.uint8]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.stack([GREY] * 3, axis=2)).save(tmp_path / "a.png", exif=exif)
    image = read_image_file(tmp_path / "a.png")
    assert np.array_equal(image.rgb.reshape(image.height, image.width, 3)[..., 0], turned)


def test_upright_labels_belong_to_a_turned_photograph_and_others_are_named(tmp_path: Path) -> None:
    root, exif = image_set(tmp_path / "set"), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.stack([GREY] * 3, axis=2)).save(root / "images" / "a.png", exif=exif)
    with pytest.raises(
        ValueError, match=r"labels/a\.png: .*turned by its EXIF orientation and the label is not"
    ):
        opened(root)
    label = np.rot90(1 + GREY % 2, 3).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(label)).save(root / "labels" / "a.png")
    scene = opened(root).load("a")
    assert (scene.height, scene.width) == (8, 6) and scene.raw_label is not None
    assert np.array_equal(scene.raw_label.reshape(8, 6), 1 + scene.rgb.reshape(8, 6, 3)[..., 0] % 2)


def test_an_image_above_the_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"a\.png: the image is too large .*at most 20 pixels.*tiles"):
        save(tmp_path / "a.png", GREY)


def cut_image(root: Path) -> str:
    file = root / "images" / "b.png"
    file.write_bytes(file.read_bytes()[:-30])
    return r"images/b\.png: cannot be read"


def other_size(root: Path) -> str:
    Image.new("L", (6, 8), 1).save(root / "labels" / "b.png")
    return r"labels/b\.png: the label has 6 x 8 pixels"


def foreign_id(root: Path) -> str:
    Image.new("L", (8, 6), 77).save(root / "labels" / "b.png")
    return r"labels/b\.png: label ids \[77\]"


def colored_label(root: Path) -> str:
    Image.new("RGB", (8, 6)).save(root / "labels" / "b.png")
    return r"labels/b\.png: expected a label image of one channel"


def web_page(root: Path) -> str:
    (root / "images" / "b.png").write_text("<html>404</html>")
    return r"images/b\.png: cannot be read as an image: it is a web page"


def pointer(root: Path) -> str:
    (root / "labels" / "b.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    return r"labels/b\.png: cannot be read as a label image: it is a pointer of Git LFS"


def no_label(root: Path) -> str:
    (root / "labels" / "b.png").unlink()
    return r"labels/b\.png: no such file"


@pytest.mark.parametrize(
    "damage",
    [cut_image, other_size, foreign_id, colored_label, web_page, pointer, no_label],
    ids=lambda f: f.__name__,
)
def test_an_unusable_image_of_validation_is_found_at_the_start(
    tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    root = image_set(tmp_path / "set")
    opened(root)
    message = damage(root)
    with pytest.raises(ValueError, match=message):
        opened(root)


def test_a_table_of_splits_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    root = image_set(tmp_path / "set")
    (root / "split.csv").write_bytes(b"\xef\xbb\xbfImage;Split\r\na.png;train\r\nb.png;val\r\n;\r\n")
    assert opened(root).splits() == {"train": ["a"], "val": ["b"]}
    (root / "split.csv").write_bytes("image,split\na,train\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"split\.csv: .*UTF-16"):
        opened(root)


def test_several_ids_may_be_one_class(tmp_path: Path) -> None:
    root = image_set(tmp_path / "set")
    (root / "classes.csv").write_text("raw_id,name\n5,thing\n1,thing\n2,other\n")
    found = opened(root)
    assert found.label_space.raw_ids == (5, 2) and set(np.unique(found.load("b").raw_label)) == {2, 5}
    assert found.class_statistics("train").points.tolist() == [24, 24]


def test_labels_saved_as_jpeg_are_named(tmp_path: Path) -> None:
    Image.fromarray((GREY % 2 * 200).astype(np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg: label ids .*Lossy JPEG"):
        read_label(tmp_path / "a.jpg", read_indices, {0: 0, 200: 200})


@pytest.mark.parametrize(("orientation", "is_said"), [(1, False), (2, True), (3, True), (6, False)])
def test_a_turned_image_whose_size_tells_nothing_is_said(
    tmp_path: Path, orientation: int, is_said: bool
) -> None:
    root, exif = image_set(tmp_path / "set"), Image.Exif()
    exif[0x0112] = orientation
    turned = np.rot90(GREY) if orientation == 6 else GREY
    Image.fromarray(np.stack([turned] * 3, axis=2)).save(root / "images" / "b.png", exif=exif)
    for again in (False, True):  # The second time from the cache.
        said = ImageData(path=root).check_scenes(opened(root), ["a", "b"])
        assert bool(said) == is_said, again
        assert not is_said or "1 of 2 images, such as images/b.png, are turned" in said[0]


def test_photographs_that_no_row_names_are_said(tmp_path: Path) -> None:
    root = image_set(tmp_path / "set")
    assert ImageData(path=root).check_scenes(opened(root), ["a", "b"]) == []
    for name in ("new1.png", "new2.png", "._new3.png"):
        shutil.copyfile(root / "images" / "b.png", root / "images" / name)
    (said,) = ImageData(path=root).check_scenes(opened(root), ["a", "b"])
    assert said.startswith("WARNING: 2 images, such as new1.png, have no row in")
