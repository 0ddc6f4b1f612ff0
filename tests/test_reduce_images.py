"""scripts/reduce_images.py: images of averages, labels of middles, nothing half done."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "scripts/reduce_images.py"


def run(*words):
    return subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True)


def test_a_reduced_copy_has_the_means_of_colours_and_the_middles_of_labels(tmp_path):
    source = tmp_path / "set"
    for name in ("images", "labels"):
        (source / name).mkdir(parents=True)
    rgb = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    ids = np.arange(30, dtype=np.uint8).reshape(6, 5)
    Image.fromarray(rgb).save(source / "images/a.png")
    Image.fromarray(ids).save(source / "labels/a.png")
    (source / "classes.csv").write_text("id,name\n0,x\n")
    assert "1 images in" in run(source, tmp_path / "half", "--factor", 2).stdout
    small = np.asarray(Image.open(tmp_path / "half/images/a.png"))
    expected = rgb[:, :4].reshape(3, 2, 2, 2, 3).mean((1, 3))
    assert small.shape == (3, 3, 3) and abs(small[:, :2] - expected).max() <= 0.5
    labels = np.asarray(Image.open(tmp_path / "half/labels/a.png"))
    assert labels.tolist() == [[6, 8, 9], [16, 18, 19], [26, 28, 29]]
    assert (tmp_path / "half/classes.csv").read_text() == "id,name\n0,x\n"
    again = run(source, tmp_path / "half")
    assert again.returncode == 2 and "is there already" in again.stderr
    empty = run(tmp_path / "half/labels", tmp_path / "other")
    assert empty.returncode == 2 and "expected a folder images/" in empty.stderr
    assert not (tmp_path / "other").exists()
