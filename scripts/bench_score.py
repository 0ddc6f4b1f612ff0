"""How long `pointseg score` takes for the whole ScanNet val split: 312 scenes, 49,540,568 vertices.

Writes text files of the true sizes (about 400 MB) to a temporary folder, scores them once through the command
line, checks the number of vertices, and deletes them.

    python scripts/bench_score.py
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pointseg.core.labels import load_label_space, resource_path
from pointseg.formats.label_text import write_labels


def val_vertex_counts() -> dict[str, int]:
    with resource_path("scannet200", "scene_vertex_counts.csv").open(newline="", encoding="utf-8") as handle:
        return {r["scene"]: int(r["num_vertices"]) for r in csv.DictReader(handle) if r["split"] == "val"}


def write_scenes(folder: Path, counts: dict[str, int]) -> None:
    """Runs of equal labels, as meshes have them; 30 % of the predictions are wrong."""
    raw_ids = np.asarray(load_label_space("scannet200").raw_ids)
    rng = np.random.default_rng(0)
    for name in ("pred", "gt"):
        (folder / name).mkdir()
    for scene, count in counts.items():
        truth = np.repeat(raw_ids[rng.integers(0, 200, count // 50 + 1)], 50)[:count]
        truth[rng.random(count) < 0.05] = 0
        wrong = rng.random(count) < 0.3
        predicted = np.where(wrong, raw_ids[rng.integers(0, 200, count)], truth)
        write_labels(folder / "gt" / f"{scene}.txt", truth)
        write_labels(folder / "pred" / f"{scene}.txt", predicted)


def main() -> None:
    counts = val_vertex_counts()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_scenes(folder, counts)
        megabytes = sum(p.stat().st_size for p in folder.rglob("*.txt")) / 1e6
        command = [sys.executable, "-m", "pointseg", "score", "--labels", "scannet200"]
        command += [
            "--pred",
            str(folder / "pred"),
            "--gt",
            str(folder / "gt"),
            "--json",
            str(folder / "out.json"),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        result = json.loads((folder / "out.json").read_text())
    assert result["num_scenes"] == len(counts)
    print(
        f"{len(counts)} scenes, {sum(counts.values()):,} vertices, {megabytes:.0f} MB of text, "
        f"{os.cpu_count()} cores: {seconds:.1f} s, start of Python included"
    )


if __name__ == "__main__":
    main()
