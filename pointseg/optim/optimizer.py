"""Optimisers: SGD and AdamW with their options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from pointseg.config import Config


class OptimizerConfig(Config):
    """Base of the optimisers' options.

    Args:
        lr: the learning rate that the schedule's factor multiplies (its peak).
        weight_decay: decay of the weights.
        decay_vectors: whether biases and the scales of norms decay too, as the public 3D recipes do.
    """

    lr: float = Field(default=0.05, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    decay_vectors: bool = True

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over the parameters that learn."""
        raise TypeError(f"{type(self).__name__} must define build(parameters).")

    def groups(self, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
        """Parameter groups with their weight decay; empty groups are left out."""
        learned = [p for p in parameters if p.requires_grad]
        if self.decay_vectors:
            return [{"params": learned, "weight_decay": self.weight_decay}]
        matrices = {"params": [p for p in learned if p.ndim > 1], "weight_decay": self.weight_decay}
        vectors = {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0}
        return [group for group in (matrices, vectors) if group["params"]]


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

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            self.groups(parameters),
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

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.groups(parameters), lr=self.lr, betas=self.betas, eps=self.eps, fused=True
        )
