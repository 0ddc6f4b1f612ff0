"""The scripts as modules, and tiny raw ScanNet folders for them."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointseg.formats.ply import write_scannet_mesh

XYZ = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4]])


class RawScans:
    """A folder of raw scenes: a floor triangle and a wall quad each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self,
        name: str,
        split: str,
        *,
        parent: str = "scans",
        categories: Sequence[str] = ("floor", "wall"),
        labelled: bool = True,
    ) -> Path:
        folder = self.path / parent / name
        folder.mkdir(parents=True)
        rgba = np.full((5, 4), 255, dtype=np.uint8)
        write_scannet_mesh(folder / f"{name}_vh_clean_2.ply", XYZ, rgba, FACES)
        (folder / f"{name}.txt").write_text("sceneType = Office\n")
        if labelled:
            segments = {"sceneId": name, "segIndices": [70, 70, 70, 5, 9]}
            (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
            groups = [
                {"id": i, "objectId": i, "segments": part, "label": category}
                for i, (part, category) in enumerate(zip(([70], [5]), categories, strict=True))
            ]
            (folder / f"{name}.aggregation.json").write_text(
                json.dumps({"sceneId": name, "segGroups": groups})
            )
        with (self.path / f"scannetv2_{split}.txt").open("a") as handle:
            handle.write(f"{name}\n")
        return folder


@pytest.fixture
def raw(tmp_path: Path) -> RawScans:
    (tmp_path / "raw").mkdir()
    return RawScans(tmp_path / "raw")


@pytest.fixture(scope="session")
def scannet() -> ModuleType:
    from pointseg.prepare import scannet

    return scannet


@pytest.fixture(scope="session")
def check() -> ModuleType:
    from pointseg.prepare import check

    return check


@pytest.fixture(scope="session")
def custom() -> ModuleType:
    from pointseg.prepare import custom

    return custom


@pytest.fixture(scope="session")
def nyu40() -> ModuleType:
    from pointseg.prepare import nyu40

    return nyu40
