"""train.deterministic holds during the training and ends with it."""

import pytest
import torch
from rich.console import Console

from pointseg.training.callback import Callback
from pointseg.training.deterministic import deterministic_sums
from pointseg.training.train import train


class Watch(Callback):
    """Notes at each step whether sums have one order."""

    def __init__(self):
        self.seen = []

    def on_step(self, *_, **__):
        self.seen.append(torch.are_deterministic_algorithms_enabled())


@pytest.mark.parametrize("asked", [True, False])
def test_it_holds_in_every_step_and_no_longer(tiny_experiment, tmp_path, asked):
    watch = Watch()
    chosen = tiny_experiment("train.steps=2", "data.val_split=null", f"train.deterministic={asked}")
    train(chosen, tmp_path / "run", device="cpu", console=Console(quiet=True), callbacks=[watch])
    assert watch.seen == [asked, asked]
    assert not torch.are_deterministic_algorithms_enabled()


def test_memory_is_not_filled_meanwhile_and_as_before_afterwards():
    assert torch.utils.deterministic.fill_uninitialized_memory
    with deterministic_sums(True):
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert torch.utils.deterministic.fill_uninitialized_memory
