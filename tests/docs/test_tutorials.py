"""The tutorials of docs/ are run: their files written, their commands and Python in the order of the page."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ROOT, blocks, check_options, commands, run_command

from pointseg.study.definition import read_study

TUTORIALS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/tutorials").glob("*.md")}
#: Commands within the sentences, which are shown and not run.
SHOWN = [
    (name, " ".join(command.split()))
    for name, text in TUTORIALS.items()
    for command in re.findall(r"`(pointseg [a-z-]+ [^`]*)`", text)
    if "..." not in command
]


def follow(name: str, folder: Path) -> dict[str, Any]:
    """Do what a tutorial says in a folder; what its Python has defined."""
    defined: dict[str, Any] = {"__name__": name}
    for block in blocks(TUTORIALS[name]):
        if block.file is not None:
            file = folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language == "bash":
            for line in commands(block.text):
                run_command(line, {"synthesize": ["64->3"]})
        elif block.language == "python":
            exec(compile(block.text, f"{name}.md", "exec"), defined)
        else:
            raise AssertionError(f"{name}.md: nobody runs a block of {block.language}")
    return defined


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the tutorial of ScanNet200 has been followed; others go on from there."""
    folder = tmp_path_factory.mktemp("rooms")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        follow("scannet200", folder)
        yield folder


def test_every_tutorial_is_run_by_a_test_of_this_file() -> None:
    assert sorted(TUTORIALS) == ["own_loss", "report", "scannet200", "tiles"]
    for text in TUTORIALS.values():
        assert {"bash", "python"} & {block.language for block in blocks(text)}


def test_scannet200_ends_with_a_submission_that_the_checker_takes(rooms: Path) -> None:
    assert (rooms / "submission.zip").is_file() and (rooms / "baseline.json").is_file()
    page = (rooms / "gallery" / "index.html").read_text()
    assert "baseline" in page and "balanced" in page


def test_a_report_goes_on_from_there(rooms: Path) -> None:
    follow("report", rooms)
    page = (rooms / "report.html").read_text()
    headings = re.findall(r"<h[23][^>]*>(.*?)</h", page)
    told = set(re.findall(r"\*\*(.+?)\*\*", TUTORIALS["report"])) - {"The first table"}
    # Two scenes of three need not hold a rare class.
    for part in told - {"What tail classes are taken for"}:
        assert any(heading.startswith(" ".join(part.split())) for heading in headings), (part, headings)
    assert len(told) >= 10
    # Half a day of training, but the file is a study.
    assert list(read_study(rooms / "study.yaml").methods) == ["cross_entropy", "weighted", "balanced_softmax"]


def test_a_loss_of_twenty_lines_trains_a_network(rooms: Path) -> None:
    lines = (blocks(TUTORIALS["own_loss"])[0].text).splitlines()
    assert len([line for line in lines if line.strip()]) <= 20
    follow("own_loss", rooms)
    sys.modules.pop("mine")
    assert (rooms / "runs" / "mine" / "checkpoints" / "last.pt").is_file()


def test_tiles_come_back_classified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, place in enumerate(("tiles/train/a", "tiles/val/b", "new_tiles/c", "new_tiles/d")):
        write_tile(tmp_path / f"{place}.laz", number)
    defined = follow("tiles", tmp_path)
    assert set(defined["ids"].tolist()) <= {2, 3, 6}
    assert "c.laz {" in (told := capsys.readouterr().out) and "d.laz {" in told
    assert (tmp_path / "gallery_of_tiles" / "index.html").is_file()


def write_tile(path: Path, seed: int) -> None:
    """A tile of 60 m: ground (2), low and high vegetation (3, 5) and a roof (6), in UTM coordinates."""
    laspy = pytest.importorskip("laspy", reason="tiles need laspy: pip install 'pointseg[las]'")
    random = np.random.default_rng(seed)
    xyz = random.uniform(0, 60, (3000, 3))
    kind = random.choice([2, 3, 5, 6], len(xyz))
    height = np.select([kind == 2, kind == 3, kind == 5], [0.0, 1.0, 7.0], 12.0)
    xyz[:, 2] = height + random.normal(0, 0.2, len(xyz))
    cloud = laspy.create(point_format=3, file_version="1.2")
    cloud.header.offsets, cloud.header.scales = [650_000, 6_860_000, 0], [0.01] * 3
    cloud.xyz = xyz + np.array([650_000, 6_860_000, 30])
    cloud.classification = kind.astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cloud.write(path)


@pytest.mark.parametrize(("name", "command"), SHOWN)
def test_commands_within_sentences_have_the_options_that_they_name(
    name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_options(command, capsys)
