"""Public checkpoints become ours and ours become public ones, and every entry is accounted for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from oracle import random_coords

from pointseg.convert.public_layout import SpconvLayout
from pointseg.convert.weights import read_public, write_public
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import Grid, SparseTensor

GOLDEN = Path(__file__).parents[1] / "fixtures" / "spconv_unet.npz"
TINY = {"widths": (2, 3, 2, 3, 2, 3, 2, 3), "stem_channels": 2, "stem_kernel": 3}
ORIGINS = {"minkowski": "14A", "spconv": "SpUNet"}


def case(origin, channels=3, **changes):
    """A tiny network with its classifier, and its weights as ``origin`` has them."""
    torch.manual_seed(0)
    network = MinkUNetConfig(variant=ORIGINS[origin], **{**TINY, **changes}).build(channels).eval()
    classifier = {"weight": torch.randn(5, network.out_channels), "bias": torch.randn(5)}
    return network, classifier, write_public(network, classifier, origin)


def logits(network, classifier, features, coords):
    with torch.no_grad():
        out = network(SparseTensor(features, Grid(coords))).features
    return out @ classifier["weight"].T + classifier["bias"]


@pytest.mark.parametrize("variant", ["14A", "18A", "34A", "34C", "34D", "SpUNet"])
def test_every_variant_survives_the_round_trip_bit_for_bit(variant):
    origin = "spconv" if variant == "SpUNet" else "minkowski"
    config = MinkUNetConfig(variant=variant)
    network = config.build(9)
    classifier = {"weight": torch.randn(20, network.out_channels), "bias": torch.randn(20)}
    found = read_public(write_public(network, classifier, origin), origin)
    assert (found.model, found.in_channels, found.num_classes) == (config, 9, 20)
    own = network.state_dict()
    assert list(found.backbone) == list(own)
    assert all(torch.equal(found.backbone[key], own[key]) for key in own)
    assert all(torch.equal(found.classifier[key], classifier[key]) for key in classifier)


@pytest.mark.parametrize("origin", ORIGINS)
def test_sizes_are_read_off_the_shapes(origin):
    changes = {"blocks": (1, 2, 1, 3, 1, 1, 2, 1), "stem_kernel": 3}
    network, _, state = case(origin, channels=4, **changes)
    found = read_public(state, origin)
    assert found.in_channels == 4 and found.num_classes == 5
    assert found.model.resolved()["blocks"] == changes["blocks"]
    assert found.model.build(4).state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("prefix", "wrapper"),
    [
        *(("", None), ("module.", "state_dict"), ("backbone.", "model_state_dict")),
        *(("module.backbone.", None), ("module.backbone.", "state_dict")),
    ],
)
@pytest.mark.parametrize("origin", ORIGINS)
def test_prefixes_and_wrappers_come_off_and_the_rest_is_named(origin, wrapper, prefix):
    _, _, state = case(origin)
    state = {prefix + key: value for key, value in state.items()} | {"criteria.w": torch.ones(1)}
    found = read_public({wrapper: state, "epoch": 3} if wrapper else state, origin)
    beside = {"epoch": "belongs to the training"} if wrapper else {}
    assert found.unused == {**beside, "criteria.w": "lies beside the network"}


def test_spconv_computed_the_golden_file_with_the_same_weights():
    with np.load(GOLDEN, allow_pickle=False) as file:
        golden = {key: torch.from_numpy(file[key]) for key in file.files}
    state = {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}
    found = read_public(state, "spconv")
    network = found.model.build(found.in_channels).eval()
    network.load_state_dict(found.backbone)
    ours = logits(network, found.classifier, golden["features"], golden["coords"])
    torch.testing.assert_close(ours, golden["logits"], rtol=1e-4, atol=1e-4)
    assert golden["logits"].std() > 0.1


def test_spconv_computes_the_same_here():
    spconv = pytest.importorskip("spconv.pytorch", reason="needs `pip install spconv`")
    import spconv_unet

    network, features, coords = spconv_unet.random_case(spconv, random_coords(300, seed=3))
    found = read_public(network.state_dict(), "spconv")
    ours = found.model.build(found.in_channels).eval()
    ours.load_state_dict(found.backbone)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # More threads race in spconv's CPU scatter.
    try:
        with torch.no_grad():
            theirs = network(features, coords)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(logits(ours, found.classifier, features, coords), theirs, rtol=1e-4, atol=1e-4)


#: Offsets of the 27 taps of SpatioTemporalSegmentation's blocks (region HYBRID of MinkowskiEngine 0.4), by
#: hand: the centre, its neighbours along x, then all of these along y, then all nine along z.
HYBRID = [
    *[(0, 0, 0), (-1, 0, 0), (1, 0, 0)],
    *[(0, -1, 0), (0, 1, 0), (-1, -1, 0), (-1, 1, 0), (1, -1, 0), (1, 1, 0)],
    *[(0, 0, -1), (0, 0, 1), (-1, 0, -1), (-1, 0, 1), (1, 0, -1), (1, 0, 1)],
    *[(0, -1, -1), (0, -1, 1), (0, 1, -1), (0, 1, 1)],
    *[(-1, -1, -1), (-1, -1, 1), (-1, 1, -1), (-1, 1, 1)],
    *[(1, -1, -1), (1, -1, 1), (1, 1, -1), (1, 1, 1)],
]
#: Offsets of a cube of MinkowskiEngine: x fastest.
CUBE = [(x, y, z) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def impulse_network(taps, centre):
    """A public state dict that only shifts its input: of the last block's first kernel, each output is one at
    its own of the ``taps``."""
    channels = len(taps)
    widths = (*(1,) * 7, channels)
    network = MinkUNetConfig(variant="14A", widths=widths, stem_channels=1, stem_kernel=3).build(1)
    state = {k: v if "bn" in k else v.new_zeros(v.shape) for k, v in network.state_dict().items()}
    state = {k: v if "norm" not in k else network.state_dict()[k] for k, v in state.items()}
    state["conv0p1s1.kernel"][CUBE.index((0, 0, 0)), 0, 0] = 1
    # Channels of the last block's input: what came up, then the stem's.
    state["block8.0.conv1.kernel"][taps, channels, range(channels)] = 1
    state["block8.0.conv2.kernel"][centre] = torch.eye(channels)
    return {**state, "final.kernel": torch.eye(channels), "final.bias": torch.zeros(1, channels)}


@pytest.mark.parametrize(("origin", "offsets"), [("sts", HYBRID), ("minkowski", CUBE)])
def test_each_tap_of_a_block_looks_where_its_code_base_looks(origin, offsets):
    cube = torch.tensor([(0, x + 1, y + 1, z + 1) for x, y, z in CUBE], dtype=torch.int32)
    numbers = torch.arange(1.0, 28.0)[:, None]
    found = read_public(impulse_network(range(27), offsets.index((0, 0, 0))), origin)
    network = found.model.build(found.in_channels).eval()
    network.load_state_dict(found.backbone)
    seen = logits(network, found.classifier, numbers, cube)[CUBE.index((0, 0, 0))]
    assert seen.tolist() == pytest.approx([1 + CUBE.index(offset) for offset in offsets], rel=1e-3)


def test_a_network_of_sts_read_as_one_of_minkowski_is_another_one_and_is_doubted():
    state = impulse_network([1], 0)
    state = {k: v[None] if k.endswith("kernel") and v.ndim == 2 else v for k, v in state.items()}
    right, wrong = read_public(state, "sts"), read_public(state, "minkowski")
    assert not torch.equal(right.backbone["block8.0.conv1.kernel"], wrong.backbone["block8.0.conv1.kernel"])
    assert "--from sts" in wrong.notes[0] and right.notes == ()


def test_networks_of_sts_survive_the_round_trip_in_their_own_order():
    network, classifier, _ = case("minkowski")
    state = write_public(network, classifier, "sts")
    found = read_public(state, "sts")
    own = network.state_dict()
    assert all(torch.equal(found.backbone[key], own[key]) for key in own)
    assert not torch.equal(state["block1.0.conv1.kernel"], own["block1.0.conv1.kernel"])
    assert torch.equal(state["conv0p1s1.kernel"], own["conv0p1s1.kernel"])


def test_the_newer_spunet_has_its_own_eps():
    _, _, state = case("spconv")
    assert read_public(state, "spconv").model.resolved()["bn_eps"] == 1e-3
    assert read_public(state, "spconv_v1m2").model.resolved()["bn_eps"] == 1e-5


def test_axes_of_a_kernel_keep_their_places():
    # One number, at x = 2, y = 0, z = 1 of a 3^3 kernel from channel 1 to channel 0: tap 2 + 3 * 0 + 9 * 1.
    theirs = torch.zeros(1, 3, 3, 3, 2)
    theirs[0, 2, 0, 1, 1] = 1.0
    layout = SpconvLayout()
    ours = layout.read({"conv0p1s1.kernel": theirs})["conv0p1s1.kernel"]
    assert torch.nonzero(ours).tolist() == [[11, 1, 0]]
    assert torch.equal(layout.write("conv0p1s1.kernel", ours), theirs)


@pytest.mark.parametrize("axes", [(1, 2, 3, 4, 0), (1, 2, 3, 0, 4)], ids=["spconv 1.x", "spconv 2.0"])
def test_older_orders_of_spconv_are_recognised(axes):
    network, _, state = case("spconv")

    def older(value):
        if value.ndim < 5:
            return value
        if value.shape[1] > 1:
            return value.permute(axes).contiguous()
        # The numbers of a pointwise kernel lie alike in all of them.
        return value.reshape([value.shape[i] for i in axes])

    found = read_public({key: older(value) for key, value in state.items()}, "spconv")
    own = network.state_dict()
    assert all(torch.equal(found.backbone[key], own[key]) for key in own)


def test_pointwise_kernels_of_older_minkowski_releases_become_matrices():
    network, classifier, state = case("minkowski")
    state = {k: v[None] if k.endswith("kernel") and v.ndim == 2 else v for k, v in state.items()}
    found = read_public(state, "minkowski")
    own = network.state_dict()
    assert all(torch.equal(found.backbone[key], own[key]) for key in own)
    assert torch.equal(found.classifier["weight"], classifier["weight"])


def test_a_linear_classifier_beside_the_backbone_is_found():
    _, classifier, state = case("spconv")
    state = {f"backbone.{k}": v for k, v in state.items() if not k.startswith("final")}
    found = read_public(
        {**state, "seg_head.weight": classifier["weight"], "seg_head.bias": classifier["bias"]}, "spconv"
    )
    assert torch.equal(found.classifier["weight"], classifier["weight"]) and found.unused == {}


def test_a_classifier_without_bias_gets_a_zero_one_and_says_so():
    _, _, state = case("minkowski")
    del state["final.bias"]
    found = read_public(state, "minkowski")
    assert found.classifier["bias"].tolist() == [0.0] * 5 and "no bias" in found.notes[0]


@pytest.mark.parametrize("origin", ORIGINS)
def test_everything_that_does_not_fit_is_named_at_once(origin):
    _, _, state = case(origin)
    norm, block, extra = {
        "minkowski": ("bn0.bn.weight", "block2.0.conv1.kernel", "block1.0.conv3.kernel"),
        "spconv": ("conv_input.1.running_mean", "enc.1.block0.conv1.weight", "enc.0.block0.conv3.weight"),
    }[origin]
    del state[norm]
    state[block] = state[block].new_zeros((3, 5, 5, 5, 3) if origin == "spconv" else (27, 2, 9))
    state[extra] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="3 entries") as error:
        read_public(state, origin)
    assert all(name in str(error.value) for name in (norm, block, extra))


def test_an_encoder_alone_is_refused():
    _, _, state = case("spconv")
    with pytest.raises(ValueError, match=r"dec\.3\.block0\.conv2\.weight.*missing"):
        read_public({k: v for k, v in state.items() if not k.startswith(("dec", "up"))}, "spconv")


def test_the_wrong_origin_is_pointed_at():
    _, _, state = case("spconv")
    with pytest.raises(ValueError, match=r"found 0.*--from spconv"):
        read_public(state, "minkowski")


def test_weights_are_not_written_for_networks_that_grow_elsewhere():
    network, classifier, _ = case("spconv")
    with pytest.raises(ValueError, match=r"model\.widen"):
        write_public(network, classifier, "minkowski")
