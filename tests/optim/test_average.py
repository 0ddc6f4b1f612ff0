"""The weight average, step by step."""

import pytest
import torch
from torch import nn

from pointseg.optim.average import WeightAverage


def constant_layer(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_the_first_steps_forget_the_initial_weights() -> None:
    layer = constant_layer(0.0)
    average = WeightAverage(layer, decay=0.9)
    nn.init.constant_(layer.weight, 1.0)
    average.update(layer)  # decay 1/10
    assert float(average.network.weight) == pytest.approx(0.9)
    average.update(layer)  # decay 2/11
    assert float(average.network.weight) == pytest.approx(1 - 0.1 * 2 / 11)


def test_later_steps_use_the_decay_that_was_asked_for() -> None:
    layer = constant_layer(0.0)
    average = WeightAverage(layer, decay=0.5)
    average.num_updates.fill_(1000)
    nn.init.constant_(layer.weight, 1.0)
    average.update(layer)
    assert float(average.network.weight) == pytest.approx(0.5)


def test_running_statistics_are_copied_and_no_gradient_is_kept() -> None:
    norm = nn.BatchNorm1d(2)
    average = WeightAverage(norm, decay=0.9)
    norm(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    average.update(norm)
    assert isinstance(average.network, nn.BatchNorm1d) and not average.network.training
    torch.testing.assert_close(average.network.running_mean, norm.running_mean)
    assert int(average.network.num_batches_tracked) == 1
    assert not any(p.requires_grad for p in average.parameters())


def test_the_counter_lies_where_the_weights_do():
    layer = torch.nn.Linear(2, 2, device="meta")
    assert WeightAverage(layer, decay=0.9).num_updates.device.type == "meta"
