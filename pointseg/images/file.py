"""Photographs from and to single files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from pointseg.core.durable import writing
from pointseg.core.image import ImageScene
from pointseg.core.labels import IGNORE, LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.images.files import decoded, depth_doubt, open_image


def read_image_file(path: Path) -> ImageScene:
    """An unlabelled image from a file of any format that ``IMAGE_SUFFIXES`` names.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    with open_image(path) as opened:
        rgb = np.array(decoded(path, opened), dtype=np.uint8)
    return ImageScene(path.stem, rgb.shape[0], rgb.shape[1], rgb.reshape(-1, 3))


@dataclass(frozen=True)
class ImageFile:
    """An image from a file, and how it is written back with classes."""

    unit: ClassVar[str] = ImageScene.unit

    scene: ImageScene
    remarks: tuple[str, ...] = ()

    @property
    def guesses(self) -> Mapping[str, str]:
        """None: a photograph has what a network sees of it."""
        return {}

    @classmethod
    def read(cls, path: Path) -> ImageFile:
        """A photograph; see :func:`read_image_file` for what is raised."""
        scene = read_image_file(path)
        with open_image(path) as opened:
            doubt = depth_doubt(opened)
        return cls(scene, () if doubt is None else (doubt,))

    def write_labelled(
        self,
        path: Path,
        prediction: ScenePrediction,
        label_space: LabelSpace,
        *,
        keep_colors: bool,
        save: Sequence[str] = (),
    ) -> None:
        """A PNG of raw ids, see :func:`write_class_image`.

        Raises:
            ValueError: if the colours of the photograph, or numbers beside the classes, are asked for.
        """
        if save:
            raise ValueError(f"{path}: a PNG of classes has no room for {', '.join(save)}; leave out --save.")
        if keep_colors:
            raise ValueError(f"{path}: a PNG of classes has no room for the colours of the photograph.")
        write_class_image(path, self.scene, prediction, label_space)


def write_class_image(
    path: Path, image: ImageScene, prediction: ScenePrediction, label_space: LabelSpace
) -> None:
    """A PNG of raw ids with the class colours as its palette; of colours alone where an id is no byte.

    Pixels without a class have the unlabelled raw id; where that is no byte 255, as benchmarks mark what they
    do not count.
    """
    raw = label_space.decode(prediction.train_index)
    ids = set(label_space.raw_ids)
    if prediction.has_unclassified:
        unlabelled = label_space.unlabelled_raw_id
        if not 0 <= unlabelled <= 255 and 255 not in ids:
            unlabelled = 255
            raw = np.where(prediction.train_index == IGNORE, unlabelled, raw)
        ids.add(unlabelled)
    if min(ids) < 0 or max(ids) > 255:
        picture = Image.fromarray(image.as_picture(label_space.paint(prediction.train_index)))
    else:
        picture = Image.fromarray(raw.astype(np.uint8).reshape(image.height, image.width))
        picture.putpalette(label_space.palette())
    with writing(path) as stream:
        picture.save(stream, "PNG")
