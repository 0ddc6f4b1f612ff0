"""What a run writes: rows of metrics.jsonl, the confusion picture, the verb's messages."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.config import dump_config
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.experiment import Experiment
from pointseg.training.board import Board, confusion_cells, confusion_figure
from pointseg.training.log import keep_rows


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
    cells = confusion_cells(Confusion(3, [[5, 0, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]))
    assert cells.dtype == np.uint8 and cells.shape == (3, 4, 3)
    brightness = cells.astype(int).sum(axis=2)
    assert brightness[0, 0] == brightness[1, 0] < 200
    assert brightness[0, 1] == brightness[1, 1] == 3 * 255
    assert set(brightness[2]) == {3 * 230}


@pytest.mark.parametrize("count", [1, 3, 200])
def test_the_confusion_picture_has_axes_around_its_cells(count: int) -> None:
    counts = np.zeros((count, count + 1), np.int64)
    counts[:, 0] = 9
    picture = confusion_figure(Confusion(count, counts.tolist()), tuple(f"class {i}" for i in range(count)))
    assert picture.shape == (880, 960, 3)
    dark = (np.abs(picture.astype(int) - (8, 48, 107)).max(axis=2) < 12).mean(axis=0)
    # The first column is dark from top to bottom, the margin beside it is not.
    assert dark.max() > 0.6 and dark[:20].max() == 0


def test_tensorboard_shows_few_ordered_cards_and_the_rest_as_details(trained_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(trained_run / "tensorboard"), size_guidance={"images": 1})
    board.Reload()
    tags = board.Tags()
    cards = sorted({tag.partition("/")[0] for tag in tags["scalars"]})
    assert cards == ["1_mIoU", "2_accuracy", "3_loss", "4_learning_rate", "5_memory", "details"]
    shown = [tag for tag in sorted(tags["scalars"]) if not tag.startswith("details/")]
    assert shown[:4] == ["1_mIoU/1_overall", "1_mIoU/2_head", "1_mIoU/3_common", "1_mIoU/4_tail"]
    assert len(shown) <= 12 and {"3_loss/1_sum", "3_loss/main"} <= set(shown)
    assert board.Scalars("5_memory/peak_MiB")[-1].value > 50
    rows = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "val"][-1]
    assert board.Scalars("1_mIoU/1_overall")[-1].value == pytest.approx(last["miou"]["present"], rel=1e-6)
    assert board.Scalars("1_mIoU/4_tail")[-1].value == pytest.approx(last["tail"]["present"], rel=1e-6)
    assert board.Scalars("2_accuracy/1_overall")[-1].value == pytest.approx(
        last["overall_accuracy"], rel=1e-6
    )
    assert "details/val_iou/box" in tags["scalars"] and len(tags["images"]) == 1
    of_groups = {name: group for name, group in last["collapse"].items() if name != "gradient_norm"}
    assert set(of_groups) == {"all", "head", "common", "tail"}
    for name, group in of_groups.items():
        for kind in ("nc1", "nc2_centers", "nc2_classifier", "nc3", "gradient_norm"):
            tag = f"details/collapse/{kind}_{name}"
            assert (tag in tags["scalars"]) == (group[kind] is not None), tag
            if group[kind] is not None:
                assert board.Scalars(tag)[-1].value == pytest.approx(group[kind], rel=1e-5)
    names = ("floor", "wall", "box")
    for class_name, norm in zip(names, last["collapse"]["gradient_norm"], strict=True):
        assert board.Scalars(f"details/val_gradient_norm/{class_name}")[-1].value == pytest.approx(norm)


def test_every_number_of_a_step_and_a_validation_has_its_card(tmp_path: Path) -> None:
    """What callbacks say comes under their names; classes and means without ground truth have none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    space = LabelSpace("three", (1, 2, 3), ("a", "b", "c"), ("head", "common", "tail"), distinct_colors(3))
    # Class a: 3 of 4 right; b takes one of it; c is neither there nor predicted.
    report = Report.from_confusion(Confusion(3, [[3, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]), space)
    coarse = LabelSpace("two", (1, 2), ("x", "y"), ("", ""), distinct_colors(2))
    other = Report.from_confusion(Confusion(2, [[1, 1, 0], [0, 2, 0]]), coarse)
    board = Board(tmp_path, purge_step=None)
    values = {"loss": 1.5, "loss/main": 1.25, "lr": 0.5, "grad_norm": 2.0, "rows": 7.0}
    board.train(3, values, {"mine": 8.0})
    board.of_callbacks(4, {"own": 9.0}, "val")
    board.validation(4, report, {"coarse": other})
    board.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 1}).Reload()
    found = {tag: events.Scalars(tag)[-1] for tag in events.Tags()["scalars"]}
    numbers = {tag: event.value for tag, event in found.items() if tag != "5_memory/peak_MiB"}
    mean = (0.75 + 2 / 3) / 2
    expected = {
        "3_loss/1_sum": 1.5,
        "3_loss/main": 1.25,
        "4_learning_rate/lr": 0.5,
        "details/train/grad_norm": 2.0,
        "details/train/rows": 7.0,
        "train/mine": 8.0,
        "val/own": 9.0,
        "1_mIoU/1_overall": mean,
        "details/val/miou_defined": mean,
        "details/val/miou_all": 2 * mean / 3,
        "1_mIoU/2_head": 0.75,
        "details/val/head_defined": 0.75,
        "details/val/head_all": 0.75,
        "1_mIoU/3_common": 2 / 3,
        "details/val/common_defined": 2 / 3,
        "details/val/common_all": 2 / 3,
        "details/val/tail_all": 0.0,
        "2_accuracy/1_overall": 5 / 6,
        "2_accuracy/2_mean_of_classes": 0.875,
        "details/val_iou/a": 0.75,
        "details/val_iou/b": 2 / 3,
        "details/val_coarse/miou_present": (1 / 2 + 2 / 3) / 2,
    }
    assert numbers == pytest.approx(expected)
    assert {event.step for tag, event in found.items() if tag.startswith(("1_", "2_", "val"))} == {4}
    assert found["3_loss/1_sum"].step == found["5_memory/peak_MiB"].step == 3
    assert events.Tags()["images"] == ["1_confusion/rows_true_columns_predicted"]


def test_events_of_an_abandoned_future_are_purged(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for purge_step, steps in ((None, (1, 2, 3)), (3, (3, 4))):
        board = Board(tmp_path, purge_step)
        for step in steps:
            board.of_callbacks(step, {"a": 10.0 * step + (purge_step or 0)}, "train")
        board.close()
        # Files are read in the order of their names, which begin with the second they were made in.
        time.sleep(1.0)
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("train/a")
    assert [(event.step, event.value) for event in events] == [(1, 10.0), (2, 20.0), (3, 33.0), (4, 43.0)]


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
