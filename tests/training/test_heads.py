"""A second head with coarse labels, from the configuration to the numbers of both."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from pointseg.config import ConfigError
from pointseg.core.derived_labels import DerivedLabels, read_raw_id_mapping
from pointseg.core.labels import IGNORE, LabelSpace, distinct_colors
from pointseg.evaluation.evaluate import evaluate
from pointseg.experiment import Experiment
from pointseg.models.minkunet import MinkUNet
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]
#: Of the tiny rooms, floor (3) and wall (10) are structure (1); the box (7) is an object (2).
MAPPING = "raw_id,raw_id\n3,1\n10,1\n7,2\n"
COARSE_LOSS = "losses={cross_entropy: {type: cross_entropy}, coarse: {type: tilted, head: coarse}}"


def spaces() -> tuple[LabelSpace, LabelSpace]:
    main = LabelSpace("tiny", (3, 10, 7), ("floor", "wall", "box"), ("",) * 3, distinct_colors(3))
    return main, LabelSpace("coarse", (1, 2), ("structure", "object"), ("",) * 2, distinct_colors(2))


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "coarse.csv"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def coarse(mapping: Path) -> str:
    return f"heads={{coarse: {{labels: {{1: structure, 2: object}}, mapping: {mapping}}}}}"


def test_labels_of_the_other_head_follow_from_the_classes_of_the_main_one() -> None:
    derived = DerivedLabels(*spaces(), {3: 1, 10: 1, 7: 2})
    assert derived.encode(np.array([3, 7, 0, 10, 99])).tolist() == [0, 1, IGNORE, 0, IGNORE]
    labels = derived.of(torch.tensor([0, 2, IGNORE, 1]))
    assert labels.values.tolist() == [0, 1, IGNORE, 0]
    assert labels.rows is not None and labels.rows.tolist() == [0, 1, 3]
    assert derived.entry({"class_points": {"3": 5, "10": 6, "7": 1, "99": 9}})["class_points"] == {
        1: 11,
        2: 1,
    }


def test_a_class_that_is_not_mapped_is_unlabelled_for_the_other_head() -> None:
    derived = DerivedLabels(*spaces(), {3: 1})
    assert derived.of(torch.tensor([0, 1, 2])).values.tolist() == [0, IGNORE, IGNORE]


def test_label_sets_without_a_class_in_common_are_refused() -> None:
    with pytest.raises(ValueError, match="No class of label set 'tiny' has one of 'coarse'; give a mapping"):
        DerivedLabels(*spaces(), {3: 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [("3,1\n3,2\n", "line 2: raw id 3 is mapped twice"), ("3,1\n10\n", "line 2: expected two raw ids")],
)
def test_mistakes_in_a_mapping_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_raw_id_mapping(path)


def test_two_heads_are_trained_validated_and_evaluated(
    tiny_experiment: MakeExperiment, mapping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tiny_experiment(coarse(mapping), COARSE_LOSS, "train.steps=30", "train.val_every=0")
    run = tmp_path / "run"
    with (tmp_path / "out.txt").open("w") as file:
        train(chosen, run, device="cpu", console=Console(file=file, width=200))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validation = next(row for row in rows if row["kind"] == "val")
    assert {"loss/cross_entropy", "loss/coarse"} <= rows[0].keys()
    found = validation["heads"]["coarse"]
    assert [of_class["name"] for of_class in found["classes"]] == ["structure", "object"]
    assert found["num_vertices"] == validation["num_vertices"]
    # By colour alone the box is told from the grey rest; a head that nothing trained would not.
    assert found["miou"]["present"] > 0.9
    assert "validation of head coarse: mIoU" in (tmp_path / "out.txt").read_text()

    mapping.unlink()
    weights = load_checkpoint(run / "checkpoints" / "last.pt")["weights"]
    assert {"head.classifier.weight", "others.coarse.classifier.weight"} <= weights.keys()
    assert load_run(run, device="cpu").segmenter.classes_of == {"main": 3, "coarse": 2}
    calls: list[int] = []
    rows_of = MinkUNet.rows
    monkeypatch.setattr(MinkUNet, "rows", lambda self, batch: calls.append(1) or rows_of(self, batch))
    again = evaluate(run, device="cpu", views=1, json_path=tmp_path / "numbers.json")
    # The backbone runs once for both heads, and for each view.
    assert len(calls) == len(again.scenes)
    assert again.heads["coarse"].miou["present"] == pytest.approx(found["miou"]["present"])
    assert json.loads((tmp_path / "numbers.json").read_text())["heads"]["coarse"]["miou"] == found["miou"]


def test_a_loss_sees_its_head_alone(tiny_experiment: MakeExperiment, mapping: Path) -> None:
    chosen = tiny_experiment(coarse(mapping), COARSE_LOSS)
    segmenter = chosen.build_segmenter(4, 3)
    assert segmenter.others["coarse"].classifier.out_features == 2  # type: ignore[union-attr]
    assert chosen.losses["coarse"].head == "coarse" and chosen.losses["cross_entropy"].head == "main"


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ("{main: {type: cross_entropy}}", "leave the classifier of head 'coarse' untrained"),
        (
            "{main: {type: cross_entropy, head: fine}}",
            r"losses\.main: no head 'fine'; there are main, coarse",
        ),
    ],
)
def test_heads_and_losses_must_fit(
    losses: str, message: str, tiny_experiment: MakeExperiment, mapping: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_experiment(coarse(mapping), f"losses={losses}")
