"""The commands of the README's table of verbs, in their order, as a newcomer types them, on small data."""

import shutil
from pathlib import Path

import pytest
from commands import ROOT, blocks, commands, run_command

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## One command per verb")[1].split("\n## ")[0]
LINES = [line for line in commands(blocks(SECTION)[0].text) if line.startswith(("pointseg ", "python "))]
#: What takes hours or minutes by its nature: its own tests run it.
LONG = {"study", "bench"}
#: With three scenes another one is there to be shown; nobody is there to close a window; and what Open3D
#: draws is looked at elsewhere.
CHANGES = {
    "synthesize": ["64->3"],
    "visualise": ["scene0003_00->scene0000_00", "--no-window", "--no-open3d", "-o", "pictures"],
}


def prepare_inputs(folder: Path) -> None:
    """What the README takes for given: a scan, a folder of one's own clouds, texts and truth to score."""
    mesh = next((folder / "raw" / "scans").glob("*/*_vh_clean_2.ply"))
    shutil.copyfile(mesh, folder / "scan.ply")
    table = "x y z red green blue label\n0 0 0 1 2 3 1\n1 1 1 4 5 6 2\n"
    for split in ("train", "val"):
        (folder / "clouds" / split).mkdir(parents=True)
        (folder / "clouds" / split / f"{split}.txt").write_text(table)
    (folder / "classes.csv").write_text("raw_id,name\n1,ground\n2,tree\n")
    for name in ("texts", "truth"):
        (folder / name).mkdir()
        (folder / name / "scene0000_00.txt").write_text("1\n3\n")


def test_every_command_runs_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = set()
    for line in LINES:
        if line.split()[1] in LONG:
            continue
        verb = run_command(line, CHANGES)
        ran.add(verb)
        if verb == "synthesize":
            prepare_inputs(tmp_path)
    assert len(ran) >= 17
