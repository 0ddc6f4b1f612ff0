"""Make a smaller copy of a data set of images in the layout `folder`, for studies that have hours, not days.

    python scripts/reduce_images.py data/ccp59 data/ccp59_quarter --factor 4

Images are averaged over squares of `factor` pixels, labels are those of the pixel in the middle of each;
tables (classes.csv, split.csv) are copied. Numbers measured on the copy are those of smaller images: say so.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

#: JPEG at this quality looks like its original.
_QUALITY = 95


def reduce_folder(source: Path, target: Path, factor: int) -> int:
    """Write the copy; how many images it has.

    Raises:
        ValueError: if the source has no images, or the target is there already.
    """
    images = sorted(path for path in (source / "images").glob("*") if path.is_file())
    if not images:
        raise ValueError(f"{source}: expected a folder images/ with images; found none.")
    if target.exists():
        raise ValueError(f"{target} is there already; name another folder or remove it.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in ("images", "labels"):
        (part / name).mkdir(parents=True)
    for path in images:
        with Image.open(path) as image:
            image.convert("RGB").reduce(factor).save(part / "images" / path.name, quality=_QUALITY)
    for path in sorted((source / "labels").glob("*.png")):
        with Image.open(path) as label:
            if label.mode not in ("L", "P", "I;16", "I"):
                raise ValueError(f"{path}: expected one number a pixel; the image's mode is {label.mode}.")
            ids = np.asarray(label)
            # Where the last square is cut off, the pixel at the edge.
            rows, columns = (
                np.minimum(np.arange(0, side, factor) + factor // 2, side - 1) for side in ids.shape
            )
            small = Image.fromarray(ids[rows[:, None], columns])
            small.save(part / "labels" / path.name)
    for path in source.glob("*.csv"):
        shutil.copyfile(path, part / path.name)
    part.rename(target)
    return len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--factor", type=int, default=4)
    options = parser.parse_args()
    try:
        count = reduce_folder(options.source, options.target, options.factor)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    print(f"{count} images in {options.target}")


if __name__ == "__main__":
    main()
