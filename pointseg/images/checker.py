"""What ``pointseg check-submission`` does with images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast, get_args

from pointseg.formats.submission import SubmissionCheck
from pointseg.images.files import open_image, upright_size
from pointseg.images.layouts import LAYOUTS, LayoutName
from pointseg.images.submission import check_image_submission


@dataclass(frozen=True)
class ImageSubmission:
    """Options of the check of a zip of images.

    Args:
        layout: layout of the data set, see :mod:`pointseg.images.layouts`.
        data: its folder; names and sizes of the images come from there. Without it only what the server's
            rules say can be checked.
        split: split that was predicted.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".png",)

    layout: str | None = None
    data: Path | None = None
    split: str = "test"

    def check(self, path: Path) -> SubmissionCheck:
        """Find every mistake, see :func:`pointseg.images.submission.check_image_submission`.

        Raises:
            ValueError: for no or an unknown layout, or a folder without that split.
        """
        if self.layout is None:
            raise ValueError(f"{path} holds images: name their data set, such as --layout cityscapes.")
        if self.layout not in get_args(LayoutName):
            raise ValueError(
                f"Unknown layout {self.layout!r}; expected one of {', '.join(get_args(LayoutName))}."
            )
        name = cast(LayoutName, self.layout)
        if self.data is None and name == "folder":
            raise ValueError("The classes of a folder stand in its classes.csv: give --data DIR.")
        space, rules = LAYOUTS[name].server_classes(self.data or Path()), LAYOUTS[name].rules
        expected = None if self.data is None else _sizes(name, self.data, self.split)
        return check_image_submission(path, space, expected, rules)


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
