"""train.deterministic holds during the training and ends with it."""

import pytest
import torch
from rich.console import Console

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.scans.store import StoreWriter
from pointseg.training.callback import Callback
from pointseg.training.deterministic import deterministic_sums
from pointseg.training.train import train
from tests.conftest import RAW_IDS, tiny_room


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


def test_on_a_cpu_neither_threads_nor_workers_change_a_bit(tiny_experiment, tmp_path):
    # Of a size at which torch shares the rows among its threads: without the setting most tensors differ.
    space = LabelSpace("tiny", RAW_IDS, ("floor", "wall", "box"), ("",) * 3, distinct_colors(3))
    writer = StoreWriter(tmp_path / "store", space, options={})
    for i in range(2):
        writer.add(tiny_room(f"room{i}", i, points=4000), "train")
    writer.finish()
    weights, before = [], torch.get_num_threads()
    for number, (threads, workers) in enumerate(((1, 0), (2, 0), (2, 2))):
        settings = [f"data.path={tmp_path / 'store'}", "data.val_split=null", "data.voxel_size_m=0.03"]
        settings += ["train.steps=1", "train.deterministic=true", "model.widths=[16,16,16,16,16,16,16,16]"]
        settings += [f"train.num_threads={threads}", f"train.workers={workers}"]
        with (tmp_path / "said").open("w") as file:
            console = Console(file=file, width=300)
            train(tiny_experiment(*settings), tmp_path / str(number), device="cpu", console=console)
        assert "deterministic: computed with one CPU thread" in (tmp_path / "said").read_text()
        weights.append(load_checkpoint(tmp_path / str(number) / "checkpoints" / "last.pt")["weights"])
    assert torch.get_num_threads() == before
    for others in weights[1:]:
        assert [name for name in others if not torch.equal(others[name], weights[0][name])] == []
