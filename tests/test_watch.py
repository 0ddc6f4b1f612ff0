"""pointseg train --view: what the pages say while a network learns, and what TensorBoard keeps of it."""

import json
import re
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from pointseg import Callback, Experiment, Validation, train
from pointseg.cli import app
from pointseg.watch import Watch

MakeExperiment = Callable[..., Experiment]
#: A busy machine imports and draws slowly the first time.
PATIENCE_S = 120
STEPS = ("train.steps=4", "train.val_every=2", "train.log_every=1")


def ask(address: str, path: str) -> bytes:
    """What lies at an address; an error for anything but an answer."""
    host = address.removeprefix("http://").rstrip("/")
    connection = HTTPConnection(host, timeout=PATIENCE_S)
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, (path, content)
    return content


def facts_in(page: bytes) -> dict[str, Any]:
    found = re.search(rb'id="facts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


class Visitor(Callback):
    """Looks at the pages before the first step and after each validation."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.news: list[dict[str, Any]] = []
        self.pages: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.mious: list[float] = []

    def look(self) -> None:
        address = self.watch.address
        self.news.append(json.loads(ask(address, "facts.json")))
        self.pages.append(facts_in(ask(address, "scenes/val0.0.html")))
        self.pictures.append(ask(address, f"thumbs/val0.0.prediction.jpg?step={self.news[-1]['learned'][0]}"))

    def on_start(self, *told: Any) -> None:
        self.kept = HTTPConnection(self.watch.address.removeprefix("http://").rstrip("/"), timeout=PATIENCE_S)
        self.kept.request("GET", "/facts.json")
        assert self.kept.getresponse().read()
        self.look()

    def on_validation(self, step: int, validation: Validation) -> None:
        self.look()
        self.mious.append(validation.report.miou.present or 0.0)


@pytest.fixture(scope="module")
def watched(
    tiny_experiment: MakeExperiment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Visitor, Path]:
    run = tmp_path_factory.mktemp("watched") / "run"
    watch = Watch(port=0)
    visitor = Visitor(watch)
    train(tiny_experiment(*STEPS), run, device="cpu", console=Console(quiet=True), callbacks=[watch, visitor])
    return visitor, run


def test_the_pages_show_the_truth_first_and_then_each_validation(watched: tuple[Visitor, Path]) -> None:
    visitor, _ = watched
    assert [news["learned"] for news in visitor.news] == [[0, 0], [2, 2], [4, 4]]
    assert [page["learned"]["step"] for page in visitor.pages] == [0, 2, 4]
    assert [page["hasPrediction"] for page in visitor.pages] == [False, True, True]
    assert all(page["hasTruth"] for page in visitor.pages)
    assert visitor.news[0]["results"] == [[None], [None]] or visitor.news[0]["results"][0][0]["miou"] is None
    scored = [[result[0]["miou"] for result in news["results"]] for news in visitor.news[1:]]
    assert all(0 <= miou <= 1 for mious in scored for miou in mious)
    # The network learns: its pictures and scores are those of its own step.
    assert visitor.pictures[1] != visitor.pictures[0] and scored[0] != scored[1]
    # Two rooms with the same classes and sizes: the mean over both is near that over their vertices.
    for mious, of_all in zip(scored, visitor.mious, strict=True):
        assert np.mean(mious) == pytest.approx(of_all, abs=0.05)


def test_the_server_ends_with_the_training(watched: tuple[Visitor, Path]) -> None:
    visitor, _ = watched
    assert visitor.watch.address == ""
    # Also on a connection that a browser keeps open.
    visitor.kept.auto_open = 0
    with pytest.raises((OSError, HTTPException)):
        visitor.kept.request("GET", "/facts.json")
        visitor.kept.getresponse()


def test_tensorboard_has_the_same_pictures(watched: tuple[Visitor, Path]) -> None:
    board = EventAccumulator(str(watched[1] / "tensorboard")).Reload()
    assert {tag for tag in board.Tags()["images"] if "scenes" in tag} == {
        "val/scenes/val0",
        "val/scenes/val1",
    }
    images = board.Images("val/scenes/val0")
    assert [image.step for image in images] == [2, 4]
    # Input, truth, prediction and error side by side.
    assert (images[0].width, images[0].height) == (4 * 320, 240)
    assert images[0].encoded_image_string != images[1].encoded_image_string


def test_to_be_watched_changes_nothing(
    watched: tuple[Visitor, Path], tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    train(tiny_experiment(*STEPS), tmp_path, device="cpu", console=Console(quiet=True))
    alone, seen = (
        [json.loads(line).get("loss") for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (tmp_path, watched[1])
    )
    assert alone == seen


def test_the_command_says_where(tiny_experiment: MakeExperiment, tmp_path: Path) -> None:
    config = tmp_path / "tiny.json"
    config.write_text(tiny_experiment("train.steps=1").model_dump_json())
    config = config.rename(config.with_suffix(".yaml"))
    words = ["train", str(config), "--out", str(tmp_path / "run"), "--device", "cpu"]
    told = CliRunner().invoke(app, [*words, "--view", "--port", "0"])
    assert told.exit_code == 0, told.output
    assert re.search(r"http://127\.0\.0\.1:\d+/  shows 2 scenes while they are learned", told.output)
    refused = CliRunner().invoke(app, [*words, "--port", "0"])
    assert refused.exit_code == 2 and "give --view too" in refused.output


def test_without_a_validation_there_is_nothing_to_watch(
    tiny_experiment: MakeExperiment, tmp_path: Path
) -> None:
    experiment = tiny_experiment("data.val_split=null", "train.steps=1")
    with pytest.raises(ValueError, match=r"--view shows scenes of the validation, and there are none"):
        train(experiment, tmp_path, device="cpu", console=Console(quiet=True), callbacks=[Watch(port=0)])
