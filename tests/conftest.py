"""A store of a few tiny rooms, and the smallest experiment on it.

One thread for each test process: the tests are small, and several share the cores. Triton runs in its
interpreter, so that its kernels are tested on any machine; scripts/gpu_check.sh runs them on a GPU.
"""

import os

# Before torch is imported, or it has no effect.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRITON_INTERPRET", "1")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from rich.console import Console

from pointseg.config import load_config
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.experiment import Experiment
from pointseg.scans.store import StoreWriter
from pointseg.training.train import train

# A test machine with other work is slow now and then; how long a test takes is no fact about the code.
settings.register_profile("pointseg", deadline=None)
settings.load_profile("pointseg")

RAW_IDS = (3, 10, 7)


def tiny_room(name: str, seed: int, *, points: int = 120) -> Scene:
    """Grey floor (raw id 3), grey wall (10), red box (7) in a room of 2 m; some vertices are unlabelled."""
    rng = np.random.default_rng(seed)
    floor, wall, box = (rng.uniform(0, 2, (points, 3)).astype(np.float32) for _ in range(3))
    floor[:, 2] = 0
    wall[:, 0] = 0
    box = (0.7 + 0.2 * box).astype(np.float32)
    rgb = np.full((3 * points, 3), 120, np.uint8)
    rgb[2 * points :] = (220, 30, 30)
    raw_label = np.repeat(np.array(RAW_IDS, np.int32), points)
    raw_label[::20] = 0
    return Scene(name, np.concatenate([floor, wall, box]), rgb=rgb, raw_label=raw_label)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rooms to train on, two to validate on, one without labels in split test."""
    path = tmp_path_factory.mktemp("tiny") / "store"
    space = LabelSpace(
        "tiny", RAW_IDS, ("floor", "wall", "box"), ("head", "common", "tail"), distinct_colors(3)
    )
    writer = StoreWriter(path, space, options={})
    for i in range(5):
        writer.add(tiny_room(f"train{i}", i), "train")
    for i in range(2):
        writer.add(tiny_room(f"val{i}", 10 + i), "val")
    room = tiny_room("test0", 20)
    writer.add(Scene(room.name, room.xyz_m, rgb=room.rgb), "test")
    writer.finish()
    return path


@pytest.fixture(scope="session")
def tiny_experiment(tiny_store: Path) -> Callable[..., Experiment]:
    """The experiment with differences: ``tiny_experiment("train.steps=3", ...)``."""
    data: dict[str, Any] = {
        "data": {"path": str(tiny_store), "voxel_size_m": 0.1, "features": ["color", "height"]},
        "augment": [{"type": "flip"}, {"type": "jitter"}],
        "model": {
            "type": "minkunet",
            "variant": "14A",
            "widths": [8] * 8,
            "stem_channels": 8,
            "stem_kernel": 3,
        },
        "optimizer": {"type": "sgd", "lr": 0.1},
        "train": {"steps": 6, "batch_size": 2, "val_every": 3, "log_every": 1},
    }

    def make(*overrides: str) -> Experiment:
        return load_config(Experiment, None, overrides, data=data)

    return make


@pytest.fixture(scope="session")
def trained_run(tiny_experiment: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN folder of a network that has learned the tiny rooms."""
    run = tmp_path_factory.mktemp("trained") / "run"
    experiment = tiny_experiment("train.steps=30", "train.val_every=0")
    train(experiment, run, device="cpu", console=Console(quiet=True))
    return run
