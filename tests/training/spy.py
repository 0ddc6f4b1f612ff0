"""A loss that writes down what reaches it, and whose gradient is known by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pointseg.core.rows import Supervised
from pointseg.losses.base import LossTerm
from pointseg.losses.cross_entropy import CrossEntropyConfig


class Spy(LossTerm):
    """The mean of the first class's logits: the gradient of that class's bias is 1, that of the others 0.

    Args:
        calls: gets what each call saw: progress, a random number, and whether the loss was training.
        spoil: makes another loss of the plain one and the number of the call.
    """

    def __init__(self, calls: list[dict[str, Any]], spoil: Callable[[Tensor, int], Tensor] | None) -> None:
        super().__init__()
        self.calls = calls
        self.spoil = spoil

    def forward(self, supervised: Supervised) -> Tensor:
        seen = {"progress": supervised.progress, "random": float(torch.rand(())), "training": self.training}
        self.calls.append(seen)
        loss = supervised.logits[:, 0].mean()
        return loss if self.spoil is None else self.spoil(loss, len(self.calls))


def plant(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Tensor, int], Tensor] | None = None
) -> list[dict[str, Any]]:
    """Let ``type: cross_entropy`` build the spy from now on; what its calls see."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(CrossEntropyConfig, "build", lambda self, statistics, **others: Spy(calls, spoil))
    return calls
