"""Optimisers are those of torch, with the groups they should have."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from pointseg.config import ConfigError
from pointseg.experiment import Experiment
from pointseg.models.minkunet import WIDTHS, MinkUNetConfig
from pointseg.optim.groups import GroupRule
from pointseg.optim.optimizer import AdamWConfig, OptimizerConfig, SGDConfig
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (
            SGDConfig(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        ),
        (
            SGDConfig(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.0),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1),
        ),
        (
            AdamWConfig(lr=0.1, weight_decay=0.05, betas=(0.8, 0.99)),
            lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05, betas=(0.8, 0.99)),
        ),
        (
            AdamWConfig(lr=0.1, eps=0.5),
            lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, eps=0.5),
        ),
    ],
)
def test_an_optimizer_steps_like_torch_s_own(config: OptimizerConfig, reference: object) -> None:
    mine, theirs = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimizers = [config.build([("weight", mine)]), reference([theirs])]
    for step in range(3):
        for parameter, optimizer in zip((mine, theirs), optimizers, strict=True):
            parameter.grad = torch.full((3, 2), 0.5 + step)
            optimizer.step()
    torch.testing.assert_close(mine, theirs)


def described(
    config: OptimizerConfig, network: nn.Module, **options: object
) -> dict[str, tuple[float, float]]:
    """Parameter -> (factor on the learning rate, weight decay)."""
    named = dict(network.named_parameters())
    groups = config.parameter_groups(named.items(), **options)
    of = {id(p): (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}
    return {name: of[id(parameter)] for name, parameter in named.items() if id(parameter) in of}


def small_network() -> nn.Module:
    backbone = nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 2)})
    return nn.ModuleDict({"backbone": backbone, "head": nn.Linear(2, 2)})


def test_all_parameters_are_one_group_unless_told_otherwise() -> None:
    groups = SGDConfig(weight_decay=0.1).parameter_groups(nn.Linear(2, 2).named_parameters())
    assert [(len(g["params"]), g["lr_scale"], g["weight_decay"]) for g in groups] == [(2, 1.0, 0.1)]


def test_vectors_can_be_spared_the_decay() -> None:
    # A network whose first parameter is a vector: matrices still come first, as in older checkpoints.
    network = nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2))
    groups = SGDConfig(weight_decay=0.1, decay_vectors=False).parameter_groups(network.named_parameters())
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.1), (3, 0.0)]


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert list(described(SGDConfig(), layer)) == ["weight"]


def test_the_first_rule_that_matches_a_name_decides() -> None:
    rules = (
        GroupRule(match="head.*", lr_scale=10.0),
        GroupRule(match="*.bias", weight_decay=0.0),
        GroupRule(match="backbone.first.*", lr_scale=0.5, weight_decay=0.2),
    )
    assert described(SGDConfig(weight_decay=0.1, groups=rules), small_network()) == {
        "backbone.first.weight": (0.5, 0.2),
        "backbone.first.bias": (1.0, 0.0),
        "backbone.second.weight": (1.0, 0.1),
        "backbone.second.bias": (1.0, 0.0),
        "head.weight": (10.0, 0.1),
        "head.bias": (10.0, 0.1),
    }


def test_a_rule_may_give_a_spared_vector_a_decay() -> None:
    rules = (GroupRule(match="head.bias", weight_decay=0.3),)
    found = described(SGDConfig(weight_decay=0.1, decay_vectors=False, groups=rules), small_network())
    assert found["head.bias"] == (1.0, 0.3) and found["backbone.first.bias"] == (1.0, 0.0)


def test_layers_learn_the_slower_the_nearer_to_the_input() -> None:
    rules = (GroupRule(match="*.bias", lr_scale=2.0),)
    config = SGDConfig(weight_decay=0.0, layer_decay=0.5, groups=rules)
    found = described(config, small_network(), layers=(("first.*",), ("second.*",)))
    assert {name: scale for name, (scale, _) in found.items()} == {
        "backbone.first.weight": 0.25,
        "backbone.first.bias": 0.5,
        "backbone.second.weight": 0.5,
        "backbone.second.bias": 1.0,
        "head.weight": 1.0,
        "head.bias": 2.0,
    }


def test_a_rule_without_a_parameter_is_refused() -> None:
    config = SGDConfig(groups=(GroupRule(match="head.*"), GroupRule(match="encoder.*")))
    with pytest.raises(ValueError, match=r"optimizer.groups.1: no parameter has a name like 'encoder"):
        described(config, small_network())


def test_a_parameter_of_the_network_in_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no layer for its parameter 'second.weight'"):
        described(SGDConfig(layer_decay=0.5), small_network(), layers=(("first.*",),))


@pytest.mark.parametrize("variant", WIDTHS)
def test_every_parameter_of_a_minkunet_is_in_one_of_its_nine_layers(variant: str) -> None:
    config = MinkUNetConfig(variant=variant, widths=(4,) * 8)
    network = nn.ModuleDict({"backbone": config.build(3)})
    found = described(SGDConfig(layer_decay=0.5), network, layers=config.layers())
    assert found["backbone.conv0p1s1.kernel"][0] == found["backbone.bn0.bn.bias"][0] == 0.5**9
    assert found["backbone.conv1p1s2.kernel"][0] == found["backbone.block1.0.conv1.kernel"][0] == 0.5**8
    assert found["backbone.block4.0.norm1.bn.weight"][0] == 0.5**5
    assert found["backbone.convtr4p16s2.kernel"][0] == found["backbone.block5.0.conv1.kernel"][0] == 0.5**4
    assert found["backbone.convtr7p2s2.kernel"][0] == found["backbone.block8.0.conv2.kernel"][0] == 0.5
    assert len(found) == len(list(network.parameters()))


def test_layer_decay_of_a_network_that_does_not_tell_its_layers_is_refused(
    tiny_experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MinkUNetConfig, "layers", lambda self: ())
    with pytest.raises(ConfigError, match=r"layer_decay: minkunet does not tell the order of its layers"):
        tiny_experiment("optimizer.layer_decay=0.9")


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_checkpoint(run / "checkpoints" / "last.pt")["weights"]
    return found


def test_a_run_moves_each_layer_at_its_own_rate_and_continues(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    """The first step of SGD moves a parameter by rate times gradient: by its factor more than without."""
    options = ["data.val_split=null", "optimizer.weight_decay=0", "train.steps=2", "schedule.type=constant"]
    grouped = [*options, "optimizer.groups=[{match: head.*, lr_scale: 3}]", "optimizer.layer_decay=0.5"]

    def run(name: str, overrides: list[str], stop_after: int | None) -> dict[str, torch.Tensor]:
        train(
            tiny_experiment(*overrides),
            tmp_path / name,
            device="cpu",
            stop_after=stop_after,
            console=Console(quiet=True),
        )
        return weights(tmp_path / name)

    start, plain, scaled = run("start", options, 0), run("plain", options, 1), run("scaled", grouped, 1)
    for key, factor in (
        ("head.classifier.weight", 3.0),
        ("backbone.conv0p1s1.kernel", 0.5**9),
        ("backbone.block2.0.conv1.kernel", 0.5**7),
        ("backbone.block8.0.norm2.bn.bias", 0.5),
    ):
        moved = plain[key] - start[key]
        assert float(moved.abs().max()) > 0
        torch.testing.assert_close(scaled[key] - start[key], factor * moved, rtol=1e-3, atol=1e-7)
    whole, parts = run("whole", grouped, None), run("scaled", grouped, None)
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())
