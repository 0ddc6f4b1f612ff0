"""Networks of the library transformers: the same numbers as the library's, up to the classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.library_network import LibraryNetwork, LibraryNetworkConfig
from pointseg.models.segformer import SegformerConfig
from pointseg.models.upernet import UPerNetConfig

transformers = pytest.importorskip("transformers")

#: One of each kind, the widest part narrow.
OPTIONS: dict[str, LibraryNetworkConfig] = {
    "segformer": SegformerConfig(),
    "upernet_convnext": UPerNetConfig(hidden_size=16),
    "upernet_swin": UPerNetConfig(encoder="swin", hidden_size=16),
    "deeplabv3plus": DeepLabV3PlusConfig(depth_multiplier=0.5),
}
EACH = pytest.mark.parametrize("name", OPTIONS)
#: Weights of the library's networks that no prediction needs.
DROPPED = ("backbone.swin.layernorm.", "mobilenet_v2.conv_1x1.")


def reference(name: str, classes: int = 5, **options: Any) -> nn.Module:
    """The library's own network, written down without a word of ours."""
    stages = ["stage1", "stage2", "stage3", "stage4"]
    torch.manual_seed(3)
    if name == "segformer":
        config = transformers.SegformerConfig(num_labels=classes, **options)
        return transformers.SegformerForSemanticSegmentation(config)
    if name == "deeplabv3plus":
        config = transformers.MobileNetV2Config(
            num_labels=classes, depth_multiplier=0.5, output_stride=16, **options
        )
        return transformers.MobileNetV2ForSemanticSegmentation(config)
    if name == "upernet_swin":
        encoder = transformers.SwinConfig(out_features=stages)
    else:
        encoder = transformers.ConvNextConfig(hidden_sizes=[96, 192, 384, 768], out_features=stages)
    return transformers.UperNetForSemanticSegmentation(
        transformers.UperNetConfig(backbone_config=encoder, hidden_size=16, num_labels=classes, **options)
    )


def head(network: nn.Module) -> nn.Module:
    return network.segmentation_head if hasattr(network, "segmentation_head") else network.decode_head


def with_weights_of(whole: nn.Module, name: str) -> LibraryNetwork:
    built = OPTIONS[name].build(3)
    state = {k: v for k, v in whole.state_dict().items() if ".classifier." not in k}
    state = {k: v for k, v in state.items() if not k.startswith(("auxiliary_head.", *DROPPED))}
    built.network.load_state_dict(state)
    return built


def images(batch: int = 2, height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [*OPTIONS, "image_unet"])
def test_features_that_are_said_to_be_nonnegative_are(name: str) -> None:
    """A head then need not look at them, which on a GPU it would have to wait for."""
    network: nn.Module = (OPTIONS | {"image_unet": ImageUNetConfig(widths=(8, 16))})[name].build(3)
    assert network.nonnegative is True
    features = network(images() * 3)
    # A ReLU's: some are zero, and none is less.
    assert features.min() == 0 and features.max() > 0


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@EACH
def test_features_and_the_librarys_classifier_are_its_own_logits_bit_for_bit(name: str, mode: str) -> None:
    whole = reference(name)
    ours = with_weights_of(whole, name)
    for network in (whole, ours):
        network.train(mode == "training")
    with torch.no_grad():
        torch.manual_seed(1)  # Dropout draws the same.
        expected = whole(pixel_values=images()).logits
        torch.manual_seed(1)
        features = ours(images())
        logits = head(whole).classifier(features)
        if name.startswith("upernet"):
            logits = F.interpolate(logits, expected.shape[-2:], mode="bilinear", align_corners=False)
    assert features.shape[1] == ours.out_channels
    assert torch.equal(logits, expected)


@EACH
def test_every_weight_gets_a_gradient(name: str) -> None:
    """Training in several processes waits for the gradient of each."""
    network = OPTIONS[name].build(3).train()
    network(images()).square().sum().backward()
    assert [key for key, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", ["upernet_convnext", "upernet_swin", "deeplabv3plus"])
def test_a_training_batch_of_one_image_is_refused_where_a_norm_would_see_one_value(name: str) -> None:
    network = OPTIONS[name].build(3)
    with pytest.raises(ValueError, match=r"train.batch_size to 2 or more"):
        network.train()(images(batch=1))
    assert network.eval()(images(batch=1)).isfinite().all()


def test_any_size_of_image_goes_through() -> None:
    for options in OPTIONS.values():
        network = options.build(3).eval()
        assert network(images(1, 50, 75)).isfinite().all()


@pytest.mark.parametrize("variant", ["tiny", "small", "base", "large"])
@pytest.mark.parametrize(("encoder", "window_size"), [("convnext", 7), ("swin", 7), ("swin", 12)])
def test_the_published_sizes_have_their_published_numbers_of_parameters(
    encoder: Any, variant: Any, window_size: int
) -> None:
    """Millions in the encoder without its classifier of 1000 classes, from the papers' tables."""
    published = {
        "convnext": {"tiny": 28.6, "small": 50.2, "base": 88.6, "large": 197.8},
        "swin": {"tiny": 28.3, "small": 49.6, "base": 87.8, "large": 196.5},
    }
    options = UPerNetConfig(encoder=encoder, variant=variant, window_size=window_size, hidden_size=8)
    with torch.device("meta"):
        network = options.build(3).network
    count = sum(p.numel() for p in network.backbone.parameters())
    width = network.decode_head.in_channels[-1]
    assert (count + 1001 * width) / 1e6 == pytest.approx(published[encoder][variant], abs=0.3)


def test_windows_of_a_network_without_windows_are_refused() -> None:
    with pytest.raises(ValidationError, match="convnext has no windows"):
        UPerNetConfig(window_size=12)


def test_the_librarys_deeplab_has_neither_atrous_branches_nor_a_decoder() -> None:
    """What the docstring of deeplabv3plus.py says; should the library change, it has to as well."""
    part = OPTIONS["deeplabv3plus"].build(3).network.segmentation_head
    convolutions = [m for m in part.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 3 and {m.kernel_size for m in convolutions} == {(1, 1)}
    assert OPTIONS["deeplabv3plus"].build(3).eval()(images(1, 64, 64)).shape[-2:] == (4, 4)
    assert part.dropout.p == 0.8 and part.conv_projection.normalization.momentum == 0.997


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    for name, options in OPTIONS.items():
        with pytest.raises(ValueError, match=rf"{name.partition('_')[0]} needs .* 'pointseg\[images\]'"):
            options.build(3)


def test_the_path_of_the_folder_is_the_only_thing_a_trained_network_forgets(tmp_path: Path) -> None:
    options = UPerNetConfig(encoder="swin", pretrained=tmp_path)
    assert options.trained() == UPerNetConfig(encoder="swin")
