"""How image benchmarks lie on disk: one function that lists files, one table of classes, for each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from pointseg.core.labels import LabelSpace, distinct_colors, resource_path
from pointseg.formats.class_table import read_class_table

LayoutName = Literal[
    "folder",
    "cityscapes",
    "cityscapes_train_ids",
    "ade20k",
    "voc2012",
    "camvid",
    "cocostuff",
    "pets",
    "nyu40",
]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Item:
    """One image: its name, split and files."""

    name: str
    split: str
    image: Path
    label: Path | None


Classes = tuple[LabelSpace, Sequence[int]]


@dataclass(frozen=True)
class Layout:
    """One benchmark.

    Args:
        items: lists the images of a folder.
        classes: label space of a folder, and every raw id that a label file may hold.
        read_label: (H, W) raw ids of a label file.
    """

    items: Callable[[Path], Iterator[Item]]
    classes: Callable[[Path], Classes]
    read_label: Callable[[Path], npt.NDArray[np.int32]]


def read_indices(file: Path) -> npt.NDArray[np.int32]:
    """Raw ids of an image of one channel. A palette image is not converted: its index is the label."""
    with Image.open(file) as opened:
        return np.array(opened).astype(np.int32)


def _files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Images of a folder; not the ``._name`` files that macOS leaves in archives."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _folder_items(path: Path) -> Iterator[Item]:
    with (path / "split.csv").open(newline="", encoding="utf-8-sig") as handle:
        rows = list(csv.DictReader(handle))
    if not rows or not {"image", "split"} <= set(rows[0]):
        raise ValueError(f"{path / 'split.csv'}: expected columns image,split and a row for each image.")
    images = {file.stem: file for file in _files(path / "images")}
    for row in rows:
        name = row["image"]
        if name not in images:
            raise ValueError(f"{path / 'split.csv'}: image {name!r} is not in {path / 'images'}.")
        yield Item(name, row["split"], images[name], _existing(path / "labels" / f"{name}.png"))


def _folder_classes(path: Path) -> Classes:
    table = read_class_table(path / "classes.csv", path.resolve().name)
    return table.label_space, sorted(table.known_raw_ids())


def _cityscapes_items(kind: str) -> Callable[[Path], Iterator[Item]]:
    def items(path: Path) -> Iterator[Item]:
        for split in ("train", "val", "test"):
            for image in sorted((path / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
                if not image.name.startswith("."):
                    stem = image.name.removesuffix("_leftImg8bit.png")
                    label = path / "gtFine" / split / image.parent.name / f"{stem}_gtFine_{kind}.png"
                    # The labels of the test split are all 'unlabeled'.
                    yield Item(stem, split, image, None if split == "test" else _existing(label))

    return items


def _ade20k_items(path: Path) -> Iterator[Item]:
    for folder, split in (("training", "train"), ("validation", "val")):
        for image in _files(path / "images" / folder):
            yield Item(
                image.stem, split, image, _existing(path / "annotations" / folder / f"{image.stem}.png")
            )


def _voc_items(path: Path) -> Iterator[Item]:
    for split in ("train", "val"):
        for name in (path / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split():
            label = _existing(path / "SegmentationClass" / f"{name}.png")
            yield Item(name, split, path / "JPEGImages" / f"{name}.jpg", label)


def _camvid_items(path: Path) -> Iterator[Item]:
    for split in ("train", "val", "test"):
        for image in _files(path / split):
            yield Item(image.stem, split, image, _existing(path / f"{split}annot" / image.name))


def _cocostuff_items(path: Path) -> Iterator[Item]:
    for folder, split in (("train2017", "train"), ("val2017", "val")):
        for image in _files(path / "images" / folder):
            yield Item(
                image.stem, split, image, _existing(path / "annotations" / folder / f"{image.stem}.png")
            )


def _pets_items(path: Path) -> Iterator[Item]:
    for listing, split in (("trainval", "train"), ("test", "val")):
        for line in (path / "annotations" / f"{listing}.txt").read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                name = line.split()[0]
                label = _existing(path / "annotations" / "trimaps" / f"{name}.png")
                yield Item(name, split, path / "images" / f"{name}.jpg", label)


def _nyu40_items(path: Path) -> Iterator[Item]:
    for split in ("train", "val"):
        for image in _files(path / split / "images"):
            yield Item(image.stem, split, image, _existing(path / split / "labels" / f"{image.stem}.png"))


def _shipped(table: str, raw: str, *, unlabelled: int, also: Sequence[int] = ()) -> Callable[[Path], Classes]:
    """Classes of a shipped table: rows with a train id (if it has that column) in its order."""

    def classes(path: Path) -> Classes:
        with resource_path("images", f"{table}.csv").open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        used = [
            row
            for row in rows
            if row.get("train_id", "0") not in ("", "255", "-1") and "ignore" not in row["name"]
        ]
        if "train_id" in rows[0]:
            used.sort(key=lambda row: int(row["train_id"]))
        colors = (
            tuple((int(row["r"]), int(row["g"]), int(row["b"])) for row in used)
            if "r" in rows[0]
            else distinct_colors(len(used))
        )
        space = LabelSpace(
            table.partition("_")[0],
            tuple(int(row[raw]) for row in used),
            tuple(row["name"] for row in used),
            ("",) * len(used),
            colors,
            unlabelled_raw_id=unlabelled,
        )
        return space, sorted({int(row[raw]) for row in rows} | {unlabelled, *also})

    return classes


def _pets_classes(path: Path) -> Classes:
    """Pet and background; the border, 3, is left out of training and scoring."""
    space = LabelSpace(
        "pets", (1, 2), ("pet", "background"), ("", ""), distinct_colors(2), unlabelled_raw_id=3
    )
    return space, (1, 2, 3)


#: Unlabelled raw ids: what stands in the files where there is no class.
LAYOUTS: dict[LayoutName, Layout] = {
    "folder": Layout(_folder_items, _folder_classes, read_indices),
    "cityscapes": Layout(
        _cityscapes_items("labelIds"), _shipped("cityscapes_labels", "id", unlabelled=0), read_indices
    ),
    "cityscapes_train_ids": Layout(
        _cityscapes_items("labelTrainIds"),
        _shipped("cityscapes_labels", "train_id", unlabelled=255),
        read_indices,
    ),
    "ade20k": Layout(_ade20k_items, _shipped("ade20k_150_classes", "png_value", unlabelled=0), read_indices),
    "voc2012": Layout(_voc_items, _shipped("voc21_classes", "png_index", unlabelled=255), read_indices),
    "camvid": Layout(_camvid_items, _shipped("camvid11_classes", "train_id", unlabelled=11), read_indices),
    "cocostuff": Layout(
        _cocostuff_items, _shipped("cocostuff_classes", "png_value", unlabelled=255), read_indices
    ),
    "pets": Layout(_pets_items, _pets_classes, read_indices),
    "nyu40": Layout(_nyu40_items, _shipped("nyu40_classes", "nyu40id", unlabelled=0), read_indices),
}
