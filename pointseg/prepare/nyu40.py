"""NYU Depth v2, its 1449 labelled images -> the folder that layout `nyu40` reads, with 40 classes.

    python data_prep/nyu40.py nyu_depth_v2_labeled.mat classMapping40.mat splits.mat -o NYU40

The first file is the data set's own, HDF5 of MATLAB: `images` and `labels`, 894 raw classes, 0 where there is
none. The second maps those to the 40 of Gupta et al. (`mapClass`), the third says which images train and test
(`trainNdxs`, `testNdxs`, counted from 1). Written are

    NYU40/train/images/0003.png   NYU40/train/labels/0003.png      numbered as in the file, from 1
    NYU40/val/images/0001.png     NYU40/val/labels/0001.png        the test images of the benchmark

with labels 0 (none) to 40 as palette images. Files that are there are kept, so that a stopped run continues.
It needs h5py: pip install 'pointseg[images]'.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import track

from pointseg.core.durable import writing
from pointseg.formats.mat_file import read_mat
from pointseg.images.dataset import ImageSet
from pointseg.images.layouts import LAYOUTS
from pointseg.prepare.preparation import exit_code

NUM_CLASSES = 40
#: Of the published splits.
OFFICIAL = {"train": 795, "val": 654}


def read_numbers(path: Path, names: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Vectors of whole numbers of a MATLAB file of version 5.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or has no such variable.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    content = read_mat(path, names)
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"{path}: expected the variable {', '.join(missing)}; are the files in their order?")
    vectors = {name: content[name].reshape(-1) for name in names}
    for name, vector in vectors.items():
        if vector.dtype.kind not in "iuf" or not bool((vector == np.floor(vector)).all()):
            raise ValueError(f"{path}: {name} must hold whole numbers; it is {vector.dtype}.")
    return [vector.astype(np.int64) for vector in vectors.values()]


def read_mapping(path: Path) -> npt.NDArray[np.uint8]:
    """Raw label -> class 1..40; 0 stays 0.

    Raises:
        ValueError: for classes outside 0..40, or fewer than 40 of them.
    """
    (mapping,) = read_numbers(path, ["mapClass"])
    if mapping.min() < 0 or mapping.max() != NUM_CLASSES:
        raise ValueError(
            f"{path}: mapClass must lead to classes up to {NUM_CLASSES}; it leads to {mapping.min()}.."
            f"{mapping.max()}. Give classMapping40.mat, not the one of 13 classes."
        )
    return np.concatenate([[0], mapping]).astype(np.uint8)


def read_splits(path: Path, num_images: int) -> dict[str, list[int]]:
    """Split -> numbers of its images, from 1.

    Raises:
        ValueError: for numbers outside 1..N, or an image in both splits.
    """
    train, test = read_numbers(path, ["trainNdxs", "testNdxs"])
    numbers = np.concatenate([train, test])
    if len(numbers) == 0 or numbers.min() < 1 or numbers.max() > num_images:
        raise ValueError(
            f"{path}: image numbers must lie in 1..{num_images}, counted from 1; got "
            f"{numbers.min(initial=num_images)}..{numbers.max(initial=0)}."
        )
    twice = np.flatnonzero(np.bincount(numbers) > 1)
    if len(twice):
        raise ValueError(f"{path}: images {twice[:10].tolist()} are listed twice.")
    return {"train": sorted(train.tolist()), "val": sorted(test.tolist())}


class LabeledImages:
    """The HDF5 file, opened for reading image by image.

    MATLAB stores columns first, so that what is H x W x 3 x N there is (N, 3, W, H) here.
    """

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError:
            raise ValueError("Reading this file needs h5py; pip install 'pointseg[images]'.") from None
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file.")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path}: cannot be read as HDF5 ({error}).") from None
        self.path = path
        self._images, self._labels = (self._dataset(name) for name in ("images", "labels"))
        count, channels, width, height = (*self._images.shape, 0, 0, 0, 0)[:4]
        if channels != 3 or self._labels.shape != (count, width, height):
            raise ValueError(
                f"{path}: expected images (N, 3, W, H) and labels (N, W, H); got {self._images.shape} and "
                f"{self._labels.shape}."
            )
        if self._images.dtype != np.uint8 or self._labels.dtype.kind not in "iu":
            raise ValueError(f"{path}: expected images of bytes and labels of whole numbers.")

    def _dataset(self, name: str) -> Any:
        import h5py

        # A link or an external file would let a stranger's data set show files of this machine.
        link = self._file.get(name, getlink=True)
        dataset = self._file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise ValueError(f"{self.path}: expected an array {name!r}; this is not the labelled data set.")
        return dataset

    def __len__(self) -> int:
        return int(self._images.shape[0])

    def image(self, number: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3) of image ``number``, from 1."""
        return np.ascontiguousarray(self._images[number - 1].transpose(2, 1, 0))

    def label(self, number: int) -> npt.NDArray[np.int64]:
        """(H, W) raw labels, 0 where there is none."""
        return np.ascontiguousarray(self._labels[number - 1].T).astype(np.int64)


def save_png(path: Path, picture: Image.Image) -> None:
    """The file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as stream:
        picture.save(stream, "PNG")


def export(
    source: LabeledImages,
    number: int,
    folder: Path,
    mapping: npt.NDArray[np.uint8],
    palette: Sequence[int],
    *,
    overwrite: bool,
) -> bool:
    """Write image and label of one number, unless both are there; whether it wrote.

    Raises:
        ValueError: for a raw label that the mapping does not have.
    """
    image, label = folder / "images" / f"{number:04d}.png", folder / "labels" / f"{number:04d}.png"
    if image.is_file() and label.is_file() and not overwrite:
        return False
    raw = source.label(number)
    if raw.min() < 0 or raw.max() >= len(mapping):
        raise ValueError(
            f"{source.path}: image {number} has raw label {raw.max() if raw.min() >= 0 else raw.min()}; the "
            f"mapping knows 0..{len(mapping) - 1}."
        )
    picture = Image.fromarray(mapping[raw])
    picture.putpalette(list(palette))
    save_png(image, Image.fromarray(source.image(number)))
    save_png(label, picture)
    return True


def report(out: Path, splits: dict[str, list[int]], console: Console) -> None:
    """Read the folder as training will, and print what is in it."""
    opened = ImageSet.open(out, "nyu40", "train", (1, 1))
    for split, names in opened.splits().items():
        console.print(f"{split}: {len(names)} images", highlight=False)
        extra = sorted(set(names) - {f"{number:04d}" for number in splits[split]})
        if extra:
            console.print(f"  not of this file: {', '.join(extra[:5])}", style="yellow", highlight=False)
    if {split: len(numbers) for split, numbers in splits.items()} != OFFICIAL:
        console.print(f"These are not the published splits of {OFFICIAL}.", style="yellow", highlight=False)
    points = opened.class_statistics("train").points.tolist()
    total = sum(opened.num_vertices(name) for name in opened.scene_names("train"))
    absent = [name for name, count in zip(opened.label_space.names, points, strict=True) if count == 0]
    console.print(f"labelled pixels of train: {sum(points) / total:.1%}", highlight=False)
    if absent:
        console.print(f"classes that train does not have: {', '.join(absent)}", highlight=False)


def parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog=prog
    )
    parser.add_argument("labeled", type=Path, metavar="LABELED.mat", help="nyu_depth_v2_labeled.mat")
    parser.add_argument("mapping", type=Path, metavar="MAPPING.mat", help="classMapping40.mat")
    parser.add_argument("splits", type=Path, metavar="SPLITS.mat", help="splits.mat")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="write images again that are there")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, console: Console) -> int:
    """Export every image of the splits."""
    source = LabeledImages(options.labeled)
    mapping, splits = read_mapping(options.mapping), read_splits(options.splits, len(source))
    palette = LAYOUTS["nyu40"].classes(options.out)[0].palette()
    jobs = [(split, number) for split, numbers in splits.items() for number in numbers]
    written = 0
    for split, number in track(jobs, "exporting images", console=console):
        folder = options.out / split
        written += export(source, number, folder, mapping, palette, overwrite=options.overwrite)
    console.print(f"written {written}, there already {len(jobs) - written}", highlight=False)
    report(options.out, splits, console)
    return 0


def main(arguments: Sequence[str] | None = None, *, prog: str = "data_prep/nyu40.py") -> int:
    """The command: 0 done, 2 it could not, 130 stopped by the user."""
    options = parse(arguments, prog)
    return exit_code(prog, functools.partial(run, options))
