"""Ids that are plausible and mean other classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import LabelSpace, distinct_colors, load_label_space
from pointseg.formats.id_diagnosis import label_doubts
from pointseg.prepare import custom

SCANNET200, SCANNET20 = load_label_space("scannet200"), load_label_space("scannet20")
#: 18 of the 20 nyu40 ids are ids of ScanNet200 as well, of other classes.
SHARED = [i for i in SCANNET20.raw_ids if i in SCANNET200.raw_ids]


def counted(count: int) -> LabelSpace:
    """Classes with the ids 1, 2, 3, ..."""
    names = tuple(f"class {i}" for i in range(1, count + 1))
    return LabelSpace("own", tuple(range(1, count + 1)), names, ("",) * count, distinct_colors(count))


@pytest.mark.parametrize(
    ("space", "used", "said"),
    [
        (SCANNET200, SHARED, "all of their ids are ids of scannet20"),
        (SCANNET200, SHARED[:9], ""),
        (SCANNET200, SCANNET200.raw_ids[:120], ""),
        # Who counts off has the ids of s3dis, and no mistake made.
        (counted(30), range(1, 14), ""),
        (counted(30), range(1, 12), ""),
        (counted(5), range(5), "every id from 0 to 4 occurs and 5 does not; were train indices written"),
        (counted(5), range(6), ""),
        (counted(5), (0, 1, 2, 4), ""),
        (counted(5), range(1, 5), ""),
    ],
)
def test_labels_that_are_known_and_doubtful(space: LabelSpace, used: Any, said: str) -> None:
    found = label_doubts(dict.fromkeys(used, 7), space)
    assert said in " ".join(found) and len(found) == bool(said)


def test_a_preparation_says_that_nyu40_ids_stand_for_scannet200(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (tmp_path / "raw" / split).mkdir(parents=True)
        label = np.array(SHARED * 5)
        np.savez(tmp_path / "raw" / split / f"{split}.npz", xyz=rng.random((len(label), 3)), label=label)
    rows = zip(SCANNET200.raw_ids, SCANNET200.names, strict=True)
    table = tmp_path / "raw" / "classes.csv"
    table.write_text("raw_id,name\n" + "".join(f'{i},"{name}"\n' for i, name in rows))
    words = [str(tmp_path / "raw"), str(tmp_path / "store"), "--classes", str(table), "--workers", "1"]
    assert custom.main([*words, "--no-normals"]) == 0
    assert f"WARNING: the labels: of the 200 classes only {len(SHARED)} occur" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("predicted", "truth", "said"),
    [
        # Position in the list for the id: most positions are ids of other classes.
        (range(20), SCANNET20.raw_ids, "Ids of the predictions look like train indices"),
        (SCANNET20.raw_ids, [*range(1, 21)], "Ids of the ground truth look like train indices"),
        (
            SCANNET200.raw_ids[:40],
            SCANNET20.raw_ids * 2,
            "Ids of the predictions look like ids of another label set",
        ),
        (SCANNET20.raw_ids, SCANNET20.raw_ids, ""),
        (SCANNET20.raw_ids, [0, -1, *SCANNET20.raw_ids[2:]], ""),
    ],
)
def test_score_says_which_folder_holds_other_ids(
    tmp_path: Path, predicted: Any, truth: Any, said: str
) -> None:
    for folder, ids in (("pred", predicted), ("gt", truth)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("".join(f"{i}\n" for i in ids))
    words = ["score", "--pred", str(tmp_path / "pred"), "--gt", str(tmp_path / "gt"), "--labels", "scannet20"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    told = " ".join(result.stderr.split())
    assert said in told if said else "WARNING" not in told
