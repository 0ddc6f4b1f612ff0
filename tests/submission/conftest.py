"""RUN folders with fresh weights: what is submitted does not depend on their worth."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pointseg.config import dump_config
from pointseg.core.labels import LabelSpace
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import save_checkpoint


@pytest.fixture
def fresh_run(tmp_path: Path) -> Callable[[Experiment, LabelSpace], Path]:
    """Makes a RUN folder for an experiment."""

    def make(experiment: Experiment, space: LabelSpace) -> Path:
        run = tmp_path / "run"
        (run / "checkpoints").mkdir(parents=True)
        (run / "config.yaml").write_text(dump_config(experiment))
        (run / "label_space.json").write_text(json.dumps(space.to_dict()))
        torch.manual_seed(0)
        pipeline = experiment.build_pipeline(space, "cpu")
        segmenter = experiment.build_segmenter(pipeline.num_features, space.num_classes)
        save_checkpoint(run / "checkpoints" / "last.pt", {"weights": segmenter.state_dict(), "step": 0})
        return run

    return make
