"""Losses of a user's code in pointseg.train: in place of a loss of the experiment, or beside it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from pointseg import Experiment, train
from pointseg.losses.base import LossTerm
from pointseg.losses.row_loss import RowMean

MakeExperiment = Callable[..., Experiment]


class Plain(RowMean):
    """Cross entropy, written anew."""

    def row_losses(self, logits: Tensor, labels: Tensor, facts: object) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")


class Doubled(Plain):
    def row_losses(self, logits: Tensor, labels: Tensor, facts: object) -> Tensor:
        return 2 * super().row_losses(logits, labels, facts)


def losses_of(
    experiment: Experiment, out: Path, losses: dict[str, LossTerm] | None = None
) -> list[dict[str, float]]:
    """The losses of the steps by name, as metrics.jsonl has them."""
    train(experiment, out, device="cpu", console=Console(quiet=True), losses=losses)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: row[key] for key in row if key.startswith("loss")} for row in rows if row["kind"] == "train"
    ]


def test_an_own_main_loss_trains_as_the_one_that_it_equals(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    experiment = tiny_experiment("train.steps=3", "losses.main.weight=0.5")
    shipped = losses_of(experiment, tmp_path / "shipped")
    own = losses_of(experiment, tmp_path / "own", {"main": Plain()})
    assert len(own) == 3 and own[0].keys() == {"loss", "loss/main"}
    for one, other in zip(own, shipped, strict=True):
        assert one == pytest.approx(other, rel=1e-6)


def test_a_loss_of_another_name_stands_beside_the_others(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    (row,) = losses_of(tiny_experiment("train.steps=1"), tmp_path, {"again": Doubled()})
    assert row["loss/again"] == pytest.approx(2 * row["loss/main"], rel=1e-6)
    assert row["loss"] == pytest.approx(3 * row["loss/main"], rel=1e-6)


def test_each_branch_of_a_head_has_its_own_copy(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    experiment = tiny_experiment("train.steps=2", "head.type=class_suppression")
    shipped = losses_of(experiment, tmp_path / "shipped")
    own = losses_of(experiment, tmp_path / "own", {"main": Plain()})
    for one, other in zip(own, shipped, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("losses", [None, {"main": Doubled()}, {"other": Plain()}])
def test_a_run_is_not_continued_with_other_losses(
    tiny_experiment: MakeExperiment, tmp_path: Path, losses: dict[str, LossTerm] | None
) -> None:
    experiment = tiny_experiment("train.steps=2")
    train(experiment, tmp_path, stop_after=1, console=Console(quiet=True), losses={"main": Plain()})
    with pytest.raises(ValueError, match=r"own losses \{'main': 'Plain'\}"):
        train(experiment, tmp_path, console=Console(quiet=True), losses=losses)
    again = train(experiment, tmp_path, console=Console(quiet=True), losses={"main": Plain()})
    assert again.is_finished
