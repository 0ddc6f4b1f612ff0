"""A store of ten thousand scenes opens in under a second, whether its manifest is sealed or not."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from pointseg.core.labels import load_label_space
from pointseg.formats.sealed import write_sealed_json
from pointseg.scans.store import Store
from pointseg.scans.store_layout import ARRAYS, FORMAT_VERSION

SPACE = load_label_space("scannet200")
SCENES = 10_000


def entry(number: int) -> dict[str, Any]:
    """What a preparation keeps of a scene with 40 classes."""
    files = {
        name: {"sha256": hashlib.sha256(f"{name}{number}".encode()).hexdigest(), "shape": [9], "dtype": kind}
        for name, kind in ARRAYS.items()
    }
    points = {str(raw_id): number + 1 for raw_id in SPACE.raw_ids[:40]}
    notes = {"axis_aligned": False, "scene_type": "Office", "unknown_categories": {}, "missing_segments": 0}
    split = "val" if number % 5 == 0 else "train"
    return {"split": split, "num_vertices": 9, "files": files, "class_points": points, "notes": notes}


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_store_of_ten_thousand_scenes_opens_in_a_second(tmp_path: Path, is_sealed: bool) -> None:
    manifest = {
        "format_version": FORMAT_VERSION,
        "package_version": "0",
        "complete": True,
        "label_space": SPACE.to_dict(),
        "options": {},
        "scenes": {f"scene{number:05}": entry(number) for number in range(SCENES)},
    }
    if is_sealed:
        write_sealed_json(tmp_path / "manifest.json", manifest)
    else:
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    seconds = []
    # The best of three: other work on the machine is no fact about the code.
    for _ in range(3):
        began = time.process_time()
        store = Store.open(tmp_path)
        seconds.append(time.process_time() - began)
    assert len(store.scene_names("train")) == 8000
    assert min(seconds) < 1.0
