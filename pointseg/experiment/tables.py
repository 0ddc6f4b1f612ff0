"""The tables of what can be chosen in an experiment: adding a method is one file and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

from pydantic import BeforeValidator, Field

from pointseg.config import Config
from pointseg.data.kind import Kind
from pointseg.images.dataset import ImageData
from pointseg.losses.adaptive import PixelAdaptiveConfig
from pointseg.losses.auc import SquareAUCConfig
from pointseg.losses.base import LossConfig
from pointseg.losses.blv import BalancingLogitVariationConfig
from pointseg.losses.ceco import CenterCollapseConfig
from pointseg.losses.class_mean import ClassMeanConfig
from pointseg.losses.context_distillation import ContextDistillationConfig
from pointseg.losses.cross_entropy import CrossEntropyConfig
from pointseg.losses.dice import DiceConfig
from pointseg.losses.dot_regression import DotRegressionConfig
from pointseg.losses.eqlv2 import EqualizationLossV2Config
from pointseg.losses.focal import FocalConfig
from pointseg.losses.ignored_probability import IgnoredProbabilityConfig
from pointseg.losses.ldam import LDAMConfig
from pointseg.losses.logit_adjustment import BalancedSoftmaxConfig, LogitAdjustmentConfig
from pointseg.losses.lovasz import LovaszConfig
from pointseg.losses.pixel_contrast import PixelContrastConfig
from pointseg.losses.recall import RecallConfig
from pointseg.losses.region_classifier import RegionClassifierConfig
from pointseg.losses.seesaw import SeesawConfig
from pointseg.losses.spatial_balance import SpatialClassBalancedConfig
from pointseg.losses.tilted import TiltedCrossEntropyConfig
from pointseg.losses.top_k import TopKConfig
from pointseg.losses.weight_constraint import WeightConstraintConfig
from pointseg.models.backbone import BackboneConfig
from pointseg.models.context_aware import ContextAwareHeadConfig
from pointseg.models.cosine import CosineHeadConfig
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.efficientnet_unet import EfficientUNetConfig
from pointseg.models.etf import ETFHeadConfig
from pointseg.models.heads import HeadConfig, LinearHeadConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.segformer import SegformerConfig
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

DATASETS: dict[str, type[Kind]] = {"store": StoreData, "images": ImageData}
BACKBONES: dict[str, type[BackboneConfig]] = {
    "minkunet": MinkUNetConfig,
    "image_unet": ImageUNetConfig,
    "efficientnet_unet": EfficientUNetConfig,
    "segformer": SegformerConfig,
    "upernet": UPerNetConfig,
    "deeplabv3plus": DeepLabV3PlusConfig,
}
HEADS: dict[str, type[HeadConfig]] = {
    "linear": LinearHeadConfig,
    "cosine": CosineHeadConfig,
    "etf": ETFHeadConfig,
    "class_suppression": ClassSuppressionHeadConfig,
    "context_aware": ContextAwareHeadConfig,
}
LOSSES: dict[str, type[LossConfig]] = {
    "cross_entropy": CrossEntropyConfig,
    "ceco": CenterCollapseConfig,
    "class_mean": ClassMeanConfig,
    "tilted": TiltedCrossEntropyConfig,
    "pat": PixelAdaptiveConfig,
    "auc": SquareAUCConfig,
    "balanced_softmax": BalancedSoftmaxConfig,
    "context_distillation": ContextDistillationConfig,
    "blv": BalancingLogitVariationConfig,
    "dice": DiceConfig,
    "dot_regression": DotRegressionConfig,
    "eqlv2": EqualizationLossV2Config,
    "focal": FocalConfig,
    "ignored_probability": IgnoredProbabilityConfig,
    "ldam": LDAMConfig,
    "logit_adjustment": LogitAdjustmentConfig,
    "lovasz": LovaszConfig,
    "pixel_contrast": PixelContrastConfig,
    "recall": RecallConfig,
    "region_classifier": RegionClassifierConfig,
    "seesaw": SeesawConfig,
    "spatial_class_balanced": SpatialClassBalancedConfig,
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
