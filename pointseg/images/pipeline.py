"""ImagePipeline: images in, an ImageBatch on the device out; the counterpart of ScenePipeline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.rows import IGNORE
from pointseg.core.seeds import seeded_generator
from pointseg.core.transfer import to_device
from pointseg.data.kind import NUM_VIEWS
from pointseg.images import photometric
from pointseg.images.predict import predict
from pointseg.images.windows import NUM_REDRAWN, varied_windows

if TYPE_CHECKING:
    from types import ModuleType

#: Sizes of evaluation, each as it is and mirrored: NUM_VIEWS views.
EVAL_SCALES = (1.0, 0.75, 1.25, 1.5)
#: Sides of evaluated images are multiples of this: networks halve them up to five times.
STRIDE = 32
#: Random numbers of a training sample: scale, two of place, mirror, brightness, contrast, saturation, hue.
_NUM_DRAWS = 8
#: Network input is (rgb - 127.5) / 64; this many of its units are the whole range of a colour.
_RANGE = 255 / 64


def covering_scale(height: int, width: int, size: tuple[float, float]) -> float:
    """Factor by which an image covers ``size`` (height, width) without more on both sides."""
    return max(size[0] / height, size[1] / width)


@dataclass(frozen=True)
class Uploaded:
    """An image on the device: (3, H, W) network input of it, and (H, W) int64 train index or IGNORE."""

    name: str
    pixels: Tensor
    labels: Tensor


class ImagePipeline:
    """Augment and batch images on a device.

    A training sample is one window of ``size``: the image is scaled so that it covers ``resize``, then by a
    random factor, cut at random, mirrored with probability 1/2, and its colours are changed. One sampling of
    the whole batch does all of the geometry; what lies outside of an image is unlabelled.

    Args:
        size: (height, width) of training samples and of the windows of sliding-window testing.
        resize: (height, width) that evaluation scales images to cover, and training before its random factor.
        scale: range of the random factor.
        color_jitter: largest change of brightness, contrast and saturation, as a share.
        hue_jitter: largest change of hue, as a share of the circle.
        photometric: distort colours as mmsegmentation does, in place of these three.
        max_class_share: windows in which a class has this share of the labelled pixels are drawn anew, up to
            ten times; 1 takes each as it comes.
        slide_stride: (height, width) from a test window to the next; None predicts images whole.
        label_space: raw ids -> train indices.
        device: where everything runs.
    """

    num_features = 3

    def __init__(
        self,
        *,
        size: tuple[int, int],
        resize: tuple[int, int] | None = None,
        scale: tuple[float, float],
        color_jitter: float,
        hue_jitter: float = 0.0,
        photometric: bool = False,
        max_class_share: float = 1.0,
        slide_stride: tuple[int, int] | None = None,
        label_space: LabelSpace,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size, self.resize, self.scale = size, resize or size, scale
        self.color_jitter, self.hue_jitter = color_jitter, hue_jitter
        self.photometric, self.max_class_share = photometric, max_class_share
        self.slide_stride = slide_stride
        self.label_space = label_space
        self.device = torch.device(device)

    def train_batch(self, scenes: Sequence[ImageScene], seed: int) -> ImageBatch:
        """Augmented images; what becomes of one depends on ``seed`` and its position in the batch alone.

        Raises:
            ValueError: for no image, or if the library kornia is not installed.
        """
        if not scenes:
            raise ValueError("A batch needs at least one image; got none.")
        # What is asked for less often comes last, so that it changes nothing of the rest.
        numbers = (
            _NUM_DRAWS,
            photometric.NUM_DRAWS if self.photometric else 0,
            2 * NUM_REDRAWN if self.max_class_share < 1 else 0,
        )
        draws, of_colors, of_windows = (
            torch.stack(parts) for parts in zip(*self._drawn(len(scenes), seed, numbers), strict=True)
        )
        images, labels = self._windows_of(scenes, draws, of_windows)
        return ImageBatch(
            self._recolored(images, draws, of_colors),
            labels,
            tuple(scene.name for scene in scenes),
            # Found while the batch is made, so that the training step need not wait for the device. A label
            # space gives no other labels than classes and IGNORE.
            labelled=torch.nonzero(labels.flatten() != IGNORE).squeeze(1),
        )

    def _drawn(self, count: int, seed: int, numbers: Sequence[int]) -> list[list[Tensor]]:
        """For each image so many uniform random numbers of each kind, one kind after the other."""
        generators = [seeded_generator(self.device, seed, position) for position in range(count)]
        return [
            [torch.rand(number, generator=generator, device=self.device) for number in numbers]
            for generator in generators
        ]

    def eval_batch(self, scenes: Sequence[ImageScene], view: int = 0) -> ImageBatch:
        """One whole image without augmentation, or all windows of it. Deterministic.

        Args:
            scenes: one image.
            view: odd views are mirrored; pairs of them have the factors of EVAL_SCALES.

        Raises:
            ValueError: unless there is one image and the view is known.
        """
        if len(scenes) != 1:
            raise ValueError(f"Expected one image; got {len(scenes)}.")
        return self.view_batch(self.upload(scenes[0]), view)

    def upload(self, scene: ImageScene) -> Uploaded:
        """An image on the device, its labels encoded."""
        return Uploaded(scene.name, self._image(scene), self._labels(scene))

    def view_batch(self, uploaded: Uploaded, view: int) -> ImageBatch:
        """:meth:`eval_batch` of an image that is on the device already, once for all views.

        Raises:
            ValueError: for an unknown view.
        """
        if not 0 <= view < NUM_VIEWS:
            raise ValueError(f"view must be 0..{NUM_VIEWS - 1}; got {view}.")
        height, width = uploaded.pixels.shape[1:]
        sides = self._eval_sides(height, width, view)
        image = F.interpolate(
            uploaded.pixels[None], sides, mode="bilinear", align_corners=False, antialias=True
        )
        label = uploaded.labels[None, None].float()
        label = F.interpolate(label, sides, mode="nearest-exact")[:, 0].long()
        if view % 2:
            image, label = image.flip(-1), label.flip(-1)
        windows = [
            (..., slice(y, y + height), slice(x, x + width))
            for y, x, height, width in self._test_windows(sides)
        ]
        image, label = (torch.cat([whole[window] for window in windows]) for whole in (image, label))
        return ImageBatch(image, label, (uploaded.name,) * len(windows))

    def predict(
        self,
        network: nn.Module,
        scene: ImageScene,
        *,
        views: int,
        max_tile_points: int | None,
        top: int = 1,
        heads: Sequence[str] = (),
        entropy: bool = False,
    ) -> ScenePrediction:
        """The prediction for every pixel, see :func:`pointseg.images.predict.predict`.

        ``max_tile_points`` is for scans: how an image is cut is said by ``slide_stride``, as it was trained.
        """
        return predict(network, self, scene, views=views, top=top, heads=heads, entropy=entropy)

    def to_pixels(self, rows: Tensor, batch: ImageBatch, scene: ImageScene, view: int) -> Tensor:
        """(M, K) values of an evaluated batch as (K, height, width) of the image; the mean where test windows
        overlap."""
        shape = batch.pixel_labels.shape
        values = rows.unflatten(0, shape).permute(0, 3, 1, 2)
        if len(values) > 1:
            sides = self._eval_sides(scene.height, scene.width, view)
            whole, times = values.new_zeros(1, values.shape[1], *sides), values.new_zeros(*sides)
            for one, (y, x, height, width) in zip(values, self._test_windows(sides), strict=True):
                whole[0, :, y : y + height, x : x + width] += one
                times[y : y + height, x : x + width] += 1
            values = whole / times
        if view % 2:
            values = values.flip(-1)
        return F.interpolate(values, (scene.height, scene.width), mode="bilinear", align_corners=False)[0]

    def _eval_sides(self, height: int, width: int, view: int) -> tuple[int, int]:
        """Height and width at which a view of an image of this height and width is predicted."""
        scale = EVAL_SCALES[view // 2] * covering_scale(height, width, self.resize)
        high, wide = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
        return high, wide

    def _test_windows(self, sides: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """Top, left, height and width of the windows that cover an image; the last ones end at its edges."""
        if self.slide_stride is None:
            return [(0, 0, *sides)]
        height, width = (min(window, side) for window, side in zip(self.size, sides, strict=True))
        down, across = (
            [min(step * stride, side - window) for step in range(math.ceil((side - window) / stride) + 1)]
            for side, window, stride in zip(sides, (height, width), self.slide_stride, strict=True)
        )
        return [(y, x, height, width) for y in down for x in across]

    def _image(self, scene: ImageScene) -> Tensor:
        """(3, H, W) float32, about -2 to 2."""
        values = to_device(torch.from_numpy(scene.as_picture(scene.rgb)), self.device)
        return (values.permute(2, 0, 1).float() - 127.5) / 64

    def _labels(self, scene: ImageScene) -> Tensor:
        """(H, W) int64."""
        if scene.raw_label is None:
            return torch.full((scene.height, scene.width), IGNORE, device=self.device)
        index = torch.from_numpy(self.label_space.encode(scene.raw_label))
        return to_device(index.view(scene.height, scene.width), self.device)

    def _windows_of(
        self, scenes: Sequence[ImageScene], draws: Tensor, redrawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, 3, h, w) windows of images and (B, h, w) of their labels."""
        transform = _kornia().geometry.transform
        sides = [(scene.height, scene.width) for scene in scenes]
        largest = (max(height for height, _ in sides), max(width for _, width in sides))
        images = torch.zeros(len(scenes), 3, *largest, device=self.device)
        # Labels are shifted so that what lies outside, 0, becomes IGNORE.
        labels = torch.zeros(len(scenes), 1, *largest, device=self.device)
        for position, scene in enumerate(scenes):
            inside = (position, slice(None), slice(scene.height), slice(scene.width))
            images[inside] = self._image(scene)
            labels[inside] = (self._labels(scene) - IGNORE).float()[None]
        low, high = self.scale
        heights, widths = to_device(torch.tensor(sides, dtype=torch.float32), self.device).unbind(dim=1)
        covering = [covering_scale(height, width, self.resize) for height, width in sides]
        factor = to_device(torch.tensor(covering), self.device) * low * (high / low) ** draws[:, 0]
        # Where the window begins in the scaled image: before it, if that is smaller than the window.
        down, across = draws[:, 1], draws[:, 2]
        room_y, room_x = heights * factor - self.size[0], widths * factor - self.size[1]
        if redrawn.shape[1]:
            down, across = (
                torch.cat([first[:, None], others], dim=1)
                for first, others in zip((down, across), redrawn.chunk(2, dim=1), strict=True)
            )
            chosen = varied_windows(
                labels[:, 0].int(),
                factor,
                down * room_y[:, None],
                across * room_x[:, None],
                self.size,
                num_labels=self.label_space.num_classes - IGNORE,
                max_share=self.max_class_share,
            )[:, None]
            down, across = down.gather(1, chosen).squeeze(1), across.gather(1, chosen).squeeze(1)
        top, left = down * room_y, across * room_x
        mirrored = draws[:, 3] < 0.5
        # From pixels of the image to those of the window; the centre of pixel i lies at i + 0.5.
        shift_x, shift_y = factor / 2 - left - 0.5, factor / 2 - top - 0.5
        zero = torch.zeros_like(factor)
        matrix = torch.stack(
            [
                torch.where(mirrored, -factor, factor),
                zero,
                torch.where(mirrored, self.size[1] - 1 - shift_x, shift_x),
                zero,
                factor,
                shift_y,
            ],
            dim=1,
        ).view(-1, 2, 3)
        images = transform.warp_affine(images, matrix, self.size, mode="bilinear")
        labels = transform.warp_affine(labels, matrix, self.size, mode="nearest")
        return images, labels[:, 0].round().long() + IGNORE

    def _recolored(self, images: Tensor, draws: Tensor, of_colors: Tensor) -> Tensor:
        enhance = _kornia().enhance
        colors = (images / _RANGE + 0.5).clamp_(0, 1)
        if self.photometric:
            return (photometric.distorted(colors, of_colors, _kornia()) - 0.5) * _RANGE
        change = 2 * draws[:, 4:] - 1
        brightness, contrast, saturation = (change[:, :3] * self.color_jitter).unbind(dim=1)
        colors = enhance.adjust_brightness(colors, brightness)
        colors = enhance.adjust_contrast_with_mean_subtraction(colors, 1 + contrast)
        colors = enhance.adjust_saturation_with_gray_subtraction(colors, 1 + saturation)
        if self.hue_jitter:
            colors = enhance.adjust_hue(colors, change[:, 3] * self.hue_jitter * 2 * math.pi)
        return (colors - 0.5) * _RANGE


def _kornia() -> ModuleType:
    """The library, loaded when the first image is augmented: scans do not need it."""
    try:
        import kornia
    except ImportError:
        raise ValueError(
            "Augmenting images needs the library kornia; pip install 'pointseg[images]'."
        ) from None
    module: ModuleType = kornia
    return module
