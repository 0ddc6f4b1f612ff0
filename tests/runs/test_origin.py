"""Data that are not those of the training: what differs is said, or refused where ids mean other classes."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.experiment import Experiment
from pointseg.formats.ply import write_ply
from pointseg.scans.store import StoreWriter
from pointseg.training.train import train
from tests.conftest import RAW_IDS, tiny_room

MakeExperiment = Callable[..., Experiment]


def store_of(
    path: Path, *, aligned: bool, bare: tuple[str, ...] = (), shift: float = 0.0, **space: Any
) -> Path:
    """The tiny rooms, prepared with or without alignment to the axes; ``bare`` scenes have none."""
    names = space.get("names", ("floor", "wall", "box"))
    ids = space.get("raw_ids", RAW_IDS)
    groups = ("head", "common", "tail", "tail")[: len(ids)]
    labels = LabelSpace(space.get("name", "tiny"), ids, names, groups, distinct_colors(len(ids)))
    writer = StoreWriter(path, labels, options={"source": "scannet_v2", "axis_aligned": aligned})
    for i, split in enumerate(("train", "train", "train", "val", "val")):
        scene = tiny_room(f"{split}{i}", i)
        scene = replace(scene, xyz_m=scene.xyz_m + np.float32(shift))
        writer.add(scene, split, {"axis_aligned": aligned and scene.name not in bare})
    writer.finish()
    return path


@pytest.fixture(scope="module")
def run(tiny_experiment: MakeExperiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run on scenes that were turned to the axes."""
    folder = tmp_path_factory.mktemp("origin")
    store = store_of(folder / "store", aligned=True)
    experiment = tiny_experiment(f"data.path={store}", "train.steps=2", "train.val_every=0")
    train(experiment, folder / "run", device="cpu", console=Console(quiet=True))
    yield folder / "run"


def said(*words: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


def test_the_data_of_the_training_raise_no_doubt(run: Path) -> None:
    code, told = said("evaluate", run)
    assert code == 0 and "WARNING" not in told


def test_scenes_that_stand_otherwise_are_said(run: Path, tmp_path: Path) -> None:
    other = store_of(tmp_path / "store", aligned=False)
    code, told = said("evaluate", run, "--data", other)
    assert code == 0 and "prepared otherwise than the training data: axis_aligned False, in the" in told


def test_scenes_without_alignment_among_aligned_ones_are_said(run: Path, tmp_path: Path) -> None:
    other = store_of(tmp_path / "store", aligned=True, bare=("val4",))
    code, told = said("evaluate", run, "--data", other)
    assert code == 0 and "1 of 2 scenes have no axisAlignment" in told and "such as val4" in told


def test_a_training_says_that_its_scenes_stand_in_two_ways(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    store = store_of(tmp_path / "store", aligned=True, bare=("train1",))
    experiment = tiny_experiment(f"data.path={store}", "train.steps=1", "train.val_every=0")
    with (tmp_path / "said").open("w") as file:
        train(experiment, tmp_path / "run", device="cpu", console=Console(file=file, width=400))
    told = (tmp_path / "said").read_text()
    assert "WARNING: 4 of 5 scenes were turned to the axes" in told


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("evaluate", ()),
        ("submit", ("--split", "val", "-o", "OUT.zip")),
        ("visualise", ("--scene", "val3", "-o", "OUT")),
    ],
)
def test_a_store_of_other_classes_is_refused_by_every_verb(
    run: Path, tmp_path: Path, verb: str, options: tuple[str, ...]
) -> None:
    # The same ids, of other things.
    other = store_of(tmp_path / "store", aligned=True, name="other", names=("lamp", "door", "tree"))
    options = tuple(option.replace("OUT", str(tmp_path / "out")) for option in options)
    code, told = said(verb, run, *options, "--data", other)
    assert code == 2 and "prepared for label set 'other', the run was trained for 'tiny'" in told
    assert "is 'lamp' there and 'floor' in the run" in told


def test_the_same_classes_in_another_order_give_the_same_numbers(run: Path, tmp_path: Path) -> None:
    numbers = []
    for name, ids, names in (
        ("same", RAW_IDS, ("floor", "wall", "box")),
        ("turned", RAW_IDS[::-1], ("Box", "wall", "floor")),
    ):
        store = store_of(tmp_path / name, aligned=True, raw_ids=ids, names=names)
        code, told = said("evaluate", run, "--data", store, "--json", tmp_path / f"{name}.json")
        assert code == 0, told
        numbers.append(json.loads((tmp_path / f"{name}.json").read_text()))
    assert numbers[0]["classes"] == numbers[1]["classes"] and numbers[0]["miou"] == numbers[1]["miou"]
    assert sum(found["tp"] + found["fn"] for found in numbers[0]["classes"]) > 0


def test_a_part_of_the_classes_is_enough_and_one_more_is_named(run: Path, tmp_path: Path) -> None:
    part = store_of(tmp_path / "part", aligned=True, raw_ids=RAW_IDS[:2], names=("floor", "wall"))
    code, told = said("evaluate", run, "--data", part, "--json", tmp_path / "part.json")
    assert code == 0, told
    more = store_of(
        tmp_path / "more", aligned=True, raw_ids=(*RAW_IDS, 99), names=("floor", "wall", "box", "lamp")
    )
    code, told = said("evaluate", run, "--data", more)
    assert code == 2 and "the run does not know 99 'lamp'" in told and "prepare custom --classes" in told


def test_a_run_does_not_continue_on_scenes_of_the_same_names_and_sizes_that_are_others(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    store = store_of(tmp_path / "store", aligned=True)
    experiment = tiny_experiment(f"data.path={store}", "data.val_split=null", "train.steps=3")
    train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True), stop_after=1)
    shutil.rmtree(store)
    store_of(store, aligned=False, shift=1.0)
    with pytest.raises(ValueError, match=r"not their content \(axis_aligned False, in the training True\)"):
        train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True))
    shutil.rmtree(store)
    store_of(store, aligned=True)
    assert train(experiment, tmp_path / "run", device="cpu", console=Console(quiet=True)).is_finished


@pytest.mark.parametrize(
    ("scale", "turn", "doubt"),
    [
        (1.0, [0, 1, 2], ""),
        (3.2808, [0, 1, 2], "3.28 times as much would be feet"),
        (0.3048, [0, 1, 2], "is its unit the metre, and z up?"),
    ],
)
def test_a_file_of_another_height_than_the_training_scans_is_said(
    run: Path, tmp_path: Path, scale: float, turn: list[int], doubt: str
) -> None:
    room = tiny_room("a", 3)
    write_ply(tmp_path / "a.ply", scale * room.xyz_m[:, turn], rgb=room.rgb)
    code, told = said("predict", run, tmp_path / "a.ply", "-o", tmp_path / "b.ply")
    assert code == 0 and "this file is taken as it stands" in told
    assert (doubt in told) if doubt else "m high" not in told


def test_texts_of_other_scenes_are_not_left_among_those_of_a_run(run: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    assert said("evaluate", run, "--split", "train", "--save-text", text)[0] == 0
    before = (text / "pred" / "train0.txt").read_bytes()
    code, told = said("evaluate", run, "--save-text", text)
    assert code == 2 and "holds 3 texts of other scenes, such as train0.txt" in told
    assert (text / "pred" / "train0.txt").read_bytes() == before
    assert said("evaluate", run, "--split", "train", "--save-text", text)[0] == 0
