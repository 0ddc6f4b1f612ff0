"""The part of `pointseg check-submission` that knows images."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import cast, get_args

from rich.console import Console

from pointseg.formats.archive import BAD_ARCHIVE
from pointseg.formats.image_submission import check_image_submission
from pointseg.formats.submission import SubmissionCheck
from pointseg.images.files import open_image, upright_size
from pointseg.images.layouts import LAYOUTS, LayoutName
from pointseg.submission.check import print_outcome


def check_images(path: Path, layout: str, *, data: Path | None, split: str) -> SubmissionCheck:
    """Check the zip of an image benchmark and print every mistake with its fix.

    Args:
        path: the zip file.
        layout: layout of the data set, see :mod:`pointseg.images.layouts`.
        data: its folder; names and sizes of the images come from there. Without it only what the server's
            rules say can be checked.
        split: split that was predicted.

    Raises:
        ValueError: for an unknown layout, or a folder without that split.
    """
    if layout not in get_args(LayoutName):
        raise ValueError(f"Unknown layout {layout!r}; expected one of {', '.join(get_args(LayoutName))}.")
    name = cast(LayoutName, layout)
    if data is None and name == "folder":
        raise ValueError("The classes of a folder stand in its classes.csv: give --data DIR.")
    space, rules = LAYOUTS[name].server_classes(data or Path()), LAYOUTS[name].rules
    expected = None if data is None else _sizes(name, data, split)
    result = check_image_submission(path, space, expected, rules)
    num_expected = rules.num_images if expected is None else len(expected)
    print_outcome(path, result, space, num_expected, "images", "pixels", Console())
    return result


def _sizes(layout: LayoutName, data: Path, split: str) -> dict[str, tuple[int, int]]:
    """(height, width) of the images of a split; their labels need not be there."""
    listed = LAYOUTS[layout].list_items(data, split).values()
    images = [item for item in listed if item.split == split]
    if not images:
        found = sorted({item.split for item in listed})
        raise ValueError(f"{data}: no image of split {split!r}; found {', '.join(found) or 'none'}.")
    sizes = {}
    for item in images:
        with open_image(item.image) as opened:
            width, height = upright_size(opened)
            sizes[item.name] = (height, width)
    return sizes


def holds_images(path: Path) -> bool:
    """Whether a zip holds PNG files and no text, as submissions to image benchmarks do."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (*BAD_ARCHIVE, OSError):
        return False
    return any(name.endswith(".png") for name in names) and not any(name.endswith(".txt") for name in names)
