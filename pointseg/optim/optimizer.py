"""Optimisers: SGD and AdamW with their options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from pydantic import Field, model_validator
from torch import nn

from pointseg.config import Config
from pointseg.optim.groups import GroupRule, parameter_groups

Named: TypeAlias = Iterable[tuple[str, nn.Parameter]]


class OptimizerConfig(Config):
    """Base of the optimisers' options.

    Args:
        lr: the learning rate that the schedule's factor multiplies (its peak).
        weight_decay: decay of the weights.
        decay_vectors: whether biases and the scales of norms decay too, as the public 3D recipes do.
        groups: other learning rates and decays for some parameters, by their names.
        layer_decay: the learning rate of each layer is this times that of the layer above it, for networks
            that tell their layers; None for one rate.
    """

    lr: float = Field(default=0.05, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    decay_vectors: bool = True
    groups: tuple[GroupRule, ...] = ()
    layer_decay: float | None = Field(default=None, gt=0, le=1)

    def build(self, named: Named, layers: Sequence[Sequence[str]] = ()) -> torch.optim.Optimizer:
        """The optimiser over the parameters that learn.

        Args:
            named: parameters with their names.
            layers: the layers of the network, see BackboneConfig.layers.

        Raises:
            ValueError: see :func:`parameter_groups`.
        """
        raise TypeError(f"{type(self).__name__} must define build(named, layers).")

    def parameter_groups(self, named: Named, layers: Sequence[Sequence[str]] = ()) -> list[dict[str, Any]]:
        """The groups that these options ask for."""
        return parameter_groups(
            named,
            weight_decay=self.weight_decay,
            decay_vectors=self.decay_vectors,
            rules=self.groups,
            layer_decay=self.layer_decay,
            layers=layers,
        )


class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent; see torch.optim.SGD."""

    type: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    dampening: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _nesterov_is_possible(self) -> SGDConfig:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs momentum above 0 and dampening 0")
        return self

    def build(self, named: Named, layers: Sequence[Sequence[str]] = ()) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            self.parameter_groups(named, layers),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            dampening=self.dampening,
            fused=True,
        )


class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay; see torch.optim.AdamW."""

    type: Literal["adamw"] = "adamw"
    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)

    def build(self, named: Named, layers: Sequence[Sequence[str]] = ()) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.parameter_groups(named, layers), lr=self.lr, betas=self.betas, eps=self.eps, fused=True
        )
