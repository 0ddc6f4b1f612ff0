"""Post-hoc logit adjustment: from the class counts of a run to the logits of its evaluation."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pointseg.config import ConfigError, changed
from pointseg.evaluation.evaluate import evaluate
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.scans.store import Store
from pointseg.training.train import train


@pytest.fixture(scope="module")
def run(tiny_experiment: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was validated with tau = 0.5 and an average of its weights."""
    out = tmp_path_factory.mktemp("post_hoc") / "run"
    options = [
        "train.steps=4",
        "train.val_every=0",
        "evaluate.logit_adjustment_tau=0.5",
        "train.ema_decay=0.5",
    ]
    train(tiny_experiment(*options), out, device="cpu", console=Console(quiet=True))
    return out


@pytest.fixture
def unbalanced(run: Path, tmp_path: Path) -> Path:
    """The same run, as if its training points were 900, 90 and 10 (the rooms have as many of each class)."""
    copy = tmp_path / "unbalanced"
    shutil.copytree(run, copy)
    counts = {"points": [900, 90, 10], "samples": [5, 5, 5], "num_samples": 5}
    (copy / "class_statistics.json").write_text(json.dumps(counts))
    return copy


def test_a_run_keeps_the_class_counts_of_its_training_split(run: Path, tiny_store: Path) -> None:
    counts, expected = json.loads((run / "class_statistics.json").read_text()), Store.open(tiny_store)
    assert counts["points"] == expected.class_statistics("train").points.tolist()
    assert counts["samples"] == [5, 5, 5] and counts["num_samples"] == 5


def test_tau_log_pi_is_taken_from_the_logits(unbalanced: Path, tiny_store: Path) -> None:
    scene = Store.open(tiny_store).load("val0")
    logits = {}
    for tau in (0.0, 2.0):
        trained = load_run(unbalanced, device="cpu", logit_adjustment_tau=tau)
        logits[tau] = trained.segmenter(trained.pipeline.eval_batch([scene])).logits
    expected = logits[0.0] - 2 * torch.tensor([0.9, 0.09, 0.01]).log()
    torch.testing.assert_close(logits[2.0], expected)


def test_a_strong_adjustment_predicts_the_rarest_class_everywhere(unbalanced: Path) -> None:
    result = evaluate(unbalanced, checkpoint="last", device="cpu", logit_adjustment_tau=1000.0)
    assert result.report.confusion.counts[:, 2].sum() == result.report.confusion.counts.sum()


def test_validation_and_evaluation_adjust_alike(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (validated,) = [row for row in rows if row["kind"] == "val"]
    result = evaluate(run, checkpoint="last", device="cpu")
    assert result.report.to_dict()["classes"] == validated["classes"]


def test_training_sees_plain_logits_and_the_weights_hold_no_offset(run: Path, tiny_store: Path) -> None:
    assert not any("offset" in name for name in load_checkpoint(run / "checkpoints" / "last.pt")["weights"])
    trained = load_run(run, device="cpu")
    batch = trained.pipeline.eval_batch([Store.open(tiny_store).load("val0")])
    torch.manual_seed(0)
    adjusted = trained.segmenter.train()(batch).logits
    plain = load_run(run, device="cpu", logit_adjustment_tau=0.0).segmenter.train()(batch).logits
    torch.testing.assert_close(adjusted, plain)


def test_a_run_that_kept_no_class_counts_is_named(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    options = ["train.steps=1", "data.val_split=null"]
    train(tiny_experiment(*options), tmp_path, device="cpu", console=Console(quiet=True))
    (tmp_path / "class_statistics.json").unlink()
    load_run(tmp_path, device="cpu")
    with pytest.raises(ValueError, match=r"class_statistics\.json"):
        load_run(tmp_path, device="cpu", logit_adjustment_tau=1.0)


def test_taking_the_prior_off_twice_is_refused(tiny_experiment: Callable[..., Experiment]) -> None:
    with pytest.raises(ConfigError, match="a second time"):
        tiny_experiment("losses.main={type: balanced_softmax}", "evaluate.logit_adjustment_tau=1.0")


def test_taking_the_prior_off_a_run_that_has_it_off_is_refused(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    options = ["losses={main: {type: balanced_softmax}}", "data.val_split=null"]
    train(tiny_experiment(*options), tmp_path, device="cpu", stop_after=1, console=Console(quiet=True))
    with pytest.raises(ConfigError, match=r"losses\.main has trained the class prior away already"):
        evaluate(tmp_path, checkpoint="last", device="cpu", logit_adjustment_tau=1.0)
    with pytest.raises(ConfigError, match=r"views.*less than or equal to"):
        changed(tiny_experiment().evaluate, views=10_000)


def test_an_offset_for_other_classes_is_refused(run: Path) -> None:
    with pytest.raises(ValueError, match="Expected 3 offsets"):
        load_run(run, device="cpu").segmenter.adjust_logits(torch.zeros(4))
