"""Experiment: everything that defines a training run, and the tables of what can be chosen in it.

Adding a method is one file and one row here: a loss in LOSSES, a head in HEADS, a network in BACKBONES, a
kind of data set in DATASETS. A row's key is the ``type`` in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, Union

import torch
from pydantic import BeforeValidator, Field, field_validator, model_validator

from pointseg.config import Config, load_config
from pointseg.core.derived_labels import DerivedLabels, read_raw_id_mapping
from pointseg.core.labels import LabelSpace, distinct_colors, load_label_space
from pointseg.core.rows import MAIN
from pointseg.core.statistics import ClassStatistics
from pointseg.data.kind import NUM_VIEWS, Kind, Pipeline
from pointseg.images.dataset import ImageData
from pointseg.losses.adaptive import PixelAdaptiveConfig
from pointseg.losses.auc import SquareAUCConfig
from pointseg.losses.base import BranchTerms, LossConfig, LossTerm
from pointseg.losses.blv import BalancingLogitVariationConfig
from pointseg.losses.ceco import CenterCollapseConfig
from pointseg.losses.class_mean import ClassMeanConfig
from pointseg.losses.cross_entropy import CrossEntropyConfig
from pointseg.losses.dice import DiceConfig
from pointseg.losses.dot_regression import DotRegressionConfig
from pointseg.losses.eqlv2 import EqualizationLossV2Config
from pointseg.losses.focal import FocalConfig
from pointseg.losses.ignored_probability import IgnoredProbabilityConfig
from pointseg.losses.ldam import LDAMConfig
from pointseg.losses.logit_adjustment import BalancedSoftmaxConfig, LogitAdjustmentConfig
from pointseg.losses.lovasz import LovaszConfig
from pointseg.losses.main_term import MAIN_LOSS, make_room, with_main
from pointseg.losses.objective import Objective
from pointseg.losses.prior import log_prior, training_counts
from pointseg.losses.recall import RecallConfig
from pointseg.losses.region_classifier import RegionClassifierConfig
from pointseg.losses.seesaw import SeesawConfig
from pointseg.losses.tilted import TiltedCrossEntropyConfig
from pointseg.losses.top_k import TopKConfig
from pointseg.losses.weight_constraint import WeightConstraintConfig
from pointseg.models.backbone import BackboneConfig
from pointseg.models.cosine import CosineHeadConfig
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.etf import ETFHeadConfig
from pointseg.models.heads import HeadConfig, LinearHeadConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.precision import Amp, Precision
from pointseg.models.segformer import SegformerConfig
from pointseg.models.segmenter import Segmenter
from pointseg.models.suppression import ClassSuppressionHeadConfig
from pointseg.models.upernet import UPerNetConfig
from pointseg.optim.optimizer import AdamWConfig, OptimizerConfig, SGDConfig
from pointseg.optim.schedule import (
    ConstantConfig,
    CosineConfig,
    MultiStepConfig,
    OneCycleConfig,
    PolyConfig,
    ScheduleConfig,
)
from pointseg.scans.dataset import StoreData
from pointseg.scans.transforms import TransformConfig
from pointseg.sparse.engines import AUTO, known_engine

DATASETS: dict[str, type[Kind]] = {"store": StoreData, "images": ImageData}
BACKBONES: dict[str, type[BackboneConfig]] = {
    "minkunet": MinkUNetConfig,
    "image_unet": ImageUNetConfig,
    "segformer": SegformerConfig,
    "upernet": UPerNetConfig,
    "deeplabv3plus": DeepLabV3PlusConfig,
}
HEADS: dict[str, type[HeadConfig]] = {
    "linear": LinearHeadConfig,
    "cosine": CosineHeadConfig,
    "etf": ETFHeadConfig,
    "class_suppression": ClassSuppressionHeadConfig,
}
LOSSES: dict[str, type[LossConfig]] = {
    "cross_entropy": CrossEntropyConfig,
    "ceco": CenterCollapseConfig,
    "class_mean": ClassMeanConfig,
    "tilted": TiltedCrossEntropyConfig,
    "pat": PixelAdaptiveConfig,
    "auc": SquareAUCConfig,
    "balanced_softmax": BalancedSoftmaxConfig,
    "blv": BalancingLogitVariationConfig,
    "dice": DiceConfig,
    "dot_regression": DotRegressionConfig,
    "eqlv2": EqualizationLossV2Config,
    "focal": FocalConfig,
    "ignored_probability": IgnoredProbabilityConfig,
    "ldam": LDAMConfig,
    "logit_adjustment": LogitAdjustmentConfig,
    "lovasz": LovaszConfig,
    "recall": RecallConfig,
    "region_classifier": RegionClassifierConfig,
    "seesaw": SeesawConfig,
    "top_k": TopKConfig,
    "weight_constraint": WeightConstraintConfig,
}
OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"sgd": SGDConfig, "adamw": AdamWConfig}
SCHEDULES: dict[str, type[ScheduleConfig]] = {
    "onecycle": OneCycleConfig,
    "poly": PolyConfig,
    "multistep": MultiStepConfig,
    "cosine": CosineConfig,
    "constant": ConstantConfig,
}


def one_of(table: Mapping[str, type[Config]], default: str | None = None) -> Any:
    """The type of a field whose ``type`` key picks a row of a table; without the key, row ``default``."""
    models = tuple(table.values())

    def check_type(value: Any) -> Any:
        if isinstance(value, Mapping) and "type" not in value:
            if default is not None:
                return {"type": default, **value}
            raise ValueError(f"give its type, one of {', '.join(table)}")
        return value

    return Annotated[Union[models], Field(discriminator="type"), BeforeValidator(check_type)]  # noqa: UP007


if TYPE_CHECKING:
    AnyData: TypeAlias = Kind
    AnyBackbone: TypeAlias = BackboneConfig
    AnyHead: TypeAlias = HeadConfig
    AnyLoss: TypeAlias = LossConfig
    AnyOptimizer: TypeAlias = OptimizerConfig
    AnySchedule: TypeAlias = ScheduleConfig
else:
    AnyData, AnyBackbone = one_of(DATASETS, "store"), one_of(BACKBONES, "minkunet")
    AnyHead, AnyLoss = map(one_of, (HEADS, LOSSES))
    AnyOptimizer, AnySchedule = map(one_of, (OPTIMIZERS, SCHEDULES))


class OtherHead(Config):
    """A head beside the main one, on the same features, with labels of its own.

    Args:
        labels: a label set that ships with pointseg, or raw id -> name of its classes.
        mapping: raw id of a class of the data's label set -> raw id of its class in ``labels``, or a CSV file
            with two such ids a line; classes that are not in it are unlabelled for this head. None: the ids
            are the same.
        head: the classifier.
    """

    labels: str | dict[int, str]
    mapping: dict[int, int] | None = None
    head: AnyHead = LinearHeadConfig()

    @field_validator("mapping", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        # Read once, so that a run that keeps its configuration needs the file no more.
        return read_raw_id_mapping(Path(value)) if isinstance(value, str | Path) else value

    def space(self, name: str) -> LabelSpace:
        """Its classes; those of a set of its own get the head's name."""
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
        return DerivedLabels(main, self.space(name), mapping)


class TrainConfig(Config):
    """How long and in what portions to train.

    Args:
        steps: optimiser steps; give this or ``epochs``. Of several layers the last that gives one wins.
        epochs: passes over the data (each ``data.passes`` passes over the scenes).
        batch_size: largest number of scenes in a forward pass of one process.
        point_budget: largest number of points in a forward pass of one process, before augmentation, or None.
        accumulate: batches for each optimiser step. The step's loss and gradient are those of all their rows
            together (see pointseg.training.accumulation), so all are held at once; losses that are not linear
            in their sums (ceco, tilted, dice, recall, pat with gradient_norm) need two forward passes for
            that, about a third more time. With 1 nothing of this costs anything.
        clip_norm: largest gradient norm, or None.
        amp: type of the forward pass; fp16 (with loss scaling) needs a GPU.
        ema_decay: decay of the weight average that is validated and saved as best, or None.
        val_every: steps between validations; 0 validates at the end only.
        checkpoint_every: steps between saves of last.pt.
        log_every: steps between rows of metrics.jsonl; on a GPU also between looks at what it did.
        activation_checkpointing: compute the insides of the network's blocks again in the backward pass, for
            less memory and a third more work; a network that cannot is refused.
        workers: processes that read scenes; 0 reads in the main one.
        max_bad_batches: how many batches with a non-finite loss or gradient are skipped before giving up.
        num_threads: threads of torch on CPU; None takes OMP_NUM_THREADS or else all cores.
        deterministic: on a GPU only sums of one order, for the same bits in every run; slower, and an
            operation of torch that has none is refused.
        init_from: RUN folder (also of ``pointseg convert``) or checkpoint whose weights a new training starts
            from; the classifier starts anew where the classes are others.
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
    clip_norm: float | None = Field(default=None, gt=0)
    amp: Amp = "none"
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    val_every: int = Field(default=1000, ge=0)
    checkpoint_every: int = Field(default=500, ge=1)
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


class Experiment(Config):
    """One training run. Every field but ``data`` and the length of the training has a default.

    Args:
        name: for people.
        seed: seed of everything random.
        data: the scenes, the voxel size and the features.
        augment: transforms of the training scenes, in order.
        mix3d_p: probability that two scenes of a batch are laid over each other (Mix3D).
        model: the backbone.
        head: the classifier, called ``main``.
        heads: further heads by name, each with labels of its own, such as coarse classes.
        losses: name -> loss; the objective is their weighted sum. ``main`` is the classification loss that
            methods replace; it is cross entropy where there is no other.
        optimizer, schedule: what moves the weights; the schedule multiplies ``optimizer.lr``.
        train, evaluate: see there.
        engine: what convolves: ``auto`` or a name of pointseg.sparse.ENGINES. It changes the speed and
            the last digits, so one run may be continued and evaluated with any.
    """

    name: str = "experiment"
    seed: int = Field(default=0, ge=0)
    data: AnyData
    augment: tuple[TransformConfig, ...] = ()
    mix3d_p: float = Field(default=0.0, ge=0, le=1)
    model: AnyBackbone = MinkUNetConfig()
    head: AnyHead = LinearHeadConfig()
    heads: dict[str, OtherHead] = Field(default={})
    losses: dict[str, AnyLoss] = Field(default={MAIN_LOSS: CrossEntropyConfig()}, min_length=1)
    optimizer: AnyOptimizer = SGDConfig()
    schedule: AnySchedule = OneCycleConfig()
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    engine: str = AUTO

    def __repr__(self) -> str:
        return (
            f"Experiment({self.name!r}: {self.data.kind} in {self.data.path}, "
            f"losses {' + '.join(self.losses)})"
        )

    __str__ = __repr__

    @classmethod
    def make_room(
        cls, below: dict[str, Any], above: Mapping[str, Any], *, method: str | None, adds: bool
    ) -> dict[str, Any]:
        """See Config: types that were left out are named, so that another one replaces them; the main loss
        gets its name; and a method adds its own to that of the experiment."""
        room = dict(below)
        for key, default in (("data", "store"), ("model", "minkunet")):
            if isinstance(room.get(key), Mapping):
                room[key] = {"type": default, **room[key]}
        if isinstance(above.get("losses"), Mapping):
            room["losses"] = make_room(room.get("losses"), above["losses"], LOSSES, adds=adds)
        if method is not None and "name" in room:
            room["name"] = f"{room['name']}+{method}"
        return room

    @model_validator(mode="before")
    @classmethod
    def _has_main_loss(cls, data: Any) -> Any:
        losses = data.get("losses") if isinstance(data, Mapping) else None
        return {**data, "losses": with_main(losses, LOSSES)} if isinstance(losses, Mapping) else data

    @field_validator("engine")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return known_engine(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        if any("." in name or not name for name in self.losses):
            raise ValueError("losses: names must not be empty or hold a dot")
        if any(name == MAIN or "." in name or not name for name in self.heads):
            raise ValueError(f"heads: names must not be empty or hold a dot, and {MAIN!r} is that of `head`")
        self._check_losses_of_heads()
        for name, loss in self.losses.items():
            head = getattr(self.all_heads[loss.head], "type", None)
            if loss.needs_head not in (None, head):
                raise ValueError(
                    f"losses.{name}: this loss makes sense with the {loss.needs_head} head only; set "
                    f"head: {{type: {loss.needs_head}}} or choose another loss"
                )
        adjusting = (BalancedSoftmaxConfig, LogitAdjustmentConfig)
        twice = [name for name, loss in self.losses.items() if isinstance(loss, adjusting)]
        if self.evaluate.logit_adjustment_tau and twice:
            raise ValueError(
                f"losses.{twice[0]} has trained the class prior away already; evaluate.logit_adjustment_tau "
                "would take it off a second time. Use one of the two"
            )
        if taken := self.losses.keys() & self.extra_losses.keys():
            raise ValueError(
                f"losses: {sorted(taken)[0]!r} is the name of a loss that the head brings along; choose "
                "another name"
            )
        if self.optimizer.layer_decay is not None and not self.model.layers():
            raise ValueError(
                f"optimizer.layer_decay: {self.model.type} does not tell the order of its layers; "  # type: ignore[attr-defined]
                "use optimizer.groups with lr_scale instead"
            )
        if self.model.kind != self.data.kind:
            fitting = [name for name, row in BACKBONES.items() if row.kind == self.data.kind]
            raise ValueError(
                f"model: {self.model.type} is a network for {self.model.kind}, data are {self.data.kind}; "  # type: ignore[attr-defined]
                f"set model: {{type: {fitting[0]}}}"
                + (f", or {', '.join(fitting[1:])}" if fitting[1:] else "")
            )
        if self.train.freeze and self.train.init_from is None and not getattr(self.model, "pretrained", None):
            raise ValueError(
                "train.freeze would keep weights as they are drawn; set train.init_from to the run whose "
                "weights are to stay"
            )
        self.data.check(self.augment, self.mix3d_p)
        return self

    def _check_losses_of_heads(self) -> None:
        for name, loss in self.losses.items():
            if loss.head not in self.all_heads:
                raise ValueError(
                    f"losses.{name}: no head {loss.head!r}; there are {', '.join(self.all_heads)}"
                )
        for head in self.all_heads:
            own = {name: loss for name, loss in self.losses.items() if loss.head == head}
            if not any(loss.trains_classifier and loss.weight > 0 for loss in own.values()):
                of = "the classifier" if head == MAIN else f"the classifier of head {head!r}"
                like = "main: {type: cross_entropy}"
                if head != MAIN:
                    like = f"{head}: {{type: cross_entropy, head: {head}}}"
                raise ValueError(
                    f"losses: {', '.join(self.losses)} would leave {of} untrained; add a classification "
                    f"loss, such as {like}"
                )

    @property
    def all_heads(self) -> dict[str, HeadConfig]:
        """Options of all heads by name, the main one first."""
        return {MAIN: self.head, **{name: other.head for name, other in self.heads.items()}}

    @property
    def extra_losses(self) -> dict[str, LossConfig]:
        """The losses that heads bring along; those of another head than the main one have its name before."""
        return {
            name if head == MAIN else f"{head}_{name}": LOSSES[options["type"]].model_validate(
                {**options, "head": head}
            )
            for head, config in self.all_heads.items()
            for name, options in config.extra_losses().items()
        }

    def derived_labels(self, label_space: LabelSpace) -> dict[str, DerivedLabels]:
        """The labels of the heads beside the main one, from those of the data."""
        return {name: other.derived(name, label_space) for name, other in self.heads.items()}

    def build_pipeline(self, label_space: LabelSpace, device: torch.device | str) -> Pipeline:
        """What makes batches on a device."""
        return self.data.build_pipeline(label_space, device, augment=self.augment, mix3d_p=self.mix3d_p)

    def build_segmenter(
        self, in_channels: int, num_classes: int, statistics: ClassStatistics | None = None
    ) -> Segmenter:
        """The network with fresh weights, drawn from torch's global generator.

        Args:
            in_channels: channels of its input.
            num_classes: K.
            statistics: class counts of the training split, for the post-hoc logit adjustment.

        Raises:
            ValueError: if logits are to be adjusted and no counts are given, or a classifier normalised that
                is not linear.
        """
        others = {name: (other.space(name).num_classes, other.head) for name, other in self.heads.items()}
        segmenter = Segmenter(
            self.model.build(in_channels),
            num_classes,
            self.head,
            engine=self.engine,
            precision=Precision(self.evaluate.amp, self.evaluate.tf32),
            others=others,
        )
        if self.evaluate.tau_normalisation:
            segmenter.head.normalise_classifier(self.evaluate.tau_normalisation)
        tau = self.evaluate.logit_adjustment_tau
        if tau:
            if statistics is None:
                raise ValueError(
                    "evaluate.logit_adjustment_tau needs the class counts of the training set, which a run "
                    "keeps in class_statistics.json; there are none. Train again, or set tau to 0."
                )
            segmenter.adjust_logits(-tau * log_prior(training_counts(statistics, "points"), num_classes))
        return segmenter

    def build_objective(
        self,
        statistics: ClassStatistics,
        *,
        label_space: LabelSpace,
        feature_channels: int,
        others: Mapping[str, tuple[ClassStatistics, LabelSpace, int]] | None = None,
    ) -> Objective:
        """The weighted sum of the losses for a training set, those that heads bring along too.

        Args:
            statistics, label_space: of the main head's labels.
            feature_channels: channels of its features.
            others: the same three for each other head, by name.
        """
        given = {MAIN: (statistics, label_space, feature_channels), **(others or {})}

        def build(loss: LossConfig) -> LossTerm:
            counts, space, channels = given[loss.head]
            return loss.build(counts, label_space=space, feature_channels=channels)

        losses = {**self.losses, **self.extra_losses}
        terms: dict[str, LossTerm | BranchTerms] = {}
        for name, loss in losses.items():
            branches = self.all_heads[loss.head].num_branches if loss.trains_classifier else 1
            terms[name] = (
                build(loss) if branches == 1 else BranchTerms([build(loss) for _ in range(branches)])
            )
        return Objective(
            terms,
            {name: loss.weight for name, loss in losses.items()},
            {name: loss.head for name, loss in losses.items()},
        )


def load_experiment(
    recipe: Path | str | Sequence[Path | str],
    *,
    methods: Path | str | Sequence[Path | str] = (),
    overrides: Sequence[str] = (),
) -> Experiment:
    """An experiment from recipes, methods and `key=value` overrides, each laid over those before it.

    Args:
        recipe: YAML file or name of a shipped recipe, such as ``synthetic/demo``; or several.
        methods: YAML files or names of shipped methods, such as ``ceco``; see `pointseg recipes`.
        overrides: such as ``train.steps=100``.

    Raises:
        ConfigError: for a name that is none, a key that is none, or methods that do not go together.
    """
    return load_config(Experiment, recipe, overrides, methods=methods)
