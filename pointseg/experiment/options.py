"""How long and in what portions to train, how to predict, and further heads: parts of an Experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from pointseg.config import Config
from pointseg.core.derived_labels import DerivedLabels, read_raw_id_mapping
from pointseg.core.labels import LabelSpace, distinct_colors, load_label_space
from pointseg.data.kind import NUM_VIEWS
from pointseg.experiment.tables import AnyHead
from pointseg.models.heads import LinearHeadConfig
from pointseg.models.precision import Amp


class OtherHead(Config):
    """A head beside the main one, on the same features or on inner ones, with labels of its own or the same.

    Args:
        labels: a label set that ships with pointseg, or raw id -> name of its classes; None: those of the
            data, as for an auxiliary head.
        mapping: raw id of a class of the data's label set -> raw id of its class in ``labels``, or a CSV file
            with two such ids a line; classes that are not in it are unlabelled for this head. None: the ids
            are the same.
        reads: features from within the network to classify instead of its last ones, such as ``auxiliary`` of
            upernet. Such a head serves training alone: it is not evaluated.
        head: the classifier.
    """

    labels: str | dict[int, str] | None = None
    mapping: dict[int, int] | None = None
    reads: str | None = None
    head: AnyHead = LinearHeadConfig()

    @field_validator("mapping", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        # Read once, so that a run that keeps its configuration needs the file no more.
        return read_raw_id_mapping(Path(value)) if isinstance(value, str | Path) else value

    def num_classes(self, name: str, of_main: int) -> int:
        """Its number of classes, where the main head has ``of_main``."""
        return of_main if self.labels is None else self.space(name).num_classes

    def space(self, name: str) -> LabelSpace:
        """Its classes, where they are not those of the main head; a set of its own gets the head's name."""
        assert self.labels is not None
        if isinstance(self.labels, str):
            return load_label_space(self.labels)
        ids = tuple(self.labels)
        free = min(set(range(len(ids) + 1)) - set(ids))
        return LabelSpace(
            name,
            ids,
            tuple(self.labels.values()),
            ("",) * len(ids),
            distinct_colors(len(ids)),
            unlabelled_raw_id=free,
        )

    def derived(self, name: str, main: LabelSpace) -> DerivedLabels:
        """Its labels, from those of the data."""
        same = dict(zip(main.raw_ids, main.raw_ids, strict=True))
        mapping = same if self.mapping is None else self.mapping
        return DerivedLabels(main, main if self.labels is None else self.space(name), mapping)


class TrainConfig(Config):
    """How long and in what portions to train.

    Args:
        steps: optimiser steps; give this or ``epochs``. Of several layers the last that gives one wins.
        epochs: passes over the data (each ``data.passes`` passes over the scenes).
        batch_size: largest number of scenes in a forward pass of one process.
        point_budget: largest number of points in a forward pass of one process, before augmentation, or None.
        accumulate: batches for each optimiser step. The step's loss and gradient are those of all their rows
            together (see pointseg.training.accumulation), so all are held at once; losses that are not linear
            in their sums (ceco, tilted, dice, recall, auc, pat with gradient_norm, boundary_cb and the like,
            the distillation of cac) need two forward passes for that, about a third more time. With 1 nothing
            of this costs anything.
        lr_scale: factor of the learning rate in all steps, whatever optimiser and schedule a recipe has;
            below 1 a trained network (``init_from``) is continued gently.
        clip_norm: largest gradient norm, or None.
        amp: type of the forward pass; fp16 (with loss scaling) needs a GPU.
        ema_decay: decay of the weight average that is validated and saved as best, or None.
        val_every: steps between validations; 0 validates at the end only.
        checkpoint_every: steps between saves of last.pt.
        keep_checkpoints: how many of these are kept; a run goes on from the newest one that is whole.
        log_every: steps between rows of metrics.jsonl; on a GPU also between looks at what it did.
        activation_checkpointing: compute the insides of the network's blocks again in the backward pass, for
            less memory and a third more work; a network that cannot is refused.
        workers: processes that read scenes; 0 reads in the main one.
        max_bad_batches: how many batches with a non-finite loss or gradient are skipped before giving up.
        num_threads: threads of torch on CPU; None takes OMP_NUM_THREADS or else all cores.
        deterministic: only sums of one order, for the same bits in every run: on a CPU one thread; on a GPU
            slower, and an operation of torch that has none is refused (the pooling of UPerNet).
        init_from: RUN folder (also of ``pointseg convert``), model or checkpoint whose weights a new training
            starts from; the classifier starts anew where the classes are others.
        init_anew: patterns of names that start anew all the same, such as ``head.*``.
        freeze: patterns of parameters that do not train, such as ``backbone.*``; norms and dropout of parts
            that are frozen whole stay in evaluation mode.
    """

    rivals: ClassVar[tuple[tuple[str, ...], ...]] = (("steps", "epochs"),)

    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=4, ge=1)
    point_budget: int | None = Field(default=None, ge=1)
    accumulate: int = Field(default=1, ge=1)
    lr_scale: float = Field(default=1.0, gt=0)
    clip_norm: float | None = Field(default=None, gt=0)
    amp: Amp = "none"
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    val_every: int = Field(default=1000, ge=0)
    checkpoint_every: int = Field(default=500, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    log_every: int = Field(default=10, ge=1)
    activation_checkpointing: bool = False
    workers: int = Field(default=0, ge=0)
    max_bad_batches: int = Field(default=20, ge=0)
    num_threads: int | None = Field(default=None, ge=1)
    deterministic: bool = False
    init_from: Path | None = None
    init_anew: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _anew_needs_weights(self) -> TrainConfig:
        if self.init_anew and self.init_from is None:
            raise ValueError("train.init_anew leaves entries of train.init_from out; set train.init_from=RUN")
        return self

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of train.steps and train.epochs")
        return self


class EvaluateConfig(Config):
    """How scenes are predicted, in validation and by default afterwards.

    Args:
        views: test-time views whose probabilities are summed; 1 is the scene as it is.
        max_tile_points: larger scenes are predicted in tiles of at most this many vertices; None never cuts.
        logit_adjustment_tau: post-hoc logit adjustment: tau log pi is taken from the logits, with pi the
            share of each class in the training points. Not for losses that have the prior in them already.
        tau_normalisation: post-hoc normalisation of a linear classifier: w_c / |w_c|^tau without bias (Kang
            et al., ICLR 2020); 0 leaves it as trained, 1 makes all class vectors equally long.
        amp: type of the forward pass outside training; ``none`` is float32. How many labels another type
            changes is in benchmarks/gpu.md.
        tf32: whether float32 products on a GPU may round their factors to 10 bits; false is exact.
    """

    views: int = Field(default=1, ge=1, le=NUM_VIEWS)
    max_tile_points: int | None = Field(default=None, ge=1)
    logit_adjustment_tau: float = 0.0
    tau_normalisation: float = Field(default=0.0, ge=0)
    amp: Amp = "none"
    tf32: bool = False
