"""The scripts as modules, and tiny raw ScanNet folders for them."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointseg.formats.ply import write_scannet_mesh

XYZ = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4]])


def load_script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "data_prep" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"data_prep_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Worker processes look functions up by their module's name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
    return load_script("scannet")


@pytest.fixture(scope="session")
def check() -> ModuleType:
    return load_script("check")


@pytest.fixture(scope="session")
def custom() -> ModuleType:
    return load_script("custom")


@pytest.fixture(scope="session")
def nyu40() -> ModuleType:
    return load_script("nyu40")
