"""train.freeze and train.init_anew: what is frozen stays bit for bit, and what starts anew starts anew."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from pointseg.config import ConfigError
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.training.freeze import freeze
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]
CRT = ("train.freeze=[backbone.*]", "train.init_anew=[head.*]", "train.val_every=2")


def trained(experiment: Experiment, out: Path, **options: object) -> dict[str, torch.Tensor]:
    train(experiment, out, device="cpu", console=Console(quiet=True), **options)  # type: ignore[arg-type]
    weights: dict[str, torch.Tensor] = load_checkpoint(out / "checkpoints" / "last.pt")["weights"]
    return weights


@pytest.mark.parametrize("average", [(), ("train.ema_decay=0.5",)])
def test_a_classifier_is_retrained_on_features_that_stay(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path, average: tuple[str, ...]
) -> None:
    experiment = tiny_experiment(f"train.init_from={trained_run}", *CRT, *average)
    there = load_run(trained_run, device="cpu").segmenter.state_dict()
    start = trained(experiment, tmp_path / "start", stop_after=0)
    after = trained(experiment, tmp_path / "whole")
    for key in there:
        # Running statistics included: a norm in training mode would have moved them, and every prediction.
        assert torch.equal(after[key], there[key]) == key.startswith("backbone."), key
        assert torch.equal(start[key], there[key]) == key.startswith("backbone."), key
    assert not torch.equal(after["head.classifier.weight"], start["head.classifier.weight"])


def test_a_frozen_part_stays_while_the_rest_learns(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    experiment = tiny_experiment(f"train.init_from={trained_run}", "train.freeze=[backbone.block8.*]")
    there = load_run(trained_run, device="cpu").segmenter.state_dict()
    after = trained(experiment, tmp_path)
    frozen = {key for key in there if key.startswith("backbone.block8.")}
    assert all(torch.equal(after[key], there[key]) for key in frozen) and frozen
    assert not torch.equal(after["backbone.conv0p1s1.kernel"], there["backbone.conv0p1s1.kernel"])
    assert not torch.equal(after["backbone.bn0.bn.running_mean"], there["backbone.bn0.bn.running_mean"])


def test_norms_and_dropout_of_whole_parts_are_in_evaluation_mode() -> None:
    part = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    network = nn.ModuleDict({"kept": part, "learned": nn.Linear(2, 2)})
    freeze(network, ["kept.*"])
    assert not any(module.training for module in part.modules())
    assert network.training and network["learned"].training
    assert [p.requires_grad for p in network.parameters()] == [False] * 4 + [True] * 2


def test_half_a_layer_frozen_leaves_its_mode() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    freeze(network, ["0.bias"])
    assert network[0].training


@pytest.mark.parametrize(
    ("patterns", "message"),
    [(["backbon.*"], r"no entry .* backbon\.\*.*backbone\.\*, head\.\*"), (["*"], "every parameter")],
)
def test_what_freezes_nothing_or_all_is_refused(
    tiny_experiment: MakeExperiment, patterns: list[str], message: str
) -> None:
    network = tiny_experiment().build_segmenter(4, 3)
    with pytest.raises(ValueError, match=message):
        freeze(network, patterns)


def test_random_weights_are_not_frozen(tiny_experiment: MakeExperiment) -> None:
    with pytest.raises(ConfigError, match=r"as they are drawn; set train\.init_from"):
        tiny_experiment("train.freeze=[backbone.*]")
    with pytest.raises(ConfigError, match=r"set train\.init_from=RUN"):
        tiny_experiment("train.init_anew=[head.*]")
