"""ImagePipeline: images in, an ImageBatch on the device out; the counterpart of ScenePipeline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pointseg.core.batch import ImageBatch
from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.data.pipeline import seeded_generator

#: Sizes of evaluation, each as it is and mirrored: 8 views.
EVAL_SCALES = (1.0, 0.75, 1.25, 1.5)
#: Sides of evaluated images are multiples of this: networks halve them up to five times.
STRIDE = 32


def covering_scale(height: int, width: int, size: tuple[int, int]) -> float:
    """Factor by which an image covers ``size`` (height, width) without more on both sides."""
    return max(size[0] / height, size[1] / width)


class ImagePipeline:
    """Augment and batch images on a device.

    A training sample is one window of ``size``: the image is scaled so that it covers the window, then by a
    random factor, cut at random, mirrored with probability 1/2, and its colours are changed. One sampling of
    the image does all of the geometry; what lies outside of the image is grey and unlabelled.

    Args:
        size: (height, width) of training samples; evaluation scales images so that they cover it.
        scale: range of the random factor.
        color_jitter: largest change of brightness, contrast and saturation, as a share.
        label_space: raw ids -> train indices.
        device: where everything runs.
    """

    #: What the network wants of a scan; images have colour alone.
    features: tuple[str, ...] = ("color",)
    num_features = 3

    def __init__(
        self,
        *,
        size: tuple[int, int],
        scale: tuple[float, float],
        color_jitter: float,
        label_space: LabelSpace,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size, self.scale, self.color_jitter = size, scale, color_jitter
        self.label_space = label_space
        self.device = torch.device(device)

    def train_batch(self, scenes: Sequence[ImageScene], seed: int) -> ImageBatch:
        """Augmented images; what becomes of one depends on ``seed`` and its position in the batch alone.

        Raises:
            ValueError: for no image.
        """
        if not scenes:
            raise ValueError("A batch needs at least one image; got none.")
        images, labels = [], []
        for position, scene in enumerate(scenes):
            generator = seeded_generator(self.device, seed, position)
            image, label = self._window(self._image(scene), self._labels(scene), generator)
            images.append(self._recolored(image, generator))
            labels.append(label)
        return ImageBatch(torch.stack(images), torch.stack(labels), tuple(scene.name for scene in scenes))

    def eval_batch(self, scenes: Sequence[ImageScene], view: int = 0) -> ImageBatch:
        """One whole image without augmentation. Deterministic.

        Args:
            scenes: one image.
            view: odd views are mirrored; 0, 2, 4, 6 have the factors of EVAL_SCALES.

        Raises:
            ValueError: unless there is one image and the view is known.
        """
        if len(scenes) != 1 or not 0 <= view < 2 * len(EVAL_SCALES):
            raise ValueError(f"Expected one image and a view 0..{2 * len(EVAL_SCALES) - 1}.")
        (scene,) = scenes
        scale = EVAL_SCALES[view // 2] * covering_scale(scene.height, scene.width, self.size)
        sides = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (scene.height, scene.width)]
        image = F.interpolate(
            self._image(scene)[None], sides, mode="bilinear", align_corners=False, antialias=True
        )
        label = self._labels(scene)[None, None].float()
        label = F.interpolate(label, sides, mode="nearest-exact")[:, 0].long()
        if view % 2:
            image, label = image.flip(-1), label.flip(-1)
        return ImageBatch(image, label, (scene.name,))

    def to_pixels(self, rows: Tensor, batch: ImageBatch, scene: ImageScene, view: int) -> Tensor:
        """(M, K) values of an evaluated batch as (K, height, width) of the image."""
        values = rows.unflatten(0, batch.pixel_labels.shape[1:]).permute(2, 0, 1)[None]
        if view % 2:
            values = values.flip(-1)
        return F.interpolate(values, (scene.height, scene.width), mode="bilinear", align_corners=False)[0]

    def _image(self, scene: ImageScene) -> Tensor:
        """(3, H, W) float32, about -2 to 2."""
        values = torch.from_numpy(scene.as_picture(scene.rgb)).to(self.device)
        return (values.permute(2, 0, 1).float() - 127.5) / 64

    def _labels(self, scene: ImageScene) -> Tensor:
        """(H, W) int64."""
        if scene.raw_label is None:
            return torch.full((scene.height, scene.width), IGNORE, device=self.device)
        index = torch.from_numpy(self.label_space.encode(scene.raw_label))
        return index.view(scene.height, scene.width).to(self.device)

    def _window(self, image: Tensor, label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = label.shape
        draw = torch.rand(4, generator=generator, device=self.device).tolist()
        low, high = self.scale
        factor = covering_scale(height, width, self.size) * low * (high / low) ** draw[0]
        # Sides of the window as shares of those of the image; the rest is how far it can move.
        share_y, share_x = self.size[0] / (height * factor), self.size[1] / (width * factor)
        move_y, move_x = abs(1 - share_y) * (2 * draw[1] - 1), abs(1 - share_x) * (2 * draw[2] - 1)
        mirror = -1.0 if draw[3] < 0.5 else 1.0
        theta = torch.tensor([[mirror * share_x, 0.0, move_x], [0.0, share_y, move_y]], device=self.device)
        grid = F.affine_grid(theta[None], [1, 1, *self.size], align_corners=False)
        image = F.grid_sample(image[None], grid, mode="bilinear", align_corners=False)[0]
        # Labels are shifted so that what lies outside, 0, becomes IGNORE.
        moved = (label - IGNORE)[None, None].float()
        moved = F.grid_sample(moved, grid, mode="nearest", align_corners=False)[0, 0]
        return image, moved.round().long() + IGNORE

    def _recolored(self, image: Tensor, generator: torch.Generator) -> Tensor:
        change = (2 * torch.rand(3, generator=generator, device=self.device) - 1) * self.color_jitter
        brightness, contrast, saturation = change
        grey = image.mean(dim=0, keepdim=True)
        return ((image - grey) * (1 + saturation) + grey) * (1 + contrast) + 2 * brightness
