"""What a configuration asks for happens in the training loop: from the option to the weights.

The spy's gradient of the first class's bias is 1, so that every movement of that bias is known by hand.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from training.spy import plant

import pointseg.training.train as train_module
from pointseg.core.distributed import Processes
from pointseg.experiment import Experiment, load_experiment
from pointseg.models.heads import LinearHead
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.runs.folder import RunFolder
from pointseg.training.job import TrainingJob
from pointseg.training.state import TrainingState
from pointseg.training.step import train_step
from pointseg.training.train import TrainingResult, train

MakeExperiment = Callable[..., Experiment]
BIAS = "head.classifier.bias"
#: The bias moves by rate times gradient, and nothing else happens.
PLAIN = (
    "optimizer={type: sgd, lr: 0.5, momentum: 0, weight_decay: 0}",
    "schedule={type: constant}",
    "data.val_split=null",
    "train.val_every=0",
)


def quiet_train(experiment: Experiment, out: Path, **options: Any) -> TrainingResult:
    return train(experiment, out, device="cpu", console=Console(quiet=True), **options)


def rows(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def saved(out: Path) -> dict[str, Any]:
    return load_checkpoint(out / "checkpoints" / "last.pt")


def bias_moved(make: MakeExperiment, out: Path, *overrides: str) -> Tensor:
    """By how much the whole training moves the bias of the classifier."""
    experiment = make(*PLAIN, *overrides)
    quiet_train(experiment, out, stop_after=0)
    before = saved(out)["weights"][BIAS]
    quiet_train(experiment, out)
    return saved(out)["weights"][BIAS] - before


def test_losses_and_heads_are_told_how_much_of_the_training_is_done(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, of_head = plant(monkeypatch), []
    real = LinearHead.forward

    def watched(self: LinearHead, features: Tensor, labels: Tensor, progress: float, *others: Any) -> Any:
        of_head.append(progress)
        return real(self, features, labels, progress, *others)

    monkeypatch.setattr(LinearHead, "forward", watched)
    quiet_train(tiny_experiment(*PLAIN, "train.steps=4", "train.accumulate=2"), tmp_path)
    expected = [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert [call["progress"] for call in calls] == expected == of_head
    assert all(call["training"] for call in calls)


def test_random_numbers_of_losses_follow_from_seed_and_step(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(name: str, *overrides: str) -> list[float]:
        calls = plant(monkeypatch)
        quiet_train(tiny_experiment(*PLAIN, "train.steps=3", *overrides), tmp_path / name)
        return [call["random"] for call in calls]

    first = drawn("first")
    assert len(set(first)) == 3
    assert drawn("again") == first
    assert not set(drawn("other", "seed=1")) & set(first)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_moves_by_the_rate_times_the_mean_gradient(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    plant(monkeypatch)
    moved = bias_moved(tiny_experiment, tmp_path, "train.steps=3", f"train.accumulate={accumulate}")
    torch.testing.assert_close(moved, torch.tensor([-1.5, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("{type: poly, power: 1}", [1, 0.75, 0.5, 0.25]),
        ("{type: multistep, milestones: [0.5], gamma: 0.1}", [1, 1, 0.1, 0.1]),
        ("{type: constant, warmup: 0.75}", [0.25, 0.5, 0.75, 1]),
    ],
)
def test_each_step_uses_the_rate_of_its_own_step(
    tiny_experiment: MakeExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schedule: str,
    factors: list[float],
) -> None:
    plant(monkeypatch)
    moved = bias_moved(tiny_experiment, tmp_path, "train.steps=4", f"schedule={schedule}")
    torch.testing.assert_close(moved, torch.tensor([-0.5 * sum(factors), 0.0, 0.0]))
    logged = {row["step"]: row["lr"] for row in rows(tmp_path, "train")}
    assert logged == pytest.approx({i + 1: 0.5 * factor for i, factor in enumerate(factors)})


@pytest.mark.parametrize("optimizer", ["sgd, lr: 0.5, momentum: 0, weight_decay: 0", "adamw, lr: 0.5"])
def test_a_continued_training_may_learn_at_a_part_of_the_rate_of_any_recipe(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """In all steps and groups: momentum-free SGD moves by it, and so does what AdamW's log says."""
    plant(monkeypatch)
    options = [
        f"optimizer={{type: {optimizer}, groups: [{{match: head.*, lr_scale: 0.5}}]}}",
        "schedule={type: poly, power: 1}",
        "train.steps=2",
        "train.lr_scale=0.1",
    ]
    moved = bias_moved(tiny_experiment, tmp_path, *options)
    assert [row["lr"] for row in rows(tmp_path, "train")] == pytest.approx([0.05, 0.025])
    if optimizer.startswith("sgd"):
        torch.testing.assert_close(moved, torch.tensor([-0.5 * 0.075, 0.0, 0.0]))


def test_tilted_trained_keeps_the_rate_of_its_recipe_as_its_file_says() -> None:
    for recipe in ("synthetic/minkunet", "ccp59/unet"):
        plain = load_experiment(recipe)
        chosen = load_experiment(
            recipe, methods="tilted_trained", overrides=["train.init_from=RUN", "train.lr_scale=0.1"]
        )
        assert (chosen.optimizer, chosen.schedule) == (plain.optimizer, plain.schedule)
        assert chosen.train.lr_scale == 0.1
        untouched = load_experiment(recipe, methods="tilted_trained")
        assert untouched.train == plain.train


def test_momentum_and_weight_decay_reach_the_optimiser(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    options = ["optimizer.momentum=0.5", "optimizer.weight_decay=0.1", "train.steps=2"]
    experiment = tiny_experiment(*PLAIN, *options)
    quiet_train(experiment, tmp_path, stop_after=0)
    start = saved(tmp_path)["weights"][BIAS]
    quiet_train(experiment, tmp_path)
    gradient = torch.tensor([1.0, 0.0, 0.0])
    velocity = gradient + 0.1 * start
    first = start - 0.5 * velocity
    expected = first - 0.5 * (0.5 * velocity + gradient + 0.1 * first)
    torch.testing.assert_close(saved(tmp_path)["weights"][BIAS], expected)


def test_a_gradient_is_clipped_to_the_norm_that_was_asked_for(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    plain = bias_moved(tiny_experiment, tmp_path / "plain", "train.steps=1")
    (row,) = rows(tmp_path / "plain", "train")
    norm = row["grad_norm"]
    assert norm > 1
    clipped = bias_moved(
        tiny_experiment, tmp_path / "clipped", "train.steps=1", f"train.clip_norm={norm / 4}"
    )
    torch.testing.assert_close(clipped, plain / 4)
    # What is reported is the norm before clipping.
    assert rows(tmp_path / "clipped", "train")[0]["grad_norm"] == pytest.approx(norm)
    loose = bias_moved(tiny_experiment, tmp_path / "loose", "train.steps=1", f"train.clip_norm={2 * norm}")
    torch.testing.assert_close(loose, plain)


def nan_gradient(loss: Tensor, call: int) -> Tensor:
    """In the second call a finite loss whose gradient is not: the root of 0."""
    return loss + (loss - loss).sqrt() if call == 2 else loss


@pytest.mark.parametrize("amp", ["none", "bf16"])
def test_a_gradient_that_is_not_finite_moves_nothing(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amp: str
) -> None:
    plant(monkeypatch, nan_gradient)
    experiment = tiny_experiment(*PLAIN, "train.steps=3", "train.ema_decay=0.5", f"train.amp={amp}")
    quiet_train(experiment, tmp_path, stop_after=1)
    before = saved(tmp_path)
    plant(monkeypatch, lambda loss, call: nan_gradient(loss, call + 1))
    quiet_train(experiment, tmp_path, stop_after=2)
    after = saved(tmp_path)
    assert after["step"] == 2 and after["training"]["skipped"] == 1
    assert all(torch.equal(value, after["weights"][key]) for key, value in before["weights"].items())
    segmenters = [state["training"]["segmenter"] for state in (before, after)]
    assert all(torch.equal(value, segmenters[1][key]) for key, value in segmenters[0].items())
    assert int(after["training"]["average_updates"]) == 1
    (row,) = rows(tmp_path, "skipped")
    assert row["step"] == 2 and len(row["scenes"]) == 2


def test_the_average_follows_the_weights_by_its_decay(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates 0, 1, 2 use 1/10, 2/11 and 0.2 (below 3/12)."""
    plant(monkeypatch)
    moved = bias_moved(tiny_experiment, tmp_path, "train.steps=3", "train.ema_decay=0.2")
    average, weight = 0.0, 0.0
    for decay in (1 / 10, 2 / 11, 0.2):
        weight -= 0.5
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(moved, torch.tensor([average, 0.0, 0.0]))


@pytest.fixture
def scaled(
    tiny_experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], tuple[TrainingState, Tensor]]]:
    """Steps as under fp16, on a CPU: a loss scale so large that the first gradient overflows."""
    plant(monkeypatch, lambda loss, call: 8 * loss)
    options = ["optimizer.momentum=0.9", "train.ema_decay=0.5"]
    job = TrainingJob.prepare(tiny_experiment(*PLAIN, *options), Processes(0, 1, torch.device("cpu")))
    state, _ = job.fresh_state()
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-20)
    steps = job.steps(0)

    def step() -> tuple[TrainingState, Tensor]:
        train_step(state, next(steps), job.experiment, job.total_steps, job.processes)
        assert state.average is not None
        return state, state.average.network.head.classifier.bias.clone()

    yield step
    steps.close()


def test_a_step_that_the_scaler_leaves_out_moves_neither_weights_nor_average(
    scaled: Callable[[], tuple[TrainingState, Tensor]],
) -> None:
    state, average = scaled()
    start = state.learner.segmenter.head.classifier.bias.clone()
    torch.testing.assert_close(average, start)
    assert state.scaler.get_scale() == 2.0**107
    _, average = scaled()
    moved = state.learner.segmenter.head.classifier.bias - start
    # The first step that is taken: rate 0.5, gradient 8 once unscaled, momentum empty.
    torch.testing.assert_close(moved, torch.tensor([-4.0, 0.0, 0.0]))
    torch.testing.assert_close(average - start, 0.9 * moved)


@pytest.mark.parametrize(
    ("steps", "every", "expected"), [(7, 3, [3, 6, 7]), (6, 3, [3, 6]), (4, 0, [4]), (2, 5, [2])]
)
def test_validation_comes_as_often_as_asked_and_at_the_end(
    tiny_experiment: MakeExperiment, tmp_path: Path, steps: int, every: int, expected: list[int]
) -> None:
    quiet_train(tiny_experiment(f"train.steps={steps}", f"train.val_every={every}"), tmp_path)
    assert [row["step"] for row in rows(tmp_path, "val")] == expected


@pytest.mark.parametrize(("steps", "every", "expected"), [(5, 2, [2, 4, 5]), (4, 2, [2, 4, 4]), (2, 3, [2])])
def test_last_pt_is_saved_as_often_as_asked_and_at_the_end(
    tiny_experiment: MakeExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    every: int,
    expected: list[int],
) -> None:
    plant(monkeypatch)
    real, kept = train_module.save_last, []

    def watched(folder: RunFolder, state: dict[str, Any], *, keep: int) -> None:
        kept.append(state["step"])
        real(folder, state, keep=keep)

    monkeypatch.setattr(train_module, "save_last", watched)
    quiet_train(tiny_experiment(*PLAIN, f"train.steps={steps}", f"train.checkpoint_every={every}"), tmp_path)
    assert kept == expected


def test_rows_of_training_come_as_often_as_asked(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    quiet_train(tiny_experiment(*PLAIN, "train.steps=7", "train.log_every=3"), tmp_path)
    assert [row["step"] for row in rows(tmp_path, "train")] == [3, 6]


def test_of_equally_good_validations_the_first_is_kept(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    """Weights that do not move, and norms that take almost nothing from a batch, predict the same."""
    still = ["optimizer.lr=1e-30", "optimizer.weight_decay=0", "model.bn_momentum=1e-30"]
    quiet_train(tiny_experiment(*still, "train.steps=3", "train.val_every=1"), tmp_path)
    found = [row["miou"]["present"] for row in rows(tmp_path, "val")]
    assert len(found) == 3 and len(set(found)) == 1
    assert load_checkpoint(tmp_path / "checkpoints" / "best.pt")["step"] == 1


def test_as_many_bad_steps_as_allowed_are_skipped_and_one_more_ends_the_training(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def every_second(loss: Tensor, call: int) -> Tensor:
        return loss * torch.nan if call % 2 else loss

    plant(monkeypatch, every_second)
    assert quiet_train(
        tiny_experiment(*PLAIN, "train.steps=4", "train.max_bad_batches=2"), tmp_path / "allowed"
    ).is_finished
    plant(monkeypatch, every_second)
    with pytest.raises(ValueError, match="2 steps gave a loss or gradient that is not finite, more than"):
        quiet_train(
            tiny_experiment(*PLAIN, "train.steps=4", "train.max_bad_batches=1"), tmp_path / "one more"
        )


def test_losses_are_weighted_and_reported_unweighted(
    tiny_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    losses = "losses={main: {type: cross_entropy, weight: 2}, b: {type: cross_entropy, weight: 0.5}}"
    moved = bias_moved(tiny_experiment, tmp_path, "train.steps=1", losses)
    torch.testing.assert_close(moved, torch.tensor([-1.25, 0.0, 0.0]))
    (row,) = rows(tmp_path, "train")
    assert row["loss"] == pytest.approx(2.5 * row["loss/b"]) and row["loss/main"] == row["loss/b"]
