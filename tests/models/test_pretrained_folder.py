"""Weights from a folder: the right ones, in the right range, and nothing of the folder runs."""

import json
import pickle
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.images.pipeline import ImagePipeline
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.library_network import LibraryNetworkConfig
from pointseg.models.segformer import SegformerConfig
from pointseg.models.upernet import UPerNetConfig

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

STAGES = ["stage1", "stage2", "stage3", "stage4"]
OPTIONS: dict[str, LibraryNetworkConfig] = {
    "segformer": SegformerConfig(),
    "upernet_convnext": UPerNetConfig(hidden_size=16),
    "upernet_swin": UPerNetConfig(encoder="swin", hidden_size=16),
    "deeplabv3plus": DeepLabV3PlusConfig(depth_multiplier=0.5),
}
EACH = pytest.mark.parametrize("name", OPTIONS)


@pytest.fixture(autouse=True)
def nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def encoder_config(name: str) -> Any:
    if name == "segformer":
        return transformers.SegformerConfig()
    if name == "deeplabv3plus":
        return transformers.MobileNetV2Config(depth_multiplier=0.5)
    if name == "upernet_swin":
        return transformers.SwinConfig(out_features=STAGES)
    return transformers.ConvNextConfig(hidden_sizes=[96, 192, 384, 768], out_features=STAGES)


def whole_network(name: str, classes: int = 5) -> nn.Module:
    torch.manual_seed(3)
    config = encoder_config(name)
    if name == "segformer":
        config.num_labels = classes
        return transformers.SegformerForSemanticSegmentation(config)
    if name == "deeplabv3plus":
        config.num_labels, config.output_stride = classes, 16
        return transformers.MobileNetV2ForSemanticSegmentation(config)
    # With the auxiliary head, as they are published.
    return transformers.UperNetForSemanticSegmentation(
        transformers.UperNetConfig(backbone_config=config, hidden_size=16, num_labels=classes)
    )


def classifier_of_images(name: str) -> nn.Module:
    torch.manual_seed(3)
    kind = {
        "segformer": transformers.SegformerForImageClassification,
        "deeplabv3plus": transformers.MobileNetV2ForImageClassification,
        "upernet_swin": transformers.SwinForImageClassification,
        "upernet_convnext": transformers.ConvNextForImageClassification,
    }[name]
    return kind(encoder_config(name))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SegFormer b0."""
    path = tmp_path_factory.mktemp("saved") / "b0"
    whole_network("segformer").save_pretrained(path)
    return path


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    path = tmp_path / "folder"
    path.mkdir()
    for file in saved.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def build(options: LibraryNetworkConfig, folder: Path, in_channels: int = 3) -> Any:
    return options.model_copy(update={"pretrained": folder}).build(in_channels)


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture as it comes (3, 64, 64) of 0..255, and as the pipeline gives it (1, 3, 64, 64)."""
    rgb = np.random.default_rng(0).integers(0, 256, (64 * 64, 3)).astype(np.uint8)
    pipeline = ImagePipeline(
        size=(64, 64),
        scale=(1.0, 1.0),
        color_jitter=0.0,
        label_space=LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2)),
    )
    batch = pipeline.eval_batch([ImageScene("noise", 64, 64, rgb, np.ones(64 * 64, np.int32))])
    return torch.from_numpy(rgb).view(64, 64, 3).permute(2, 0, 1).double(), batch.images


def expected_input(name: str) -> torch.Tensor:
    """What the library's own image processors make of the picture."""
    rgb, _ = a_batch()
    if name == "deeplabv3plus":
        return (rgb / 127.5 - 1)[None].float()
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]
    return ((rgb / 255 - mean) / std)[None].float()


@EACH
def test_a_folder_of_the_whole_network_gives_its_features_of_the_same_picture(
    name: str, tmp_path: Path
) -> None:
    """The library saves SegFormer and Swin under the names of their published, older checkpoints."""
    whole = whole_network(name).eval()
    whole.save_pretrained(tmp_path)
    ours = build(OPTIONS[name], tmp_path).eval()
    part = whole.segmentation_head if name == "deeplabv3plus" else whole.decode_head
    with torch.no_grad():
        seen: list[torch.Tensor] = []
        part.classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        whole(pixel_values=expected_input(name))
        features = ours(a_batch()[1])
    torch.testing.assert_close(features, seen[0], rtol=1e-3, atol=1e-4)
    # And far from those of a picture left in another range.
    with torch.no_grad():
        assert (ours.features(a_batch()[1]) - seen[0]).abs().max() > 10 * (features - seen[0]).abs().max()


@EACH
def test_pictures_are_converted_to_what_the_weights_expect(name: str, tmp_path: Path) -> None:
    whole_network(name).save_pretrained(tmp_path)
    for options, expected in ((tmp_path, expected_input(name)), (None, a_batch()[1])):
        network = OPTIONS[name].model_copy(update={"pretrained": options}).build(3).eval()
        seen: list[torch.Tensor] = []
        network.features = seen.append  # type: ignore[method-assign, assignment]
        network(a_batch()[1])
        torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=1e-5)


def test_the_folders_own_range_wins(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "rescale_factor": 0.01})
    )
    network = build(SegformerConfig(), folder)
    seen = a_batch()[1] * network.input_scale + network.input_shift
    expected = (a_batch()[0] * 0.01 - torch.tensor([[[0.1]], [[0.2]], [[0.3]]])) / torch.tensor(
        [[[1.0]], [[2.0]], [[4.0]]]
    )
    torch.testing.assert_close(seen[0], expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"image_std": [0.5, 0, 0.5]}, "image_std above 0"),
        ({"image_mean": ["red", 0, 0]}, "expected numbers"),
        ({"image_mean": [0.5], "image_std": [0.5]}, "each of 3 channels; got 1 and 1"),
    ],
)
def test_a_range_that_makes_no_sense_is_named(written: dict[str, Any], message: str, folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=message):
        build(SegformerConfig(), folder)


@EACH
def test_a_folder_of_the_encoder_alone_gives_the_encoder(name: str, tmp_path: Path) -> None:
    trained = classifier_of_images(name)
    trained.save_pretrained(tmp_path)
    theirs = trained.state_dict()
    ours = build(OPTIONS[name], tmp_path).network.state_dict()
    fresh = OPTIONS[name].build(3).network.state_dict()
    assert ours.keys() == fresh.keys()
    start = "backbone." if name.startswith("upernet") else ""
    found = 0
    for key, value in theirs.items():
        ours_key = start + (key.removeprefix("convnext.") if name == "upernet_convnext" else key)
        if ours_key in ours:
            assert torch.equal(ours[ours_key], value), key
            found += 1
    in_encoder = [key for key in ours if "head." not in key and "hidden_states_norms" not in key]
    assert found == len(in_encoder) > 100


def test_half_precision_weights_become_float32(folder: Path) -> None:
    half = {k: v.half() for k, v in safetensors.load_file(folder / "model.safetensors").items()}
    safetensors.save_file(half, folder / "model.safetensors", {"format": "pt"})
    changed(folder / "config.json", dtype="float16")
    network = build(SegformerConfig(), folder)
    assert {v.dtype for v in network.parameters()} == {torch.float32}


def test_a_pickled_file_of_tensors_is_read(folder: Path) -> None:
    tensors = safetensors.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    theirs = whole_network("segformer").state_dict()
    ours = build(SegformerConfig(), folder).network.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("by", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_code_in_a_pickled_file_is_not_run(by: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    by({"weight": Evil(tmp_path / "mark")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="weights cannot be read"):
        build(SegformerConfig(), folder)
    assert not (tmp_path / "mark").exists()


def test_code_beside_the_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    for file in ("modeling.py", "kernel.py", "__init__.py"):
        (folder / file).write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Model: pass\n")
    changed(
        folder / "config.json",
        auto_map={"AutoConfig": "modeling.Model", "AutoModelForSemanticSegmentation": "modeling.Model"},
        _attn_implementation="someone/kernel",
        attn_implementation="someone/kernel",
        quantization_config={"quant_method": "modeling"},
        transformers_weights="../../elsewhere.safetensors",
    )
    ours = build(SegformerConfig(), folder).network.state_dict()
    theirs = whole_network("segformer").state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert not (tmp_path / "mark").exists()


def test_the_classifier_of_the_folder_is_not_used(folder: Path) -> None:
    """Whatever its number of classes."""
    assert not any("classifier" in key for key in build(SegformerConfig(), folder).state_dict())


def test_a_checkpoint_of_a_trained_network_needs_no_folder(folder: Path) -> None:
    options = SegformerConfig(pretrained=folder)
    first = options.build(3).eval()
    again = options.trained().build(3).eval()
    again.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first(a_batch()[1]), again(a_batch()[1]))


@pytest.mark.parametrize("other", ["nvidia/mit-b0", "no/such/folder"])
def test_a_name_that_is_no_folder_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match=r"there is no config.json.*not a name on a hub"):
        build(SegformerConfig(), Path(other))


def test_a_folder_without_config_json_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"folder: expected .* there is no config.json"):
        build(SegformerConfig(), folder)


def test_images_with_other_channels_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="its network sees 3 channels, the images have 4"):
        build(SegformerConfig(), folder, in_channels=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SegformerConfig(variant="b2"), r"depths is \[2, 2, 2, 2\] there and \[3, 4, 6, 3\] here"),
        (SegformerConfig(variant="b1"), r"hidden_sizes is \[32, 64, 160, 256\] there"),
        (UPerNetConfig(), "expected weights of upernet with convnext or convnext; .* 'segformer'"),
        (DeepLabV3PlusConfig(), "expected weights of mobilenet_v2; config.json says 'segformer'"),
    ],
)
def test_weights_of_another_network_are_refused(
    options: LibraryNetworkConfig, message: str, saved: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        build(options, saved)


def test_windows_of_another_size_are_refused(tmp_path: Path) -> None:
    config = transformers.SwinConfig(window_size=12)
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="window_size is 12 there and 7 here"):
        build(OPTIONS["upernet_swin"], tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("segformer.encoder.layer_norm.0.weight"), r"1 missing \(segformer.stages.0.layer_"),
        (lambda d: d.pop("decode_head.batch_norm.weight"), r"1 missing \(decode_head.batch_norm.weight"),
        (lambda d: d.update(more=torch.zeros(2)), r"1 not of this network \(more\)"),
        (
            lambda d: d.update({"decode_head.linear_fuse.weight": torch.zeros(8, 8, 1, 1)}),
            r"1 of another shape \(decode_head.linear_fuse.weight\)",
        ),
        (dict.clear, "missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused(damage: Any, message: str, folder: Path) -> None:
    """The library itself would go on with fresh numbers in their place."""
    tensors = safetensors.load_file(folder / "model.safetensors")
    damage(tensors)
    safetensors.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=message):
        build(SegformerConfig(), folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"no tensors", "weights cannot be read"),
        ("config.json", b"{", "cannot be read as JSON"),
        ("config.json", b"[]", "expected a mapping"),
        ("config.json", b"{}", "expected a model_type"),
        ("config.json", b'{"model_type": "segformer", "depths": "many"}', "cannot be used"),
        ("adapter_config.json", b"{}", "holds an adapter"),
    ],
)
def test_a_broken_file_is_named(file: str, content: bytes, message: str, folder: Path) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build(SegformerConfig(), folder)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="folder: its weights cannot be read"):
        build(SegformerConfig(), folder)


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build(SegformerConfig(), folder)
    assert capfd.readouterr() == ("", "")
