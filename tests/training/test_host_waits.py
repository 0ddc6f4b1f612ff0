"""A training step must not wait for its device: each wait leaves a GPU without work."""

import pytest
import torch
from host_waits import HostWaits
from rich.console import Console

from pointseg.sparse import kernel_map
from pointseg.training import train as train_module
from pointseg.training.train import train


@pytest.fixture
def waits_of_steps(tiny_experiment, tmp_path, monkeypatch):
    """Waits by place in each of three steps, without those of the CPU's own engine."""

    def run(*overrides):
        found, real_step = [], train_module.train_step

        def watched(state, batches, *rest):
            ready = list(batches)
            with HostWaits() as waits:
                result = real_step(state, ready, *rest)
            found.append(waits.places)
            return result

        monkeypatch.setattr(train_module, "train_step", watched)
        # Maps as a GPU makes them; in C there is nothing to wait for.
        monkeypatch.setattr(kernel_map, "can_find_pairs", lambda *_: False)
        experiment = tiny_experiment("train.steps=3", "data.val_split=null", *overrides)
        train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True))
        return found

    return run


def test_waits_are_counted():
    with HostWaits() as waits:
        ones = torch.ones(3)
        bool(ones.any())
        ones.tolist()
        ones[ones > 0]
    assert waits.places.total() == 3


#: Reads random numbers that the host has drawn for itself, which only on a CPU looks like a wait.
HOSTS_OWN = {"suppression.py:_drawn_by_host"}
ENGINE = {"grid.py", "kernel_map.py", "keys.py", "blocks.py", "neighbours.py"}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["train.clip_norm=1.0", "train.ema_decay=0.9"],
        ["train.accumulate=2", "train.amp=bf16"],
        ["head.type=class_suppression"],
    ],
    ids=["plain", "clipped and averaged", "accumulated in bf16", "with DropClass"],
)
def test_a_step_waits_for_nothing_but_the_sizes_of_maps(waits_of_steps, options):
    first, *others = waits_of_steps(*options)
    # The very first step decides on the host whether fused SGD may take its gradient for momentum.
    assert beside_the_engine(first) == {"step.py:_move"}
    for places in others:
        assert beside_the_engine(places) == set()


def beside_the_engine(places):
    return {place for place in places if place.split(":")[0] not in ENGINE} - HOSTS_OWN
