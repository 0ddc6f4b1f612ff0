"""LibraryNetwork: a segmentation network of the library transformers (extra ``images``) as a backbone.

The library's classifier is replaced by nothing, so that what comes out are the features before it; the
Segmenter's own head is the classifier. Losses that look at features or at the classifier's weight, CeCo and
DropClass, work on every one of these networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pointseg.config import changed
from pointseg.core.batch import ImageBatch
from pointseg.core.prediction import FeatureMap
from pointseg.models.backbone import BackboneConfig
from pointseg.models.pretrained_folder import InputRange


class LibraryNetworkConfig(BackboneConfig):
    """Options of all networks of the library.

    Args:
        pretrained: folder of weights in the library's format to start from (config.json with
            model.safetensors or pytorch_model.bin), of the whole network or of its encoder alone, or None for
            fresh weights. It must lie on this machine: nothing is downloaded, and no code from it is run. The
            other options must describe the network in it. Its classifier is not used, even where it has as
            many classes: the head is fresh. Images are converted to the range that the weights expect.
    """

    kind: ClassVar[str] = "images"

    pretrained: Path | None = None

    def trained(self) -> LibraryNetworkConfig:
        return changed(self, pretrained=None)


class LibraryNetwork(nn.Module):
    """The library's network without its classifier. Norms and dropout are the library's.

    Args:
        network: the library's network.
        head: the part of it whose ``classifier`` is taken out.
        out_channels: D, channels of the features before the classifier.
        in_channels: C, channels of the images.
        input_range: what its weights expect to see; None leaves images as they are.
        pools: whether training needs two images at least, because a norm sees one value of each.
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        head: nn.Module,
        *,
        out_channels: int,
        in_channels: int,
        input_range: InputRange | None = None,
        pools: bool = False,
    ) -> None:
        super().__init__()
        head.classifier = nn.Identity()
        self.network = network
        self.out_channels = out_channels
        self.pools = pools
        # Before each of the library's classifiers is a ReLU, and at most dropout.
        self.nonnegative = True
        scale, shift = torch.ones(in_channels), torch.zeros(in_channels)
        if input_range is not None:
            scale, shift = input_range.from_batch(in_channels)
        # Among the weights, so that a checkpoint needs no pretrained folder beside it.
        self.register_buffer("input_scale", scale[:, None, None])
        self.register_buffer("input_shift", shift[:, None, None])

    def recompute_activations(self) -> None:
        """From now on, keep the inputs of the library's layers alone and compute the rest again.

        Raises:
            ValueError: if the library does not offer it for this network.
        """
        able = [m for m in self.network.modules() if getattr(m, "supports_gradient_checkpointing", False)]
        if not able:
            raise ValueError(
                "train.activation_checkpointing: the library transformers does not offer it for "
                f"{type(self.network).__name__} with this encoder; set it to false."
            )
        # The outermost part that is able: it tells those within it.
        able[0].activation_checkpointing_enable()  # type: ignore[operator]

    def rows(self, batch: ImageBatch) -> FeatureMap:
        """Features of a batch at the network's stride."""
        return FeatureMap.of(self(batch.images), batch.images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / stride, W / stride).

        Raises: see :meth:`in_range`.
        """
        return self.features(self.in_range(images))

    def in_range(self, images: Tensor) -> Tensor:
        """Images in the range that the weights expect.

        Raises:
            ValueError: for a training batch of one image, if the network pools whole images.
        """
        if self.training and self.pools and len(images) == 1:
            raise ValueError(
                "model: this network normalises one value an image and cannot train on batches of one image; "
                "set train.batch_size to 2 or more."
            )
        return images * self.input_scale + self.input_shift

    def features(self, values: Tensor) -> Tensor:
        """What the library's classifier would be given."""
        features: Tensor = self.network(pixel_values=values).logits
        return features


def library(model: str) -> Any:
    """The library, imported when a network of it is built: that takes seconds, and scans do not need it.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise ValueError(
            f"model: {model} needs the library transformers; pip install 'pointseg[images]'."
        ) from None
    return transformers
