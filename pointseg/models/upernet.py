"""UPerNet from the library transformers, on a ConvNeXt or a Swin transformer.

Source: Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018; Liu et al., "A ConvNet
for the 2020s", CVPR 2022; Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
Windows", ICCV 2021. The library has the segmentation head alone, as other public recipes do: no parts,
materials or scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from pointseg.models.library_network import LibraryNetwork, LibraryNetworkConfig, library
from pointseg.models.pretrained_folder import IMAGENET, PretrainedFolder

Encoder = Literal["convnext", "swin"]
Variant = Literal["tiny", "small", "base", "large"]
#: Channels of the first stage, doubled in each further one, and blocks of the third.
_SIZES: dict[Encoder, dict[Variant, tuple[int, int]]] = {
    "convnext": {"tiny": (96, 9), "small": (96, 27), "base": (128, 27), "large": (192, 27)},
    "swin": {"tiny": (96, 6), "small": (96, 18), "base": (128, 18), "large": (192, 18)},
}
#: What decides that weights of a folder are of our network.
_DEFINING: dict[Encoder, tuple[str, ...]] = {
    "convnext": ("depths", "hidden_sizes", "patch_size", "hidden_act"),
    "swin": (
        "depths",
        "embed_dim",
        "num_heads",
        "window_size",
        "patch_size",
        "mlp_ratio",
        "qkv_bias",
        "hidden_act",
        "use_absolute_embeddings",
        "layer_norm_eps",
    ),
}


class UPerNetConfig(LibraryNetworkConfig):
    """Options of :class:`UPerNet`.

    Args:
        encoder: what makes the pyramid of features.
        variant: size of the encoder.
        window_size: side of the windows of Swin; the published sizes base and large also come with 12.
        hidden_size: channels of the head and of the features.
        pretrained: see :class:`LibraryNetworkConfig`.
    """

    type: Literal["upernet"] = "upernet"
    encoder: Encoder = "convnext"
    variant: Variant = "tiny"
    window_size: int = Field(default=7, ge=1)
    hidden_size: int = Field(default=512, ge=1)

    @model_validator(mode="after")
    def _windows_belong_to_swin(self) -> UPerNetConfig:
        if self.encoder != "swin" and self.window_size != 7:
            raise ValueError(f"window_size is for encoder: swin; {self.encoder} has no windows")
        return self

    def build(self, in_channels: int) -> UPerNet:
        models = library(self.type)
        encoder = self._encoder(models, in_channels)
        # An auxiliary head would need a loss of its own: left out here, and unused where a folder has it.
        config = models.UperNetConfig(
            backbone_config=encoder, hidden_size=self.hidden_size, use_auxiliary_head=False
        )
        network, input_range = None, None
        if self.pretrained is not None:
            folder = PretrainedFolder.open(self.pretrained)
            network = self._loaded(models, folder, config)
            input_range = folder.input_range(IMAGENET)
        else:
            network = models.UperNetForSemanticSegmentation(config)
        if self.encoder == "swin":
            # It normalises what nothing reads; several processes want a gradient for every weight.
            network.backbone.swin.layernorm = nn.Identity()
        return UPerNet(
            network,
            network.decode_head,
            out_channels=self.hidden_size,
            in_channels=in_channels,
            input_range=input_range,
            pools=True,
        )

    def _encoder(self, models: Any, in_channels: int) -> Any:
        width, blocks = _SIZES[self.encoder][self.variant]
        stages = [f"stage{number}" for number in range(1, 5)]
        if self.encoder == "convnext":
            return models.ConvNextConfig(
                num_channels=in_channels,
                depths=[3, 3, blocks, 3],
                hidden_sizes=[width * 2**stage for stage in range(4)],
                out_features=stages,
            )
        return models.SwinConfig(
            num_channels=in_channels,
            depths=[2, 2, blocks, 2],
            embed_dim=width,
            # Heads of 32 channels.
            num_heads=[width // 32 * 2**stage for stage in range(4)],
            window_size=self.window_size,
            out_features=stages,
        )

    def _loaded(self, models: Any, folder: PretrainedFolder, config: Any) -> Any:
        """The library's network with the weights of a folder, of all of it or of the encoder."""
        encoder = config.backbone_config
        whole = folder.model_type == "upernet"
        found = folder.config.get("backbone_config") if whole else folder.config
        if not isinstance(found, Mapping) or found.get("model_type") != self.encoder:
            raise folder.refuse([f"upernet with {self.encoder}", self.encoder])
        folder.compare(encoder, _DEFINING[self.encoder], found)
        if whole:
            folder.compare(config, ("hidden_size", "pool_scales"))
            return folder.load(models.UperNetForSemanticSegmentation, config, unused=["auxiliary_head."])
        kind = models.SwinBackbone if self.encoder == "swin" else models.ConvNextBackbone
        network = models.UperNetForSemanticSegmentation(config)
        # A norm for each level of the pyramid is fresh; that of the classifier of images has no use.
        unused = ["layernorm.", "convnext.layernorm."]
        network.backbone = folder.load(kind, encoder, fresh=["hidden_states_norms."], unused=unused)
        return network


class UPerNet(LibraryNetwork):
    """The library's network without its classifier: features at stride 4."""

    def features(self, values: Tensor) -> Tensor:
        # Its own forward would make them as large as the image before anybody can see them.
        pyramid = self.network.backbone.forward_with_filtered_kwargs(values).feature_maps  # type: ignore[operator, union-attr]
        features: Tensor = self.network.decode_head(pyramid)  # type: ignore[operator]
        return features
