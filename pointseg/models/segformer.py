"""SegFormer from the library transformers (extra ``images``), built offline from its configuration.

Source: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
NeurIPS 2021.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.models.backbone import BackboneConfig
from pointseg.models.image_unet import image_rows

Variant = Literal["b0", "b1", "b2", "b3", "b4", "b5"]
#: Depths of the stages; b0 has a half of the channels of the others.
_DEPTHS: dict[Variant, list[int]] = {
    "b0": [2, 2, 2, 2],
    "b1": [2, 2, 2, 2],
    "b2": [3, 4, 6, 3],
    "b3": [3, 4, 18, 3],
    "b4": [3, 8, 27, 3],
    "b5": [3, 6, 40, 3],
}


class SegformerConfig(BackboneConfig):
    """Options of :class:`Segformer`.

    Args:
        variant: size of the network.
        pretrained: folder of weights in the library's format to start from, or None for fresh ones. It must
            lie on this machine; nothing is downloaded.
    """

    kind: ClassVar[Literal["scans", "images"]] = "images"

    type: Literal["segformer"] = "segformer"
    variant: Variant = "b0"
    pretrained: Path | None = None

    def build(self, in_channels: int) -> Segformer:
        return Segformer(in_channels, self.variant, self.pretrained)


class Segformer(nn.Module):
    """The library's network without its classifier: features at stride 4.

    Args:
        in_channels: channels of the images.
        variant: b0 to b5.
        pretrained: see :class:`SegformerConfig`.

    Raises:
        ValueError: if the library is not installed.
    """

    def __init__(self, in_channels: int, variant: Variant, pretrained: Path | None) -> None:
        super().__init__()
        try:
            # Takes seconds to import, and scans do not need it.
            from transformers import SegformerConfig as LibraryConfig
            from transformers import SegformerForSemanticSegmentation
        except ImportError:
            raise ValueError(
                "model: segformer needs the library transformers; pip install 'pointseg[images]'."
            ) from None
        if pretrained is not None:
            network = SegformerForSemanticSegmentation.from_pretrained(pretrained, local_files_only=True)
        else:
            small = variant == "b0"
            network = SegformerForSemanticSegmentation(
                LibraryConfig(
                    num_channels=in_channels,
                    depths=_DEPTHS[variant],
                    hidden_sizes=[32, 64, 160, 256] if small else [64, 128, 320, 512],
                    decoder_hidden_size=256 if variant in ("b0", "b1") else 768,
                )
            )
        self.out_channels = int(network.config.decoder_hidden_size)
        network.decode_head.classifier = nn.Identity()  # type: ignore[assignment]
        self.network = network

    def rows(self, batch: ImageBatch) -> Tensor:
        """(M, D) features of the pixels of a batch."""
        return image_rows(self(batch.images), batch.images)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / 4, W / 4)."""
        features: Tensor = self.network(pixel_values=images).logits
        return features
