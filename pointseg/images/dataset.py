"""ImageData, the door to images, and ImageSet: labelled images in the folders that a benchmark comes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field, field_validator

from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace, groups_by_points
from pointseg.core.prediction import ScenePrediction
from pointseg.data.kind import Kind
from pointseg.data.reader import SceneReader
from pointseg.data.source import Source
from pointseg.formats.submission import SubmissionCheck
from pointseg.images.checker import ImageSubmission
from pointseg.images.counts import with_counts
from pointseg.images.file import ImageFile
from pointseg.images.files import check_same_size, decoded, open_image, read_label, upright_size
from pointseg.images.layouts import IMAGE_SUFFIXES, LAYOUTS, Layout, LayoutName, unlisted_images
from pointseg.images.pipeline import ImagePipeline, covering_scale
from pointseg.images.submission import check_image_submission, write_image_submission

#: Height and width in pixels.
Sides = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class ImageData(Kind):
    """Options of a data set of images, beside those of every data set.

    Args:
        layout: how images and labels lie in it, see ``pointseg.images.layouts``.
        size: height and width of training samples, and of the windows of sliding-window testing.
        resize: height and width that an image is scaled to cover before anything else; ``size`` if None.
            Evaluation counts every pixel of an image's own resolution all the same.
        scale: range of the random scale of training.
        color_jitter: largest random change of brightness, contrast and saturation, as a share.
        hue_jitter: largest random change of hue, as a share of the circle.
        photometric: distort colours as mmsegmentation does, in place of these two.
        max_class_share: a training window in which one class has this share of the labelled pixels is drawn
            anew, up to ten times (``cat_max_ratio`` of mmsegmentation); 1 takes each as it comes.
        slide_stride: height and width from one window of sliding-window testing to the next; None predicts
            images whole.
    """

    kind: ClassVar[str] = "images"
    file_suffixes: ClassVar[tuple[str, ...]] = IMAGE_SUFFIXES
    keeps_more: ClassVar[bool] = False
    checker: ClassVar[Any] = ImageSubmission
    more_rows: ClassVar[str] = "a larger data.size"

    type: Literal["images"] = "images"
    layout: LayoutName = "folder"
    size: Sides = (512, 512)
    resize: Sides | None = None
    scale: tuple[float, float] = (0.5, 2.0)
    color_jitter: float = Field(default=0.3, ge=0, lt=1)
    hue_jitter: float = Field(default=0.02, ge=0, le=0.5)
    photometric: bool = False
    max_class_share: float = Field(default=1.0, gt=0, le=1)
    slide_stride: Sides | None = None

    @field_validator("scale")
    @classmethod
    def _is_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"give the smallest and the largest factor, above 0; got {list(value)}")
        return value

    def open(self) -> ImageSet:
        """The images.

        Raises:
            FileNotFoundError: if there is no such folder or table.
            ValueError: if images and labels do not belong together.
        """
        height, width = self.resize or self.size
        largest = self.scale[1]
        read_size = (largest * height, largest * width)
        return self.cut(ImageSet.open(self.path, self.layout, self.train_split, read_size, self.val_split))

    def check(self, augment: Sequence[Any], mix3d_p: float) -> None:
        """Raises ValueError for settings of scans."""
        if augment or mix3d_p:
            raise ValueError(
                "augment and mix3d_p are for scans; images have data.scale and data.color_jitter"
            )

    def check_scenes(self, store: ImageSet, names: Sequence[str]) -> list[str]:
        """Whether images are left out, and whether labels may have been drawn on images that stand otherwise;
        all else is found on opening.
        """
        notices = []
        if self.layout == "folder" and (unlisted := unlisted_images(store.path, store.entries)):
            notices.append(
                f"WARNING: {len(unlisted)} images, such as {unlisted[0]}, have no row in "
                f"{store.path / 'split.csv'} and are left out"
            )
        turned = [name for name in names if store.entry(name)["turned"]]
        if not turned:
            return notices
        first = store.entry(turned[0])["image"]
        return [
            *notices,
            f"WARNING: {len(turned)} of {len(names)} images, such as {first}, are turned or mirrored by "
            "EXIF, and their labels are of the same size either way: they are taken to be upright, "
            "as people see the images",
        ]

    def build_reader(self, store: ImageSet, names: Sequence[str], *, seed: int) -> SceneReader:
        """What loader workers do."""
        return SceneReader(store, names)

    def build_pipeline(
        self,
        label_space: LabelSpace,
        device: torch.device | str,
        *,
        augment: Sequence[Any] = (),
        mix3d_p: float = 0.0,
    ) -> ImagePipeline:
        """What makes batches on a device."""
        return ImagePipeline(
            size=self.size,
            resize=self.resize,
            scale=self.scale,
            color_jitter=self.color_jitter,
            hue_jitter=self.hue_jitter,
            photometric=self.photometric,
            max_class_share=self.max_class_share,
            slide_stride=self.slide_stride,
            label_space=label_space,
            device=device,
        )

    def read_file(self, path: Path, *, unit: str | None = None, want_labels: bool = False) -> ImageFile:
        """A photograph; it has no positions whose unit could be given, and no labels."""
        if unit is not None:
            raise ValueError(f"{path}: the pixels of an image have no unit; leave out --unit {unit}.")
        return ImageFile.read(path)

    def labelled_suffixes(self, source: Path) -> tuple[str, ...]:
        """A PNG, whatever the photograph is."""
        return (".png",)

    def write_submission(
        self,
        path: Path,
        store: ImageSet,
        names: Sequence[str],
        label_space: LabelSpace,
        predicted: Iterable[tuple[ImageScene, ScenePrediction]],
        description: bytes | None = None,
    ) -> SubmissionCheck:
        """A PNG for each image, in the ids that the benchmark's server takes."""
        if description is not None:
            raise ValueError("--description: servers of images take none.")
        layout = LAYOUTS[self.layout]
        space = layout.server_classes(store.path)
        if space.names != label_space.names or store.label_space.raw_ids != label_space.raw_ids:
            raise ValueError(
                f"{store.path} has other classes than {label_space.name!r}, for which the run was trained."
            )
        expected = {n: (int(store.entry(n)["height"]), int(store.entry(n)["width"])) for n in names}
        pictures = (
            (image.name, space.decode(prediction.train_index).reshape(image.height, image.width))
            for image, prediction in predicted
        )
        write_image_submission(path, pictures)
        return check_image_submission(path, space, expected, layout.rules)


# How it is shown is said by Source.
@dataclass(frozen=True, repr=False)
class ImageSet(Source):
    """Images and labels in folders, opened for reading.

    Args:
        layout: how they lie, and how a label file is read.
        known: every raw id that a label file may hold -> the raw id of its class.
        read_size: (height, width) that images cover when training reads them.
    """

    members: ClassVar[str] = "images"
    unit: ClassVar[str] = ImageScene.unit

    layout: Layout
    known: Mapping[int, int]
    read_size: tuple[float, float]

    @classmethod
    def open(
        cls,
        path: Path,
        layout: LayoutName,
        train_split: str,
        read_size: tuple[float, float],
        val_split: str | None = None,
    ) -> ImageSet:
        """List the files; classes of the training split are counted and the images of the validation split
        checked once, and what was found is kept in the user's cache.
        """
        path = Path(path)
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such folder of images.")
        chosen = LAYOUTS[layout]
        space, known = chosen.classes(path)
        entries: dict[str, dict[str, Any]] = {
            name: {
                "split": item.split,
                "image": str(item.image.relative_to(path)),
                "label": None if item.label is None else str(item.label.relative_to(path)),
            }
            for name, item in chosen.list_items(path, train_split).items()
        }
        if not any(entry["split"] == train_split for entry in entries.values()):
            found = sorted({entry["split"] for entry in entries.values()})
            raise ValueError(
                f"{path}: no image of split {train_split!r}; found {', '.join(found) or 'none'}."
            )
        counted = with_counts(path, space, known, entries, train_split, chosen, checked_split=val_split)
        opened = cls(path, space, counted, chosen, known, read_size)
        if space.has_groups:
            return opened
        groups = groups_by_points(opened.class_statistics(train_split).points.tolist())
        return replace(opened, label_space=replace(space, groups=groups))

    def has_labels(self, name: str) -> bool:
        return self.entry(name)["label"] is not None

    def load(self, name: str) -> ImageScene:
        """An image at its own resolution.

        Raises:
            ValueError: naming the file, if it cannot be read, or image and label do not belong together.
        """
        return self._load(name, smaller=False)

    def read(self, name: str) -> ImageScene:
        """An image at about the size that training needs, decoded at no more."""
        return self._load(name, smaller=True)

    def _load(self, name: str, *, smaller: bool) -> ImageScene:
        entry = self.entry(name)
        image_file = self.path / entry["image"]
        with open_image(image_file) as opened:
            stored, (width, height) = opened.size, upright_size(opened)
            factor = covering_scale(height, width, self.read_size)
            sides = (max(1, round(width * factor)), max(1, round(height * factor)))
            smaller = smaller and factor < 1
            if smaller:
                # JPEG can be decoded at a half, a quarter or an eighth, for a part of the time.
                opened.draft("RGB", sides if stored == (width, height) else sides[::-1])
            picture = decoded(image_file, opened)
        raw = None
        if entry["label"] is not None:
            file = self.path / entry["label"]
            raw = read_label(file, self.layout.read_label, self.known)
            check_same_size(file, raw.shape, image_file, (width, height), stored)
        if smaller:
            picture = picture.resize(sides, Image.Resampling.BILINEAR)
            if raw is not None:
                rows = (np.arange(sides[1]) + 0.5) * height / sides[1]
                columns = (np.arange(sides[0]) + 0.5) * width / sides[0]
                raw = raw[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
        rgb = np.array(picture, dtype=np.uint8)
        return ImageScene(
            name,
            rgb.shape[0],
            rgb.shape[1],
            rgb.reshape(-1, 3),
            None if raw is None else np.ascontiguousarray(raw, np.int32).reshape(-1),
        )
