"""MobileNetV2 with the segmentation head that the library transformers calls DeepLabV3+.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, section 6.3: the
reduced head of its mobile DeepLabV3. The library names its class after Chen et al., "Encoder-Decoder with
Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018, but two things of that paper are
missing: the atrous 3 x 3 branches of the pyramid (image pooling and a 1 x 1 convolution are left) and the
decoder with features of stride 4. Say so when you report a number of it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from pointseg.models.library_network import LibraryNetwork, LibraryNetworkConfig, library
from pointseg.models.pretrained_folder import MINUS_ONE_TO_ONE, PretrainedFolder

#: Channels of the head, fixed in the library.
_CHANNELS = 256
#: What decides that weights of a folder are of our network.
_DEFINING = (
    "depth_multiplier",
    "depth_divisible_by",
    "min_depth",
    "expand_ratio",
    "first_layer_is_expansion",
    "tf_padding",
    "hidden_act",
    "layer_norm_eps",
)


class DeepLabV3PlusConfig(LibraryNetworkConfig):
    """Options of MobileNetV2 with the library's DeepLab head; features of 256 channels.

    Norms and dropout are the library's, and unusual: its norms have momentum 0.997, so that evaluation sees
    little but the statistics of the last training batch, and its dropout takes 80 % of the head's channels.

    Args:
        depth_multiplier: factor of the encoder's channels.
        output_stride: stride of the encoder's last features, which are those of the head.
        pretrained: see :class:`LibraryNetworkConfig`. These weights expect images of -1..1.
    """

    type: Literal["deeplabv3plus"] = "deeplabv3plus"
    depth_multiplier: float = Field(default=1.0, gt=0)
    output_stride: Literal[8, 16, 32] = 16

    def build(self, in_channels: int) -> LibraryNetwork:
        models = library(self.type)
        config = models.MobileNetV2Config(
            num_channels=in_channels,
            depth_multiplier=self.depth_multiplier,
            output_stride=self.output_stride,
        )
        kind, input_range = models.MobileNetV2ForSemanticSegmentation, None
        if self.pretrained is None:
            network = kind(config)
        else:
            folder = PretrainedFolder.open(self.pretrained)
            if folder.model_type != "mobilenet_v2":
                raise folder.refuse(["mobilenet_v2"])
            folder.compare(config, _DEFINING)
            network = folder.load(kind, config, fresh=["segmentation_head."])
            input_range = folder.input_range(MINUS_ONE_TO_ONE)
        # The widest layer serves classification alone; several processes want a gradient for every weight.
        network.mobilenet_v2.conv_1x1 = nn.Identity()
        return LibraryNetwork(
            network,
            network.segmentation_head,
            out_channels=_CHANNELS,
            in_channels=in_channels,
            input_range=input_range,
            pools=True,
        )
