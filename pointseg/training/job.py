"""TrainingJob: what stays the same while a run trains: scenes, batches, pipeline and length."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import torch

from pointseg.config import changed
from pointseg.core.batch import Batch
from pointseg.core.cores import num_cores
from pointseg.core.derived_labels import DerivedLabels
from pointseg.core.distributed import Processes
from pointseg.core.seeds import derived_seed
from pointseg.core.statistics import ClassStatistics
from pointseg.data.kind import Pipeline
from pointseg.data.reader import SceneReader
from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.losses.base import LossTerm
from pointseg.models.precision import check_amp
from pointseg.sparse.engines import AUTO, current_engine
from pointseg.training.loader import BatchPlan, train_loader
from pointseg.training.prefetch import prefetch
from pointseg.training.sampling import classes_of_scenes, repeat_factors
from pointseg.training.state import TrainingState

#: Stream of random numbers of augmentation; train_step has another one.
_BATCH_STREAM = 0


class UnreadableBatchError(ValueError):
    """Scenes of which no batch could be made; the steps before it are whole."""


@dataclass(frozen=True)
class TrainingJob:
    """A configuration together with its data.

    Args:
        experiment: the configuration.
        processes: who takes part.
        store: where the scenes are.
        train_names: labelled scenes to train on.
        val_names: labelled scenes to validate on; may be empty.
        plan: the batches.
        reader: reads the scenes of a batch.
        pipeline: scenes to batches, on the device.
        total_steps: steps of the whole training.
        derived: labels of the heads beside the main one.
        notices: what the user ought to know of the data.
        own_losses: losses of the user's code, by name.
    """

    experiment: Experiment
    processes: Processes
    store: Source
    train_names: tuple[str, ...]
    val_names: tuple[str, ...]
    plan: BatchPlan
    reader: SceneReader
    pipeline: Pipeline
    total_steps: int
    derived: dict[str, DerivedLabels]
    notices: tuple[str, ...] = ()
    own_losses: Mapping[str, LossTerm] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls,
        experiment: Experiment,
        processes: Processes,
        own_losses: Mapping[str, LossTerm] | None = None,
    ) -> TrainingJob:
        """Open the data and plan the batches.

        Raises:
            FileNotFoundError: if there is no store.
            ValueError: if it has no such split or no labelled scene, nothing to paste where that is asked
                for, or fp16 is asked of a CPU.
        """
        data, options = experiment.data, experiment.train
        check_amp(options.amp, processes.device, option="train.amp")
        check_amp(experiment.evaluate.amp, processes.device, option="evaluate.amp")
        store = data.open()
        train_names = labelled(store, data.train_split)
        val_names = () if data.val_split is None else labelled(store, data.val_split)
        if not int(store.class_statistics(data.train_split).points.sum()):
            raise ValueError(
                f"{store.path}: split {data.train_split!r} has not one labelled point: every label of its "
                f"{len(train_names)} {store.members} is unlabelled or ignored. Check the ids in the files "
                "against the table of classes."
            )
        notices = data.check_scenes(store, (*train_names, *val_names))  # type: ignore[arg-type]
        repeat = None
        if data.repeat_threshold is not None:
            repeat = repeat_factors(classes_of_scenes(store, train_names), data.repeat_threshold)
        plan = BatchPlan(
            [store.num_vertices(name) for name in train_names],
            batch_size=options.batch_size,
            point_budget=options.point_budget,
            seed=experiment.seed,
            repeat=repeat,
        )
        if options.steps is not None:
            total_steps = options.steps
        else:
            assert options.epochs is not None
            num_batches = plan.num_batches(options.epochs * data.passes)
            total_steps = math.ceil(num_batches / (options.accumulate * processes.world))
        return cls(
            experiment=experiment,
            processes=processes,
            store=store,
            train_names=train_names,
            val_names=val_names,
            plan=plan,
            reader=data.build_reader(store, train_names, seed=experiment.seed),
            pipeline=experiment.build_pipeline(store.label_space, processes.device),
            total_steps=total_steps,
            derived=experiment.derived_labels(store.label_space),
            notices=tuple(notices),
            own_losses=own_losses or {},
        )

    def fresh_state(self, *, continues: bool = False) -> tuple[TrainingState, str]:
        """The state before the first step, and a notice for the user, or "".

        Args:
            continues: whether its weights come from a checkpoint, so that none are read for it.
        """
        experiment, split = self.experiment, self.experiment.data.train_split
        if continues:
            experiment = changed(experiment, model=experiment.model.trained())
        others = {
            head: (self.store.class_statistics(split, labels), labels.space)
            for head, labels in self.derived.items()
        }
        return TrainingState.fresh(
            experiment,
            self.class_statistics,
            self.store.label_space,
            self.pipeline,
            self.processes,
            others,
            self.own_losses,
        )

    @property
    def class_statistics(self) -> ClassStatistics:
        """Class counts of the training split."""
        return self.store.class_statistics(self.experiment.data.train_split)

    def steps(
        self, first: int, prepared: Callable[[Batch], Batch] = lambda batch: batch
    ) -> Iterator[Iterator[Batch]]:
        """The batches of this process for step ``first``, ``first + 1``, ... to the end of the training.

        On a GPU they go through ``prepared``, that of the network, in the thread that makes them. On a CPU
        there is nobody to wait for.

        Batch numbers count steps, then the batches of a step, then processes; so two processes see what one
        process sees that accumulates two batches. A step has to take all its batches before the next begins.
        """
        options, world = self.experiment.train, self.processes.world
        per_step = options.accumulate * world
        numbers = range(first * per_step + self.processes.rank, self.total_steps * per_step, world)
        batches = prefetch(lambda: self._augmented(numbers, prepared), self.processes.device)
        for _ in range(first, self.total_steps):
            yield islice(batches, options.accumulate)

    def _augmented(self, numbers: range, prepared: Callable[[Batch], Batch]) -> Iterator[Batch]:
        try:
            for batch in train_loader(self.reader, self.plan, numbers, workers=self.experiment.train.workers):
                seed = derived_seed(self.experiment.seed, _BATCH_STREAM, batch.index)
                made = self.pipeline.train_batch(batch.scenes, seed)
                if self.derived:
                    others = {head: labels.of(made.labels) for head, labels in self.derived.items()}
                    made = replace(made, others={**made.others, **others})  # type: ignore[type-var]
                yield made if self.processes.device.type == "cpu" else prepared(made)
        except (ValueError, OSError) as error:
            raise UnreadableBatchError(str(error)) from error

    @property
    def batches_per_step(self) -> int:
        """Over all processes."""
        return self.experiment.train.accumulate * self.processes.world

    def reading_is_due(self, state: TrainingState) -> bool:
        """Whether to look at the numbers of the steps so far: always where that costs nothing, else when they
        are logged. Reading waits for a GPU, and it for its next work."""
        every = 1 if self.processes.device.type == "cpu" else self.experiment.train.log_every
        return state.step % every == 0 or state.step >= self.total_steps or self.validation_is_due(state)

    def validation_is_due(self, state: TrainingState) -> bool:
        """Whether the weights of this step are to be validated and have not been."""
        every = self.experiment.train.val_every
        on_time = state.step == self.total_steps or (every > 0 and state.step > 0 and state.step % every == 0)
        return bool(self.val_names) and on_time and state.step > state.validated

    def is_finished(self, state: TrainingState) -> bool:
        """Whether all steps are done and the last weights are validated."""
        return state.step >= self.total_steps and not self.validation_is_due(state)

    @property
    def fingerprint(self) -> str:
        """Changes when the training scenes or classes change, and with them the batches."""
        sizes = [(name, self.store.num_vertices(name)) for name in self.train_names]
        return hashlib.sha256(repr((sizes, self.store.label_space.to_dict())).encode()).hexdigest()

    @property
    def _engine(self) -> str:
        """What convolves; nothing for a network of images. On a GPU to ask for ``auto`` may prove engines."""
        name, device = self.experiment.engine, self.processes.device
        if not self.experiment.model.is_sparse:
            return ""
        return f", engine {current_engine(device)} (auto)" if name == AUTO else f", engine {name}"

    def local_losses(self, state: TrainingState) -> str:
        """Which losses are not those of the joined batch of a step, in one line, or "" for none."""
        local = state.learner.objective.local
        parts = self.processes.world * self.experiment.train.accumulate
        if not local or parts == 1:
            return ""
        return (
            f"{', '.join(local)}: local, the mean over the {parts} parts of a step's batch (processes times "
            "micro-batches); all other losses are those of the joined batch"
        )

    def headline(self, first: int) -> str:
        """What is about to happen, in one line."""
        begins = f"continues at step {first} of" if first else "trains for"
        return (
            f"{self.experiment.name} {begins} {self.total_steps} steps on {len(self.train_names)} "
            f"{self.store.members}, {self.store.label_space.num_classes} classes; {len(self.val_names)} "
            f"validation {self.store.members}; "
            f"{self.processes.world} x {self.processes.device}, {torch.get_num_threads()} CPU threads"
            f"{self._engine}"
        )


def labelled(store: Source, split: str) -> tuple[str, ...]:
    """The labelled scenes of a split.

    Raises:
        ValueError: if there is none.
    """
    names = tuple(name for name in store.scene_names(split) if store.has_labels(name))
    if not names:
        raise ValueError(f"{store.path}: no scene of split {split!r} is labelled.")
    return names


def set_num_threads(num_threads: int | None) -> None:
    """Threads of torch on CPU: as asked, or OMP_NUM_THREADS, or all cores this process may use."""
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(num_cores())
