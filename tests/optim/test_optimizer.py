"""Optimisers are those of torch, with the groups they should have."""

import pytest
import torch
from torch import nn

from pointseg.optim.optimizer import AdamWConfig, OptimizerConfig, SGDConfig


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
    ],
)
def test_an_optimizer_steps_like_torch_s_own(config: OptimizerConfig, reference: object) -> None:
    mine, theirs = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimizers = [config.build([mine]), reference([theirs])]
    for step in range(3):
        for parameter, optimizer in zip((mine, theirs), optimizers, strict=True):
            parameter.grad = torch.full((3, 2), 0.5 + step)
            optimizer.step()
    torch.testing.assert_close(mine, theirs)


def test_vectors_can_be_spared_the_decay() -> None:
    layer = nn.Linear(2, 2)
    groups = SGDConfig(weight_decay=0.1, decay_vectors=False).groups(layer.parameters())
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.1), (1, 0.0)]


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert [len(g["params"]) for g in SGDConfig().groups(layer.parameters())] == [1]
