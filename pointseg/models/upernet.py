"""UPerNet from the library transformers, on a ConvNeXt or a Swin transformer.

Source: Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018; Liu et al., "A ConvNet
for the 2020s", CVPR 2022; Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted
Windows", ICCV 2021. The library has the segmentation head alone, as other public recipes do: no parts,
materials or scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.core.prediction import FeatureMap
from pointseg.models.library_network import LibraryNetwork, LibraryNetworkConfig, library
from pointseg.models.pretrained_folder import IMAGENET, InputRange, PretrainedFolder

Encoder = Literal["convnext", "swin"]
Variant = Literal["tiny", "small", "base", "large"]
#: Channels of the first stage, doubled in each further one, and blocks of the third.
_SIZES: dict[Encoder, dict[Variant, tuple[int, int]]] = {
    "convnext": {"tiny": (96, 9), "small": (96, 27), "base": (128, 27), "large": (192, 27)},
    "swin": {"tiny": (96, 6), "small": (96, 18), "base": (128, 18), "large": (192, 18)},
}
#: Inner features for an auxiliary head, as in the recipes of mmsegmentation.
AUXILIARY, AUXILIARY_CHANNELS = "auxiliary", 256
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
        dropout: share of the channels of all features that are dropped whole, an image at a time, in training
            (Dropout2d); the authors of Swin have 0.1.
        drop_path: stochastic depth of the encoder, growing from 0 to this; None is the library's, 0.1 of Swin
            and 0 of ConvNeXt.
        auxiliary: give inner features ``auxiliary``: a 3 x 3 convolution to 256 channels, batch norm and ReLU
            on the third of the four stages, to be read by a head of its own in training (``heads``).
        pretrained: see :class:`LibraryNetworkConfig`.
    """

    type: Literal["upernet"] = "upernet"
    encoder: Encoder = "convnext"
    variant: Variant = "tiny"
    window_size: int = Field(default=7, ge=1)
    hidden_size: int = Field(default=512, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    drop_path: float | None = Field(default=None, ge=0, lt=1)
    auxiliary: bool = False

    def inner_features(self) -> tuple[str, ...]:
        return (AUXILIARY,) if self.auxiliary else ()

    @model_validator(mode="after")
    def _windows_belong_to_swin(self) -> UPerNetConfig:
        if self.encoder != "swin" and self.window_size != 7:
            raise ValueError(f"window_size is for encoder: swin; {self.encoder} has no windows")
        return self

    def build(self, in_channels: int) -> UPerNet:
        models = library(self.type)
        encoder = self._encoder(models, in_channels)
        config = models.UperNetConfig(
            backbone_config=encoder,
            hidden_size=self.hidden_size,
            use_auxiliary_head=self.auxiliary,
            auxiliary_in_channels=None,
            auxiliary_channels=AUXILIARY_CHANNELS,
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
            out_channels=self.hidden_size,
            in_channels=in_channels,
            input_range=input_range,
            dropout=self.dropout,
        )

    def _encoder(self, models: Any, in_channels: int) -> Any:
        width, blocks = _SIZES[self.encoder][self.variant]
        depth = {} if self.drop_path is None else {"drop_path_rate": self.drop_path}
        stages = [f"stage{number}" for number in range(1, 5)]
        if self.encoder == "convnext":
            return models.ConvNextConfig(
                num_channels=in_channels,
                depths=[3, 3, blocks, 3],
                hidden_sizes=[width * 2**stage for stage in range(4)],
                out_features=stages,
                **depth,
            )
        return models.SwinConfig(
            num_channels=in_channels,
            depths=[2, 2, blocks, 2],
            embed_dim=width,
            # Heads of 32 channels.
            num_heads=[width // 32 * 2**stage for stage in range(4)],
            window_size=self.window_size,
            out_features=stages,
            **depth,
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
            side = ["auxiliary_head."]
            return folder.load(models.UperNetForSemanticSegmentation, config, fresh=side, unused=side)
        kind = models.SwinBackbone if self.encoder == "swin" else models.ConvNextBackbone
        network = models.UperNetForSemanticSegmentation(config)
        # A norm for each level of the pyramid is fresh; that of the classifier of images has no use.
        unused = ["layernorm.", "convnext.layernorm."]
        network.backbone = folder.load(kind, encoder, fresh=["hidden_states_norms."], unused=unused)
        return network


class UPerNet(LibraryNetwork):
    """The library's network without its classifiers: features at stride 4, and inner ones at stride 16.

    Args:
        network: the library's network.
        out_channels, in_channels, input_range: see :class:`LibraryNetwork`.
        dropout: of whole channels of all features.
    """

    def __init__(
        self,
        network: Any,
        *,
        out_channels: int,
        in_channels: int,
        input_range: InputRange | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            network,
            network.decode_head,
            out_channels=out_channels,
            in_channels=in_channels,
            input_range=input_range,
            pools=True,
        )
        self.dropout = nn.Dropout2d(dropout)
        self.inner_channels: dict[str, int] = {}
        if network.auxiliary_head is not None:
            network.auxiliary_head.classifier = nn.Identity()
            self.inner_channels[AUXILIARY] = AUXILIARY_CHANNELS

    def rows(self, batch: ImageBatch) -> FeatureMap:
        pyramid = self._pyramid(self.prepared(batch.images))
        last = FeatureMap.of(self._decoded(pyramid), batch.images)
        if not (self.training and self.inner_channels):
            return last
        side: Tensor = self.dropout(self.network.auxiliary_head(pyramid))  # type: ignore[operator]
        return replace(last, inner={AUXILIARY: FeatureMap.of(side, batch.images)})

    def features(self, values: Tensor) -> Tensor:
        return self._decoded(self._pyramid(values))

    def _pyramid(self, values: Tensor) -> tuple[Tensor, ...]:
        # Its own forward would make them as large as the image before anybody can see them.
        found = self.network.backbone.forward_with_filtered_kwargs(values)  # type: ignore[operator, union-attr]
        pyramid: tuple[Tensor, ...] = found.feature_maps
        return pyramid

    def _decoded(self, pyramid: tuple[Tensor, ...]) -> Tensor:
        features: Tensor = self.dropout(self.network.decode_head(pyramid))  # type: ignore[operator]
        return features
