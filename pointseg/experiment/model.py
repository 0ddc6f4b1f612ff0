"""Experiment: everything that defines a training run, and what is built from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator, model_validator

from pointseg.config import Config, load_config
from pointseg.core.derived_labels import DerivedLabels
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import MAIN
from pointseg.core.statistics import ClassStatistics
from pointseg.data.kind import Pipeline
from pointseg.experiment.options import EvaluateConfig, OtherHead, TrainConfig
from pointseg.experiment.tables import (
    BACKBONES,
    LOSSES,
    AnyBackbone,
    AnyData,
    AnyHead,
    AnyLoss,
    AnyOptimizer,
    AnySchedule,
)
from pointseg.losses.base import BranchTerms, LossConfig, LossTerm
from pointseg.losses.cross_entropy import CrossEntropyConfig
from pointseg.losses.logit_adjustment import BalancedSoftmaxConfig, LogitAdjustmentConfig
from pointseg.losses.main_term import MAIN_LOSS, make_room, with_main
from pointseg.losses.objective import Objective
from pointseg.losses.prior import log_prior, training_counts
from pointseg.models.heads import HeadConfig, LinearHeadConfig
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.precision import Precision
from pointseg.models.segmenter import Segmenter
from pointseg.optim.optimizer import SGDConfig
from pointseg.optim.schedule import (
    OneCycleConfig,
)
from pointseg.scans.transforms import TransformConfig
from pointseg.sparse.engines import AUTO, known_engine


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
        self._check_inner_features()
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

    def _check_inner_features(self) -> None:
        given, read = (
            set(self.model.inner_features()),
            {other.reads for other in self.heads.values()} - {None},
        )
        model = self.model.type  # type: ignore[attr-defined]
        if missing := sorted(read - given):  # type: ignore[type-var]
            raise ValueError(
                f"heads: model {model} gives no inner features {missing[0]!r} as it is set; it gives "
                f"{', '.join(sorted(given)) or 'none'}. For upernet set model.auxiliary=true"
            )
        if idle := sorted(given - read):
            raise ValueError(
                f"model: nothing reads the inner features {idle[0]!r}; add heads: {{{idle[0]}: {{reads: "
                f"{idle[0]}}}}} with a loss, such as losses: {{{idle[0]}: {{type: cross_entropy, head: "
                f"{idle[0]}, weight: 0.4}}}}"
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

    def evaluated_labels(self, label_space: LabelSpace) -> dict[str, DerivedLabels]:
        """Those of the heads that say something in evaluation mode."""
        found = self.derived_labels(label_space)
        return {name: labels for name, labels in found.items() if self.heads[name].reads is None}

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
        others = {
            name: (other.num_classes(name, num_classes), other.head) for name, other in self.heads.items()
        }
        segmenter = Segmenter(
            self.model.build(in_channels),
            num_classes,
            self.head,
            engine=self.engine,
            precision=Precision(self.evaluate.amp, self.evaluate.tf32),
            others=others,
            reads={name: other.reads for name, other in self.heads.items() if other.reads is not None},
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
        own: Mapping[str, LossTerm] | None = None,
    ) -> Objective:
        """The weighted sum of the losses for a training set, those that heads bring along too.

        Args:
            statistics, label_space: of the main head's labels.
            feature_channels: channels of its features.
            others: the same three for each other head, by name.
            own: losses of the user's code by name, in place of those of the same name (which keep their
                weight and head) or beside them (weight 1, main head). They are copied.
        """
        given = {MAIN: (statistics, label_space, feature_channels), **(others or {})}

        def build(loss: LossConfig) -> LossTerm:
            counts, space, channels = given[loss.head]
            return loss.build(counts, label_space=space, feature_channels=channels)

        own = own or {}
        losses = {**self.losses, **self.extra_losses}
        losses |= {name: LossConfig() for name in own if name not in losses}
        terms: dict[str, LossTerm | BranchTerms] = {}
        for name, loss in losses.items():
            branches = self.all_heads[loss.head].num_branches if loss.trains_classifier else 1
            made = [deepcopy(own[name]) if name in own else build(loss) for _ in range(branches)]
            terms[name] = made[0] if branches == 1 else BranchTerms(made)
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
