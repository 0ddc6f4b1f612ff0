"""MinkUNet: sizes, names, and what must not change its output."""

import gc
from types import FunctionType, ModuleType

import pytest
import torch
from oracle import random_coords
from pydantic import ValidationError

from pointseg.config import ConfigError, load_config
from pointseg.core.batch import SceneBatch
from pointseg.core.held import held_tensors
from pointseg.models.minkunet import MinkUNet, MinkUNetConfig
from pointseg.sparse import Grid, SparseTensor, kernel_map, using_engine

TINY = {"variant": "14A", "widths": (4, 5, 6, 7, 6, 5, 4, 3), "stem_channels": 4}


def tiny(in_channels=2, **changes):
    torch.manual_seed(0)
    return MinkUNetConfig(**{**TINY, **changes}).build(in_channels)


def sparse(coords, channels=2, seed=0):
    x = torch.randn(len(coords), channels, generator=torch.Generator().manual_seed(seed))
    return SparseTensor(x, Grid(coords))


def num_parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_minkunet34c_with_a_classifier_of_20_classes_has_37_86_million_parameters():
    # MinkowskiEngine's MinkUNet34C(3, 20) has 37,856,052.
    with torch.device("meta"):
        network = MinkUNetConfig(variant="34C").build(3)
    assert num_parameters(network) + network.out_channels * 20 + 20 == 37_856_052


@pytest.mark.parametrize(
    ("variant", "channels", "blocks"),
    [("14A", 96, 8), ("18A", 96, 16), ("34A", 64, 23), ("34C", 96, 23), ("34D", 512, 23)],
)
def test_variants_have_their_widths_and_blocks(variant, channels, blocks):
    with torch.device("meta"):
        network = MinkUNetConfig(variant=variant).build(3)
    assert network.out_channels == channels
    assert sum(name.endswith("conv2.kernel") for name, _ in network.named_parameters()) == blocks


def test_34d_follows_the_lground_recipe():
    with torch.device("meta"):
        network = MinkUNetConfig(variant="34D").build(3)
    assert network.conv0p1s1.kernel.shape == (27, 3, 32)
    assert {m.momentum for m in network.modules() if hasattr(m, "momentum")} == {0.02}
    assert not network.block8[-1].final_relu and network.block8[0].final_relu


def test_the_first_stage_and_a_decoder_stage_have_the_names_of_the_examples():
    names = set(tiny().state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv0p1s1.kernel", "conv1p1s2.kernel", "convtr4p16s2.kernel", "block1.0.conv1.kernel"}
    expected |= {"block5.0.conv2.kernel", "block5.0.downsample.0.kernel", "conv4p8s2.kernel"}
    expected |= {f"block5.0.downsample.1.bn.{n}" for n in norm} | {f"block1.0.norm2.bn.{n}" for n in norm}
    expected |= {f"bn0.bn.{n}" for n in norm} | {f"bntr7.bn.{n}" for n in norm} | {"convtr7p2s2.kernel"}
    assert expected <= names
    assert not any(name.startswith(("final", "dropout", "relu")) for name in names)
    # No shortcut where widths agree.
    assert "block1.0.downsample.0.kernel" not in names


def scene_batch(coords):
    x = torch.randn(len(coords), 2, generator=torch.Generator().manual_seed(0))
    return SceneBatch(coords, x, torch.zeros(len(coords), dtype=torch.int64), ("room",))


def tensors_reached_from(*roots):
    """By the garbage collector's own walk, so that nothing is forgotten; modules are not followed."""
    seen, found, todo = set(), {}, list(roots)
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor):
            found[id(thing)] = thing
        elif isinstance(thing, FunctionType):
            todo += [cell.cell_contents for cell in thing.__closure__ or ()]
        else:
            todo += gc.get_referents(thing)
    return found


@pytest.mark.parametrize("moved", [False, True])
def test_a_prepared_batch_gives_the_same_bits_and_leaves_no_map_to_the_step(moved, monkeypatch):
    coords = random_coords(300, extent=20)
    if moved:
        coords = coords[torch.randperm(len(coords), generator=torch.Generator().manual_seed(1))]
    batch, network = scene_batch(coords), tiny()

    def run(given):
        network.zero_grad()
        out = network.rows(given)
        out.square().sum().backward()
        return [out, *(parameter.grad.clone() for parameter in network.parameters())]

    with using_engine("reference"):
        expected, prepared = run(batch), network.prepared(batch)
        for made in ("find_pairs", "_exchange"):
            monkeypatch.setattr(kernel_map, made, lambda *_: pytest.fail("a map was made in the step"))
        monkeypatch.setattr(Grid, "_set", lambda *_: pytest.fail("a grid was made in the step"))
        got = run(prepared)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("moved", [False, True])
def test_whoever_hands_over_a_prepared_batch_knows_of_all_its_tensors(moved):
    coords = random_coords(300, extent=20).flip(0) if moved else random_coords(300, extent=20)
    with using_engine("reference"):
        prepared = tiny().prepared(scene_batch(coords))
    grid, _ = prepared.geometry.sorted()
    grid.kernel_map(grid, 5).plans["some engine"] = (torch.zeros(1), {"b": [torch.zeros(2)]})
    held = {id(tensor) for tensor in held_tensors(prepared)}
    reached = tensors_reached_from(prepared.geometry)
    assert len(reached) > 2 * 14
    assert reached.keys() <= held


def test_output_lies_on_the_input_grid():
    x = sparse(random_coords(200, extent=12))
    network = tiny()
    out = network(x)
    assert out.grid is x.grid and out.features.shape == (len(x.grid), network.out_channels)


def test_order_of_rows_does_not_matter():
    coords = random_coords(300, extent=12)
    order = torch.randperm(len(coords), generator=torch.Generator().manual_seed(1))
    x, network = sparse(coords), tiny().eval()
    moved = SparseTensor(x.features[order], Grid(coords[order]))
    assert torch.equal(network(moved).features, network(x).features[order])


def test_scenes_of_a_batch_do_not_influence_each_other():
    coords = random_coords(400, extent=12, batches=2)
    x, network = sparse(coords), tiny().eval()
    together = network(x).features
    for scene in (0, 1):
        rows = coords[:, 0] == scene
        alone = network(SparseTensor(x.features[rows], Grid(coords[rows]))).features
        torch.testing.assert_close(alone, together[rows], atol=1e-5, rtol=1e-4)


def test_moving_a_scene_by_16_voxels_changes_nothing():
    coords = random_coords(300, extent=12)
    x, network = sparse(coords), tiny().eval()
    moved = SparseTensor(x.features, Grid(coords + torch.tensor([0, 16, -32, 48], dtype=torch.int32)))
    torch.testing.assert_close(network(moved).features, network(x).features)


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_scenes_pass_in_training(rows):
    x = sparse(torch.zeros(rows, 4, dtype=torch.int32))
    out = tiny()(x).features
    out.sum().backward()
    assert out.shape == (rows, 3) and bool(out.isfinite().all())


def test_every_parameter_learns():
    network = tiny()
    network(sparse(random_coords(300, extent=12))).features.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_two_runs_of_a_training_step_give_the_same_bits():
    def step():
        network = tiny()
        network(sparse(random_coords(300, extent=12))).features.square().sum().backward()
        return [p.grad for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(step(), step(), strict=True))


def test_features_are_signed_without_the_final_relu_only():
    x = sparse(random_coords(200, extent=12))
    assert tiny()(x).features.min() >= 0
    assert tiny(final_relu=False)(x).features.min() < 0


def test_dropout_acts_in_training_only():
    x, network = sparse(random_coords(200, extent=12)), tiny(dropout=0.5, final_relu=False)
    assert (network(x).features == 0).float().mean() > 0.4
    assert (network.eval()(x).features == 0).float().mean() == 0


def test_bfloat16_autocast_stays_close_to_float32():
    x, network = sparse(random_coords(300, extent=12)), tiny(final_relu=False).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = network(x).features.float()
    with torch.no_grad():
        wide = network(x).features
    assert ((narrow - wide).norm() / wide.norm()).item() < 0.05


def test_overrides_reach_the_network():
    network = tiny(stem_kernel=3, bn_momentum=0.3, blocks=(1, 2, 1, 1, 1, 1, 1, 1))
    assert isinstance(network, MinkUNet) and network.conv0p1s1.kernel.shape == (27, 2, 4)
    assert len(network.block2) == 2 and network.bn0.bn.momentum == 0.3


@pytest.mark.parametrize(
    "wrong", [{"widths": (1, 2)}, {"widths": (0,) * 8}, {"stem_kernel": 4}, {"variant": "99Z"}]
)
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(ValidationError):
        MinkUNetConfig(**wrong)


def test_a_misspelt_option_is_named():
    with pytest.raises(ConfigError, match="did you mean 'widths'"):
        load_config(MinkUNetConfig, None, data={"width": [1] * 8})
