"""A study of tiny rooms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def write_study(tiny_store: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a study of the tiny rooms into its own folder; keywords change it."""

    def write(**changes: Any) -> Path:
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        recipe = {
            "data": {"path": str(tiny_store), "voxel_size_m": 0.1, "features": ["color", "height"]},
            "augment": [{"type": "flip"}],
            "model": {"type": "minkunet", "variant": "14A", "widths": [8] * 8, "stem_channels": 8},
            "optimizer": {"type": "sgd", "lr": 0.1},
            "train": {"batch_size": 2, "log_every": 1, "checkpoint_every": 1},
        }
        study = {
            "name": "tiny",
            "recipe": "recipe.yaml",
            "budgets": {"short": 4},
            "seeds": [0],
            "methods": {"cross_entropy": None, "weighted": None},
            "validations": 2,
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        path = folder / "study.yaml"
        path.write_text(yaml.safe_dump({**study, **changes}, sort_keys=False), encoding="utf-8")
        return path

    return write
