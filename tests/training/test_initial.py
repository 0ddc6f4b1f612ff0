"""train.init_from: a training starts from the weights of another run, and says what does not fit."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pointseg.convert.convert import convert
from pointseg.convert.weights import write_public
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint, load_run
from pointseg.runs.folder import RunFolder
from pointseg.training.initial import InitialWeights
from pointseg.training.train import train

MakeExperiment = Callable[..., Experiment]
HEAD = ("head.classifier.weight", "head.classifier.bias")


def start(experiment: Experiment, out: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """Everything that is saved before the first step, and what was said."""
    console = Console(file=io.StringIO(), width=2000)
    train(experiment, out, device="cpu", console=console, stop_after=0, **options)
    assert isinstance(console.file, io.StringIO)
    return load_checkpoint(out / "checkpoints" / "last.pt"), console.file.getvalue()


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run, device="cpu").segmenter.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    assert a.keys() == b.keys()
    return {key for key in a if torch.equal(a[key], b[key])}


@pytest.fixture
def converted(trained_run: Path, tiny_store: Path, tmp_path: Path) -> Path:
    """The trained network, written in the public form and converted back."""
    segmenter = load_run(trained_run, device="cpu").segmenter
    classifier = {"weight": segmenter.state_dict()[HEAD[0]], "bias": segmenter.state_dict()[HEAD[1]]}
    state = write_public(segmenter.backbone, classifier, "minkowski")
    torch.save({"state_dict": state}, tmp_path / "public.pth")
    labels = str(RunFolder(trained_run).label_space)
    copy = tmp_path / "labels.json"
    shutil.copy(labels, copy)
    out = tmp_path / "converted"
    options = {"labels": str(copy), "features": ("color", "height"), "voxel_size_m": 0.1, "data": tiny_store}
    convert(tmp_path / "public.pth", out, "minkowski", **options)  # type: ignore[arg-type]
    return out


def test_a_training_starts_from_converted_weights(
    tiny_experiment: MakeExperiment, converted: Path, tmp_path: Path
) -> None:
    saved, said = start(tiny_experiment(f"train.init_from={converted}"), tmp_path / "out")
    assert same(saved["weights"], weights(converted)) == saved["weights"].keys()
    assert f"starts from {converted}" in said and "beware" not in said and "anew" not in said


def test_the_average_starts_there_too(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    experiment = tiny_experiment(f"train.init_from={trained_run}", "train.ema_decay=0.9")
    saved, _ = start(experiment, tmp_path / "out")
    expected = weights(trained_run)
    assert same(saved["weights"], expected) == same(saved["training"]["segmenter"], expected) == set(expected)


def test_a_checkpoint_in_no_run_folder_serves_too(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "given.pt"
    shutil.copy(RunFolder(trained_run).last, file)
    saved, said = start(tiny_experiment(f"train.init_from={file}"), tmp_path / "out")
    assert same(saved["weights"], weights(trained_run)) == saved["weights"].keys()
    assert "lies in no RUN folder" in said


def test_a_run_that_continues_does_not_read_them_again(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(trained_run, source)
    experiment = tiny_experiment(f"train.init_from={source}", "train.val_every=0")
    train(experiment, tmp_path / "out", device="cpu", console=Console(quiet=True), stop_after=2)
    shutil.rmtree(source)
    result = train(experiment, tmp_path / "out", device="cpu", console=Console(quiet=True))
    assert result.is_finished


@pytest.mark.parametrize(
    ("raw_ids", "reason"), [((1, 2), "number of classes is 3 there and 2 here"), ((1, 2, 4), "label set")]
)
def test_the_classifier_starts_anew_where_the_classes_are_others(
    tiny_experiment: MakeExperiment, trained_run: Path, raw_ids: tuple[int, ...], reason: str
) -> None:
    count = len(raw_ids)
    space = LabelSpace("other", raw_ids, tuple("abc"[:count]), ("",) * count, distinct_colors(count))
    experiment = tiny_experiment()
    segmenter = experiment.build_segmenter(4, count)
    before = {key: value.clone() for key, value in segmenter.state_dict().items()}
    said = " ".join(InitialWeights.read(trained_run).load_into(segmenter, space, experiment))
    assert "anew: head.classifier.weight, head.classifier.bias" in said and reason in said
    after, there = segmenter.state_dict(), weights(trained_run)
    for key in after:
        assert torch.equal(after[key], before[key] if key in HEAD else there[key]), key


def test_a_checkpoint_within_a_run_folder_is_known_like_the_run(
    tiny_experiment: MakeExperiment, trained_run: Path
) -> None:
    experiment = tiny_experiment()
    space = LabelSpace("other", (1, 2, 4), tuple("abc"), ("",) * 3, distinct_colors(3))
    given = InitialWeights.read(RunFolder(trained_run).last)
    said = " ".join(given.load_into(experiment.build_segmenter(4, 3), space, experiment))
    assert "the classes of label set 'tiny' are not those of 'other'" in said and "RUN folder" not in said


def test_of_weights_without_a_run_the_number_of_classes_decides_and_what_has_no_place_is_said(
    tiny_experiment: MakeExperiment, trained_run: Path
) -> None:
    experiment = tiny_experiment()
    given = {**weights(trained_run), "head.extra": torch.ones(1)}
    start = InitialWeights(trained_run, given, None, None)
    spaces = {
        count: LabelSpace(
            "any", (1, 2, 4)[:count], tuple("abc")[:count], ("",) * count, distinct_colors(count)
        )
        for count in (2, 3)
    }
    said = {
        count: " ".join(start.load_into(experiment.build_segmenter(4, count), space, experiment))
        for count, space in spaces.items()
    }
    assert "anew: head.classifier.weight, head.classifier.bias" in said[2]
    assert "its number of classes is 3 there and 2 here" in said[2]
    assert "the head's head.classifier.weight, head.classifier.bias too" in said[3]
    assert "anew" not in said[3] and "left out: head.extra, which this head has not" in said[3]


def test_of_many_entries_that_do_not_fit_twenty_are_named(
    tiny_experiment: MakeExperiment, trained_run: Path
) -> None:
    experiment = tiny_experiment()
    segmenter = experiment.build_segmenter(4, 3)
    space = RunFolder(trained_run).read_label_space()
    number = sum(key.startswith("backbone.") for key in segmenter.state_dict())
    with pytest.raises(ValueError, match=f"entries that do not fit: {number + 1}\n") as caught:
        InitialWeights(trained_run, {"backbone.new": torch.ones(1)}, space, None).load_into(
            segmenter, space, experiment
        )
    lines = str(caught.value).splitlines()
    assert lines[21] == "  ..." and len(lines) == 23
    assert number > 20 and all(line.endswith((" is missing", " has no place")) for line in lines[1:21])


def test_another_head_keeps_what_it_shares(tiny_experiment: MakeExperiment, trained_run: Path) -> None:
    experiment = tiny_experiment("head={type: class_suppression}")
    space = RunFolder(trained_run).read_label_space()
    segmenter = experiment.build_segmenter(4, 3)
    notes = InitialWeights.read(trained_run).load_into(segmenter, space, experiment)
    after, there = segmenter.state_dict(), weights(trained_run)
    shared = {key for key in HEAD if key in after}
    assert all(torch.equal(after[key], there[key]) for key in shared)
    assert any(note.startswith("anew: head.") and "none of that shape" in note for note in notes)


def test_other_features_of_the_same_number_are_told(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    experiment = tiny_experiment(f"train.init_from={trained_run}", "data.features=[height, color]")
    _, said = start(experiment, tmp_path / "out")
    assert "beware: data.features was ('color', 'height') there and is ('height', 'color') here" in said


def test_another_backbone_is_refused_with_every_entry(
    tiny_experiment: MakeExperiment, trained_run: Path, tmp_path: Path
) -> None:
    experiment = tiny_experiment(f"train.init_from={trained_run}", "data.features=[color]")
    with pytest.raises(ValueError, match=r"fit: 1\n  backbone.conv0p1s1.kernel is \(27, 4, 8\) and must"):
        start(experiment, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError):
        start(tiny_experiment(f"train.init_from={tmp_path / 'nothing.pt'}"), tmp_path / "out")


def test_converted_weights_are_not_replaced_by_a_new_training(
    tiny_experiment: MakeExperiment, converted: Path
) -> None:
    before = weights(converted)
    with pytest.raises(ValueError, match=r"converted weights and no training.*train\.init_from="):
        start(tiny_experiment(), converted)
    assert same(weights(converted), before) == before.keys()
    # Said twice it is done, and from these very weights if that is wanted.
    saved, _ = start(tiny_experiment(f"train.init_from={converted}"), converted, resume=False)
    assert same(saved["weights"], before) == before.keys()
    assert not RunFolder(converted).best.exists()
