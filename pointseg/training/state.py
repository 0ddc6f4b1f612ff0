"""Training state: everything that moves while a run trains, with its form on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.core.batch import Batch
from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import AnyPipeline, Experiment
from pointseg.losses.base import Objective
from pointseg.models.segmenter import Segmenter
from pointseg.optim.average import WeightAverage


class Learner(nn.Module):
    """Segmenter and objective as one module: one owner of all that learns, for optimiser and DDP."""

    def __init__(self, segmenter: Segmenter, objective: Objective) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.objective = objective

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All that learns by the names that checkpoints use: ``backbone.*``, ``head.*``, ``objective.*``."""
        for name, parameter in self.named_parameters():
            yield name.removeprefix("segmenter."), parameter

    def forward(self, batch: Batch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = self.objective(batch.supervise(self.segmenter(batch, progress), progress))
        return loss, parts


@dataclass
class TrainingState:
    """What a run is made of at some step.

    No state of a random generator is here: every random number of a step follows from (seed, step, process).
    The learning rate follows from the step.

    Args:
        learner: network and losses.
        parallel: the learner as it is called: itself, or wrapped for several processes.
        optimizer: moves the learner's parameters.
        scaler: scales the loss under fp16, and does nothing otherwise.
        average: running average of the network's weights, or None.
        step: optimiser steps done, skipped ones included.
        skipped: steps skipped because a loss or gradient was not finite.
        validated: step of the latest validation, -1 for none.
        best_miou: the best validation mIoU (over the classes present) so far, -1 for none.
    """

    learner: Learner
    parallel: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    step: int = 0
    skipped: int = 0
    validated: int = -1
    best_miou: float = -1.0

    @classmethod
    def fresh(
        cls,
        experiment: Experiment,
        statistics: ClassStatistics,
        label_space: LabelSpace,
        pipeline: AnyPipeline,
        processes: Processes,
    ) -> tuple[TrainingState, str]:
        """The state before the first step, the same on all processes; and a notice for the user, or ""."""
        torch.manual_seed(experiment.seed)
        segmenter = experiment.build_segmenter(pipeline.num_features, label_space.num_classes, statistics)
        recompute = experiment.train.activation_checkpointing
        segmenter.backbone.checkpoint_activations = recompute  # type: ignore[assignment]
        objective = experiment.build_objective(
            statistics, label_space=label_space, feature_channels=segmenter.feature_channels
        )
        network, notice = processes.synchronise_norms(segmenter)
        assert isinstance(network, Segmenter)
        learner = Learner(network, objective).to(processes.device)
        decay = experiment.train.ema_decay
        state = cls(
            learner=learner,
            parallel=processes.wrap(learner),
            optimizer=experiment.optimizer.build(learner.named(), experiment.model.layers()),
            scaler=torch.amp.GradScaler(processes.device.type, enabled=experiment.train.amp == "fp16"),
            average=None if decay is None else WeightAverage(network, decay),
        )
        return state, notice

    @property
    def network(self) -> nn.Module:
        """The network to validate, save and predict with."""
        return self.learner.segmenter if self.average is None else self.average.network

    def to_dict(self) -> dict[str, Any]:
        """Everything, for last.pt. ``weights`` is the network to predict with."""
        return {
            "step": self.step,
            "weights": self.network.state_dict(),
            "training": {
                "segmenter": None if self.average is None else self.learner.segmenter.state_dict(),
                "average_updates": None if self.average is None else self.average.num_updates,
                "objective": self.learner.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "skipped": self.skipped,
                "validated": self.validated,
                "best_miou": self.best_miou,
            },
        }

    def best_to_dict(self) -> dict[str, Any]:
        """What best.pt needs: no optimiser, half the size."""
        return {"step": self.step, "weights": self.network.state_dict(), "miou": self.best_miou}

    def load_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over a state saved by :meth:`to_dict` of the same configuration."""
        training = saved["training"]
        if self.average is None:
            self.learner.segmenter.load_state_dict(saved["weights"])
        else:
            self.average.network.load_state_dict(saved["weights"])
            self.average.num_updates.copy_(training["average_updates"])
            self.learner.segmenter.load_state_dict(training["segmenter"])
        self.learner.objective.load_state_dict(training["objective"])
        self.optimizer.load_state_dict(training["optimizer"])
        self.scaler.load_state_dict(training["scaler"])
        self.step = int(saved["step"])
        self.skipped = int(training["skipped"])
        self.validated = int(training["validated"])
        self.best_miou = float(training["best_miou"])
