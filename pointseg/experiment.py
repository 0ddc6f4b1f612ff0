"""Experiment: everything that defines a training run, and the tables of what can be chosen in it.

Adding a method is one file and one row here: a loss in LOSSES, a head in HEADS, a network in BACKBONES, a
kind of data set in DATASETS. A row's key is the ``type`` in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import torch
from pydantic import BeforeValidator, Field, field_validator, model_validator

from pointseg.config import Config
from pointseg.core.labels import LabelSpace
from pointseg.core.statistics import ClassStatistics
from pointseg.images.dataset import ImageData
from pointseg.images.pipeline import ImagePipeline
from pointseg.losses.adaptive import PixelAdaptiveConfig
from pointseg.losses.base import LossConfig, LossTerm, Objective
from pointseg.losses.blv import BalancingLogitVariationConfig
from pointseg.losses.ceco import CenterCollapseConfig
from pointseg.losses.cross_entropy import CrossEntropyConfig
from pointseg.losses.dice import DiceConfig
from pointseg.losses.dot_regression import DotRegressionConfig
from pointseg.losses.eqlv2 import EqualizationLossV2Config
from pointseg.losses.focal import FocalConfig
from pointseg.losses.ldam import LDAMConfig
from pointseg.losses.logit_adjustment import BalancedSoftmaxConfig, LogitAdjustmentConfig
from pointseg.losses.lovasz import LovaszConfig
from pointseg.losses.prior import log_prior, training_counts
from pointseg.losses.recall import RecallConfig
from pointseg.losses.region_rebalance import RegionRebalanceConfig
from pointseg.losses.seesaw import SeesawConfig
from pointseg.losses.suppression import PENALTY, OnBothBranches, SuppressionPenalty
from pointseg.losses.tilted import TiltedCrossEntropyConfig
from pointseg.losses.top_k import TopKConfig
from pointseg.models.backbone import BackboneConfig
from pointseg.models.cosine import CosineHeadConfig
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.etf import ETFHeadConfig
from pointseg.models.heads import HeadConfig, LinearHeadConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.minkunet import MinkUNetConfig
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
from pointseg.scans.pipeline import NUM_VIEWS, ScenePipeline
from pointseg.scans.transforms import TransformConfig
from pointseg.sparse.engines import AUTO, known_engine

AnyPipeline: TypeAlias = ScenePipeline | ImagePipeline

DATASETS: dict[str, type[StoreData] | type[ImageData]] = {"store": StoreData, "images": ImageData}
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
    "tilted": TiltedCrossEntropyConfig,
    "pat": PixelAdaptiveConfig,
    "balanced_softmax": BalancedSoftmaxConfig,
    "blv": BalancingLogitVariationConfig,
    "dice": DiceConfig,
    "dot_regression": DotRegressionConfig,
    "eqlv2": EqualizationLossV2Config,
    "focal": FocalConfig,
    "ldam": LDAMConfig,
    "logit_adjustment": LogitAdjustmentConfig,
    "lovasz": LovaszConfig,
    "recall": RecallConfig,
    "region_rebalance": RegionRebalanceConfig,
    "seesaw": SeesawConfig,
    "top_k": TopKConfig,
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
    AnyData: TypeAlias = StoreData | ImageData
    AnyBackbone: TypeAlias = BackboneConfig
    AnyHead: TypeAlias = HeadConfig
    AnyLoss: TypeAlias = LossConfig
    AnyOptimizer: TypeAlias = OptimizerConfig
    AnySchedule: TypeAlias = ScheduleConfig
else:
    AnyData, AnyBackbone = one_of(DATASETS, "store"), one_of(BACKBONES, "minkunet")
    AnyHead, AnyLoss = map(one_of, (HEADS, LOSSES))
    AnyOptimizer, AnySchedule = map(one_of, (OPTIMIZERS, SCHEDULES))


class TrainConfig(Config):
    """How long and in what portions to train.

    Args:
        steps: optimiser steps; give this or ``epochs``.
        epochs: passes over the data (each ``data.passes`` passes over the scenes).
        batch_size: largest number of scenes in a forward pass of one process.
        point_budget: largest number of points in a forward pass of one process, before augmentation, or None.
        accumulate: forward passes for each optimiser step.
        clip_norm: largest gradient norm, or None.
        amp: type of the forward pass; fp16 (with loss scaling) needs a GPU.
        ema_decay: decay of the weight average that is validated and saved as best, or None.
        val_every: steps between validations; 0 validates at the end only.
        checkpoint_every: steps between saves of last.pt.
        log_every: steps between rows of metrics.jsonl; on a GPU also between looks at what it did.
        activation_checkpointing: compute the insides of residual blocks again in the backward pass, for less
            memory and a third more work.
        workers: processes that read scenes; 0 reads in the main one.
        max_bad_batches: how many batches with a non-finite loss or gradient are skipped before giving up.
        num_threads: threads of torch on CPU; None takes OMP_NUM_THREADS or else all cores.
        init_from: RUN folder (also of ``pointseg convert``) or checkpoint whose weights a new training starts
            from; the classifier starts anew where the classes are others.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=4, ge=1)
    point_budget: int | None = Field(default=None, ge=1)
    accumulate: int = Field(default=1, ge=1)
    clip_norm: float | None = Field(default=None, gt=0)
    amp: Literal["none", "bf16", "fp16"] = "none"
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    val_every: int = Field(default=1000, ge=0)
    checkpoint_every: int = Field(default=500, ge=1)
    log_every: int = Field(default=10, ge=1)
    activation_checkpointing: bool = False
    workers: int = Field(default=0, ge=0)
    max_bad_batches: int = Field(default=20, ge=0)
    num_threads: int | None = Field(default=None, ge=1)
    init_from: Path | None = None

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
    """

    views: int = Field(default=1, ge=1, le=NUM_VIEWS)
    max_tile_points: int | None = Field(default=None, ge=1)
    logit_adjustment_tau: float = 0.0


class Experiment(Config):
    """One training run. Every field but ``data`` and the length of the training has a default.

    Args:
        name: for people.
        seed: seed of everything random.
        data: the scenes, the voxel size and the features.
        augment: transforms of the training scenes, in order.
        mix3d_p: probability that two scenes of a batch are laid over each other (Mix3D).
        model: the backbone.
        head: the classifier.
        losses: name -> loss; the objective is their weighted sum.
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
    losses: dict[str, AnyLoss] = Field(default={"cross_entropy": CrossEntropyConfig()}, min_length=1)
    optimizer: AnyOptimizer = SGDConfig()
    schedule: AnySchedule = OneCycleConfig()
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    engine: str = AUTO

    @field_validator("engine")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return known_engine(value)

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        if any("." in name or not name for name in self.losses):
            raise ValueError("losses: names must not be empty or hold a dot")
        if not any(loss.trains_classifier and loss.weight > 0 for loss in self.losses.values()):
            raise ValueError(
                f"losses: {', '.join(self.losses)} would leave the classifier untrained; add a "
                "classification loss, such as main: {type: cross_entropy}"
            )
        head = getattr(self.head, "type", None)
        for name, loss in self.losses.items():
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
        if self.head.suppresses and PENALTY in self.losses:
            raise ValueError(
                f"losses: {PENALTY!r} is the name of the head's own penalty; choose another name"
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
        self.data.check(self.augment, self.mix3d_p)
        return self

    def build_pipeline(self, label_space: LabelSpace, device: torch.device | str) -> AnyPipeline:
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
            ValueError: if logits are to be adjusted and no counts are given.
        """
        segmenter = Segmenter(self.model.build(in_channels), num_classes, self.head, engine=self.engine)
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
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> Objective:
        """The weighted sum of the losses for a training set."""

        def build(loss: LossConfig) -> LossTerm:
            return loss.build(statistics, label_space=label_space, feature_channels=feature_channels)

        weights = {name: loss.weight for name, loss in self.losses.items()}
        if not self.head.suppresses:
            return Objective({name: build(loss) for name, loss in self.losses.items()}, weights)
        terms: dict[str, LossTerm] = {
            name: OnBothBranches(build(loss), build(loss)) if loss.trains_classifier else build(loss)
            for name, loss in self.losses.items()
        }
        terms[PENALTY] = SuppressionPenalty()
        return Objective(terms, {**weights, PENALTY: 1.0})
