"""SegFormer from the library transformers.

Source: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
NeurIPS 2021.
"""

from __future__ import annotations

from typing import Literal

from pointseg.models.library_network import LibraryNetwork, LibraryNetworkConfig, library
from pointseg.models.pretrained_folder import IMAGENET, PretrainedFolder

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
#: What decides that weights of a folder are of our network.
_DEFINING = (
    "depths",
    "hidden_sizes",
    "num_attention_heads",
    "sr_ratios",
    "mlp_ratios",
    "patch_sizes",
    "strides",
    "hidden_act",
    "layer_norm_eps",
)


class SegformerConfig(LibraryNetworkConfig):
    """Options of SegFormer; features at stride 4, of 256 channels (b0, b1) or 768.

    Args:
        variant: size of the network.
        pretrained: see :class:`LibraryNetworkConfig`; ``mit-b0`` to ``mit-b5`` hold the encoder alone.
    """

    type: Literal["segformer"] = "segformer"
    variant: Variant = "b0"

    def build(self, in_channels: int) -> LibraryNetwork:
        models = library(self.type)
        small = self.variant == "b0"
        config = models.SegformerConfig(
            num_channels=in_channels,
            depths=_DEPTHS[self.variant],
            hidden_sizes=[32, 64, 160, 256] if small else [64, 128, 320, 512],
            decoder_hidden_size=256 if self.variant in ("b0", "b1") else 768,
        )
        kind, input_range = models.SegformerForSemanticSegmentation, None
        if self.pretrained is None:
            network = kind(config)
        else:
            folder = PretrainedFolder.open(self.pretrained)
            if folder.model_type != "segformer":
                raise folder.refuse(["segformer"])
            folder.compare(config, _DEFINING)
            network = folder.load(kind, config, fresh=["decode_head."])
            input_range = folder.input_range(IMAGENET)
        return LibraryNetwork(
            network,
            network.decode_head,
            out_channels=config.decoder_hidden_size,
            in_channels=in_channels,
            input_range=input_range,
        )
