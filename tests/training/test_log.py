"""What a run writes: rows of metrics.jsonl, the confusion picture, the verb's messages."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config
from pointseg.evaluation.confusion import Confusion
from pointseg.experiment import Experiment
from pointseg.training.log import confusion_image, keep_rows


def test_rows_of_an_abandoned_future_and_a_torn_row_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    steps = [(1, "train"), (2, "train"), (2, "val"), (3, "train")]
    text = "".join(json.dumps({"step": step, "kind": kind}) + "\n" for step, kind in steps)
    path.write_text(text + '{"step": 4, "ki')
    keep_rows(path, step=2, validated=1)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row["kind"]) for row in kept] == [(1, "train"), (2, "train")]


def test_the_confusion_picture_is_dark_where_predictions_went() -> None:
    # Class 0 always right, class 1 always taken for class 0, class 2 without ground truth.
    picture = confusion_image(Confusion(3, [[5, 0, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]))
    block = picture.shape[0] // 3
    cells = picture[block // 2 :: block, block // 2 :: block].astype(int).sum(axis=2)
    assert picture.dtype == np.uint8 and picture.shape[1] == 4 * block
    assert cells[0, 0] == cells[1, 0] < 200
    assert cells[0, 1] == cells[1, 1] == 3 * 255
    assert set(cells[2]) == {3 * 230}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", "did you mean 'lr'"),
        ("data.path=nowhere", "nowhere"),
        ("oops", "oops: no such recipe"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message_and_exit_code_2(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path, override: str, message: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(tiny_experiment()), encoding="utf-8")
    result = CliRunner().invoke(app, ["train", str(config), "--out", str(tmp_path / "run"), override])
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_the_verb_trains_with_overrides(tiny_experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(tiny_experiment()), encoding="utf-8")
    arguments = ["train", str(config), "--out", str(tmp_path / "run"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "train.steps=1", "name=from the command line"])
    assert result.exit_code == 0, result.output
    assert "from the command line trains for 1 steps on 5 scenes" in result.stdout
    again = CliRunner().invoke(app, [*arguments, "train.steps=2", "name=from the command line"])
    assert again.exit_code == 2 and "train.steps: 1 there, 2 now" in again.stderr
