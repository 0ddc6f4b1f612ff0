"""How image benchmarks lie on disk: one function that lists files, one table of classes, for each.

Images of split ``test`` may lack a label; in every other split a label must be there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pointseg.core.labels import LabelSpace
from pointseg.formats.class_table import read_rows
from pointseg.formats.text import read_text
from pointseg.images.classes import ReadClasses, folder_classes, pets_classes, shipped_classes
from pointseg.images.files import ReadLabel, read_indices, read_mat_map
from pointseg.images.submission import ImageRules

LayoutName = Literal[
    "folder",
    "cityscapes",
    "cityscapes_train_ids",
    "ade20k",
    "voc2012",
    "camvid",
    "cocostuff",
    "cocostuff10k",
    "pets",
    "nyu40",
]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


@dataclass(frozen=True)
class Item:
    """One image: its name, split and files; ``label`` is where one must lie, or None if there is none."""

    name: str
    split: str
    image: Path
    label: Path | None


ListItems = Callable[[Path], Iterator[Item]]


@dataclass(frozen=True)
class Layout:
    """One benchmark.

    Args:
        items: lists the images of a folder.
        classes: label space of a folder, and every raw id that a label file may hold.
        read_label: (H, W) raw ids of a label file.
        submission: classes in the ids that the benchmark's server takes, in the same order; those of the
            label files if None.
        rules: what else the server asks for.
        listings: for a training split that holds images of another one too, what lists the images then.
        hint: what to do where labels are missing.
    """

    items: ListItems
    classes: ReadClasses
    read_label: ReadLabel = read_indices
    submission: ReadClasses | None = None
    rules: ImageRules = field(default_factory=ImageRules)
    listings: Mapping[str, ListItems] = field(default_factory=dict)
    hint: str = ""

    def server_classes(self, path: Path) -> LabelSpace:
        """The classes of a folder in the ids of submissions; train indices are those of :attr:`classes`."""
        return (self.submission or self.classes)(path)[0]

    def list_items(self, path: Path, train_split: str) -> dict[str, Item]:
        """Name -> image.

        Raises:
            FileNotFoundError: if a list of the layout is missing.
            ValueError: for a list that cannot be read, leads out of the folder, or has an image twice.
        """
        found: dict[str, Item] = {}
        for item in self.listings.get(train_split, self.items)(path):
            for file in (item.image, item.label):
                if file is not None and not _is_inside(path, file):
                    raise ValueError(f"{path}: a list names {file}, which lies outside of this folder.")
            if item.name in found:
                raise ValueError(
                    f"{path}: image {item.name!r} is listed twice, in split {found[item.name].split!r} and "
                    f"in {item.split!r}. An image belongs to one split."
                )
            found[item.name] = item
        return found


def _is_inside(folder: Path, file: Path) -> bool:
    """By its name alone: links of the user's own may lead elsewhere."""
    depth = len(folder.parts)
    return file.parts[:depth] == folder.parts and ".." not in file.parts[depth:]


def _files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Images of a folder; not the ``._name`` files that macOS leaves in archives."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _label_of(split: str, path: Path) -> Path | None:
    return _existing(path) if split == "test" else path


def _lines(file: Path) -> list[str]:
    """Lines of a list that hold something."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such list of images; is this the folder of the benchmark?")
    return [line for line in read_text(file).splitlines() if line.strip()]


def _folder_items(path: Path) -> Iterator[Item]:
    table = path / "split.csv"
    try:
        rows = read_rows(table, ("image", "split"))
    except ValueError as error:
        raise ValueError(
            f"{str(error).rstrip('.')}; expected columns image,split and a row for each image."
        ) from None
    images: dict[str, Path] = {}
    for file in _files(path / "images"):
        if file.stem in images:
            raise ValueError(f"{file}: {images[file.stem].name} has the same name; remove one of them.")
        images[file.stem] = file
    for row in rows:
        name, split = row["image"], row["split"]
        if name not in images and Path(name).suffix.lower() in IMAGE_SUFFIXES:
            name = Path(name).stem
        if name not in images:
            raise ValueError(
                f"{table}: image {name!r} is not in {path / 'images'}, among its files "
                f"{', '.join(IMAGE_SUFFIXES)}."
            )
        if not split:
            raise ValueError(f"{table}: image {name!r} has no split.")
        yield Item(name, split, images[name], _label_of(split, path / "labels" / f"{name}.png"))


def unlisted_images(path: Path, listed: Collection[str]) -> list[str]:
    """Files of the layout ``folder`` that its split.csv does not name; hidden files are none.

    Args:
        path: folder of the data set.
        listed: names of those that it does.
    """
    return [file.name for file in _files(path / "images") if file.stem not in listed]


def _cityscapes_items(kind: str) -> ListItems:
    def items(path: Path) -> Iterator[Item]:
        for split in ("train", "val", "test"):
            for image in sorted((path / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
                if not image.name.startswith("."):
                    stem = image.name.removesuffix("_leftImg8bit.png")
                    label = path / "gtFine" / split / image.parent.name / f"{stem}_gtFine_{kind}.png"
                    # The labels of the test split are all 'unlabeled'.
                    yield Item(stem, split, image, None if split == "test" else label)

    return items


def _split_folders(splits: Mapping[str, str], images: str, labels: str) -> ListItems:
    """Images of one folder a split, labels of the same name as .png; ``*`` stands for the split's folder."""

    def items(path: Path) -> Iterator[Item]:
        for folder, split in splits.items():
            for image in _files(path / images.replace("*", folder)):
                label = path / labels.replace("*", folder) / f"{image.stem}.png"
                yield Item(image.stem, split, image, _label_of(split, label))

    return items


def _voc_items(*splits: str) -> ListItems:
    def items(path: Path) -> Iterator[Item]:
        lists = path / "ImageSets" / "Segmentation"
        for split in splits:
            # The list of the images with SBD's labels goes by two names.
            file = _existing(lists / "trainaug.txt") if split == "train_aug" else None
            file = file or lists / f"{split}.txt"
            if split == "test" and not file.is_file():
                continue
            for line in _lines(file):
                # A bare name, or the path of the image and that of its label.
                name = PurePosixPath(line.split()[0]).stem
                label = path / "SegmentationClass" / f"{name}.png"
                if split == "train_aug":
                    label = _existing(path / "SegmentationClassAug" / f"{name}.png") or label
                yield Item(name, split, path / "JPEGImages" / f"{name}.jpg", _label_of(split, label))

    return items


def _camvid_items(path: Path) -> Iterator[Item]:
    for split in ("train", "val", "test"):
        listing = path / f"{split}.txt"
        if listing.is_file():
            for number, line in enumerate(_lines(listing), start=1):
                files = line.split()
                if len(files) != 2:
                    raise ValueError(
                        f"{listing}: line {number}: expected an image and a label; got {line!r}."
                    )
                image, label = (_moved(path, file) for file in files)
                yield Item(image.stem, split, image, _label_of(split, label))
        else:
            for image in _files(path / split):
                yield Item(image.stem, split, image, _label_of(split, path / f"{split}annot" / image.name))


def _moved(path: Path, listed: str) -> Path:
    """A file of a list whose paths are of the author's machine, such as /SegNet/CamVid/train/a.png."""
    parts = PurePosixPath(listed.replace("\\", "/")).parts
    parts = tuple(part for part in parts if part != "/")
    tails = (path.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail.is_file()), path.joinpath(*parts[-2:]))


def _cocostuff10k_items(path: Path) -> Iterator[Item]:
    for listing, split in (("train", "train"), ("test", "val")):
        for line in _lines(path / "imageLists" / f"{listing}.txt"):
            name = line.strip()
            yield Item(name, split, path / "images" / f"{name}.jpg", path / "annotations" / f"{name}.mat")


def _pets_items(path: Path) -> Iterator[Item]:
    for listing, split in (("trainval", "train"), ("test", "val")):
        for line in _lines(path / "annotations" / f"{listing}.txt"):
            if not line.startswith("#"):
                name = line.split()[0]
                label = path / "annotations" / "trimaps" / f"{name}.png"
                yield Item(name, split, path / "images" / f"{name}.jpg", label)


#: The server scores labelIds, whatever a network was trained on, of files <city>_<sequence>_<frame>*.png.
#: Source: cityscapesScripts, evalPixelLevelSemanticLabeling.py.
_CITYSCAPES_RULES = ImageRules(r"([A-Za-z-]+_\d{6}_\d{6}).*", size=(1024, 2048), num_images=1525)
_CITYSCAPES_CLASSES = shipped_classes("cityscapes_labels", "id", unlabelled=0)

#: Unlabelled raw ids: what stands in the files where there is no class.
LAYOUTS: dict[LayoutName, Layout] = {
    "folder": Layout(_folder_items, folder_classes),
    "cityscapes": Layout(_cityscapes_items("labelIds"), _CITYSCAPES_CLASSES, rules=_CITYSCAPES_RULES),
    "cityscapes_train_ids": Layout(
        _cityscapes_items("labelTrainIds"),
        shipped_classes("cityscapes_labels", "train_id", unlabelled=255),
        submission=_CITYSCAPES_CLASSES,
        rules=_CITYSCAPES_RULES,
        hint="The download has labelIds alone: use data.layout=cityscapes, which learns the same 19 classes "
        "from them, or make labelTrainIds with cityscapesScripts.",
    ),
    "ade20k": Layout(
        _split_folders(
            {"training": "train", "validation": "val", "testing": "test"}, "images/*", "annotations/*"
        ),
        shipped_classes("ade20k_150_classes", "png_value", unlabelled=0),
    ),
    "voc2012": Layout(
        _voc_items("train", "val", "test"),
        shipped_classes("voc21_classes", "png_index", unlabelled=255),
        listings={"train_aug": _voc_items("train_aug", "val", "test")},
    ),
    "camvid": Layout(_camvid_items, shipped_classes("camvid11_classes", "train_id", unlabelled=11)),
    "cocostuff": Layout(
        _split_folders({"train2017": "train", "val2017": "val"}, "images/*", "annotations/*"),
        shipped_classes("cocostuff_classes", "png_value", unlabelled=255),
    ),
    # Version 1.1: label ids 1..182 and 0 for unlabelled; 1.0 numbered its classes otherwise.
    "cocostuff10k": Layout(
        _cocostuff10k_items, shipped_classes("cocostuff_classes", "label_id", unlabelled=0), read_mat_map
    ),
    "pets": Layout(_pets_items, pets_classes),
    "nyu40": Layout(
        _split_folders({"train": "train", "val": "val"}, "*/images", "*/labels"),
        shipped_classes("nyu40_classes", "nyu40id", unlabelled=0),
        hint="`pointseg prepare nyu40` writes this folder from nyu_depth_v2_labeled.mat.",
    ),
}
