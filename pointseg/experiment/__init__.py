"""Experiment: everything that defines a training run, and the tables of what can be chosen in it.

Adding a method is one file and one row in ``tables.py``: a loss in LOSSES, a head in HEADS, a network in
BACKBONES, a kind of data set in DATASETS. A row's key is the ``type`` in YAML.
"""

from pointseg.experiment.model import Experiment, load_experiment
from pointseg.experiment.options import EvaluateConfig, OtherHead, TrainConfig
from pointseg.experiment.tables import BACKBONES, DATASETS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES

__all__ = [
    "BACKBONES",
    "DATASETS",
    "HEADS",
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "EvaluateConfig",
    "Experiment",
    "OtherHead",
    "TrainConfig",
    "load_experiment",
]
