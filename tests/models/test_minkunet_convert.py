"""Checkpoints of the MinkowskiEngine family load, and every entry is accounted for."""

import pytest
import torch
from oracle import random_coords

from pointseg.models.convert import convert_checkpoint
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import Grid, SparseTensor


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MinkUNetConfig(variant="14A", widths=(2, 3, 2, 3, 2, 3, 2, 3), stem_channels=2).build(3).eval()


def public(network, prefix=""):
    """The entries of ``network`` and a classifier as a public checkpoint has them."""
    state = {prefix + key: value.clone() for key, value in network.state_dict().items()}
    state[prefix + "final.kernel"] = torch.arange(15.0).reshape(3, 5)
    state[prefix + "final.bias"] = torch.arange(5.0).reshape(1, 5)
    return state


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.backbone."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
def test_prefixes_and_wrappers_come_off(network, prefix, wrapper):
    state = public(network, prefix)
    converted = convert_checkpoint({wrapper: state, "epoch": 3} if wrapper else state, network)
    network.load_state_dict(converted.backbone, strict=True)
    assert converted.unused == ()


def test_the_classifier_becomes_a_linear_layer(network):
    state = public(network)
    classifier = convert_checkpoint(state, network).classifier
    linear = torch.nn.Linear(3, 5)
    linear.load_state_dict(classifier)
    x = torch.randn(4, 3)
    torch.testing.assert_close(linear(x), x @ state["final.kernel"] + state["final.bias"])


def test_a_checkpoint_without_classifier_gives_none(network):
    assert convert_checkpoint(network.state_dict(), network).classifier == {}


def test_pointwise_kernels_of_older_releases_become_matrices(network):
    state = public(network)
    for key in ("block2.0.downsample.0.kernel", "final.kernel"):
        state[key] = state[key][None]
    converted = convert_checkpoint(state, network)
    assert converted.backbone["block2.0.downsample.0.kernel"].ndim == 2
    assert converted.classifier["weight"].shape == (5, 3)


def test_entries_that_belong_to_nothing_are_listed(network):
    state = public(network, "model.") | {
        "model.projection.weight": torch.ones(1),
        "criterion.w": torch.ones(1),
    }
    assert convert_checkpoint(state, network).unused == ("criterion.w", "model.projection.weight")


def test_counters_that_older_torch_did_not_save_are_filled_in(network):
    state = {k: v for k, v in public(network).items() if not k.endswith("num_batches_tracked")}
    network.load_state_dict(convert_checkpoint(state, network).backbone, strict=True)


def test_missing_and_misshapen_weights_are_named(network):
    state = public(network)
    del state["bn0.bn.weight"]
    state["conv0p1s1.kernel"] = torch.zeros(27, 3, 2)
    with pytest.raises(
        ValueError, match=r"2 entries: conv0p1s1.kernel is \(27, 3, 2\).*bn0.bn.weight is missing"
    ):
        convert_checkpoint(state, network)


def test_another_kind_of_checkpoint_is_refused(network):
    with pytest.raises(ValueError, match="found 0"):
        convert_checkpoint({"conv1.weight": torch.ones(1)}, network)


def test_converted_weights_give_the_same_features(network):
    fresh = MinkUNetConfig(variant="14A", widths=(2, 3, 2, 3, 2, 3, 2, 3), stem_channels=2).build(3).eval()
    fresh.load_state_dict(convert_checkpoint(public(network, "module."), fresh).backbone)
    coords = random_coords(100)
    x = SparseTensor(torch.randn(len(coords), 3), Grid(coords))
    assert torch.equal(fresh(x).features, network(x).features)
