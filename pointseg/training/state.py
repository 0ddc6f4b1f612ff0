"""Training state: everything that moves while a run trains, with its form on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.core.batch import Batch, labels_of, supervise
from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace
from pointseg.core.statistics import ClassStatistics
from pointseg.data.kind import Pipeline
from pointseg.experiment import Experiment
from pointseg.losses.base import LossTerm
from pointseg.losses.facts import BatchFacts, join_facts
from pointseg.losses.objective import (
    AllSums,
    Objective,
    Slot,
    joined_ahead,
    joined_sums,
    with_ahead,
)
from pointseg.losses.processes import num_processes
from pointseg.models.neighbours import neighbour_rows
from pointseg.models.segmenter import Segmenter
from pointseg.optim.average import WeightAverage
from pointseg.training.freeze import freeze


@dataclass(frozen=True)
class PartLoss:
    """What a forward pass over a part of a step's batch gives.

    Args:
        total: scalar to take the gradient of.
        parts: unweighted, detached losses by name.
        is_finite: scalar bool, whether this part's own sums are finite, which tells whose fault it is where
            a loss is not.
        slots: what the losses saw and know.
        sums: sums over the processes, detached; empty for a part whose gradient alone was asked for.
    """

    total: Tensor
    parts: dict[str, Tensor]
    is_finite: Tensor
    slots: list[Slot]
    sums: AllSums


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

    def facts(self, batches: Sequence[Batch], progress: float) -> dict[str, BatchFacts]:
        """What is known of the joined batch of a step before its first forward pass: head -> facts."""
        return join_facts(
            {
                head: [
                    BatchFacts.of(
                        labels_of(batch, head),
                        batch.sample,
                        num_samples=batch.num_samples,
                        num_classes=num_classes,
                        progress=progress,
                    )
                    for batch in batches
                ]
                for head, num_classes in self.segmenter.classes_of.items()
            }
        )

    def slots(
        self,
        batch: Batch,
        progress: float,
        facts: Mapping[str, BatchFacts],
        ahead: Sequence[Mapping[str, Tensor]] = (),
    ) -> list[Slot]:
        """Forward pass of the network: what each loss sees of a part of the step's batch."""
        present = {head: known.present for head, known in facts.items()}
        prediction = self.segmenter(batch, progress, present)
        around = {head: self.objective.looks_around(head) for head in facts}
        table = neighbour_rows(batch) if any(around.values()) else None
        rows = {
            head: supervise(
                batch,
                prediction,
                head,
                progress,
                features=self.objective.looks_at_features(head),
                table=table if around[head] else None,
            )
            for head in facts
        }
        slots = self.objective.slots(rows, facts)
        for results in ahead:
            slots = with_ahead(slots, results)
        return slots

    def forward(
        self,
        batch: Batch,
        progress: float,
        facts: Mapping[str, BatchFacts],
        ahead: Sequence[Mapping[str, Tensor]] = (),
        slopes: AllSums | None = None,
    ) -> PartLoss:
        """The loss of a part; with ``slopes``, what has its share of the gradient of a loss of several parts.

        Args:
            batch: the part.
            progress: share of the training that is done.
            facts: of the joined batch.
            ahead: preliminary results of the joined batch, where they are known already.
            slopes: gradient of the loss with respect to the joined sums.
        """
        objective = self.objective
        slots = self.slots(batch, progress, facts, ahead)
        with torch.autocast(batch.labels.device.type, enabled=False):
            if slopes is None:
                for number in range(len(ahead), objective.num_ahead):
                    slots = with_ahead(slots, joined_ahead(slots, [objective.ahead(slots, number)], number))
            own = objective.sums(slots)
            finite = all_finite(own)
            if slopes is not None:
                # Data-parallel training will take the mean over the processes.
                weighted = [(slopes[key] * own[key]).sum() for key in slopes if own[key].requires_grad]
                total = num_processes() * torch.stack(weighted).sum()
                return PartLoss(total, {}, finite, slots, {})
            sums = joined_sums(own)
            total, parts = objective.value(slots, sums)
        return PartLoss(total, parts, finite, slots, {key: value.detach() for key, value in sums.items()})


def all_finite(sums: AllSums) -> Tensor:
    """Scalar bool."""
    return torch.stack([total.detach().isfinite().all() for total in sums.values()]).all()


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
        pipeline: Pipeline,
        processes: Processes,
        others: Mapping[str, tuple[ClassStatistics, LabelSpace]] | None = None,
        own_losses: Mapping[str, LossTerm] | None = None,
    ) -> tuple[TrainingState, str]:
        """The state before the first step, the same on all processes; and a notice for the user, or "".

        ``others`` are class counts and label space of each head beside the main one, ``own_losses`` those of
        the user's code, see :meth:`pointseg.experiment.Experiment.build_objective`.
        """
        torch.manual_seed(experiment.seed)
        segmenter = experiment.build_segmenter(pipeline.num_features, label_space.num_classes, statistics)
        if experiment.train.activation_checkpointing:
            segmenter.recompute_activations()
        freeze(segmenter, experiment.train.freeze)
        objective = experiment.build_objective(
            statistics,
            label_space=label_space,
            feature_channels=segmenter.feature_channels,
            others={
                head: (counts, space, segmenter.channels_of[head])
                for head, (counts, space) in (others or {}).items()
            },
            own=own_losses,
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
