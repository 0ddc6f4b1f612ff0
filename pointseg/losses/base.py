"""LossTerm, its configuration, and the Objective that adds the terms up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn

from pointseg.config import Config
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics

_HALF = (torch.float16, torch.bfloat16)


class LossTerm(nn.Module):
    """One term of the objective.

    ``forward(supervised) -> scalar`` may use any field of :class:`Supervised`; it is never called without a
    labelled row and always outside autocast, in float32 or wider. Running state (buffers) is updated in
    ``forward`` while training, as BatchNorm does, and is saved with the checkpoint. Randomness comes from
    torch's global generator, which the trainer seeds anew for each step, equally on all processes.

    Attributes:
        accepts_ignored: whether ``labels`` may hold IGNORE, even everywhere: the term then leaves those rows
            out by itself, and with no other row gives a connected zero. Where a class-suppressing head needs
            rows left out, all other terms get a copy without them.
    """

    accepts_ignored: bool = False

    def forward(self, supervised: Supervised) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define forward(supervised) -> scalar.")


class LossConfig(Config):
    """Options of one term; each method derives from it and adds ``type: Literal[...]``.

    Args:
        weight: factor of this term in the objective.

    Attributes:
        trains_classifier: whether the term is a classification loss of the logits. An experiment needs one,
            and a class-suppressing head applies it to both of its sets of logits.
        needs_head: type of the head without which the loss makes no sense, or None.
    """

    trains_classifier: ClassVar[bool] = True
    needs_head: ClassVar[str | None] = None

    weight: float = Field(default=1.0, ge=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LossTerm:
        """The term for a training set.

        Args:
            statistics: class counts of the training split.
            label_space: the K classes.
            feature_channels: D, channels of ``Supervised.features``.
        """
        raise TypeError(f"{type(self).__name__} must define build(...).")


class Objective(nn.Module):
    """Weighted sum of loss terms.

    Args:
        terms: name -> term.
        weights: name -> factor, for the same names.

    Raises:
        ValueError: if there is no term, or the names differ.
    """

    def __init__(self, terms: Mapping[str, LossTerm], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not terms:
            raise ValueError("An objective needs at least one loss; give one under `losses:`.")
        if terms.keys() != weights.keys():
            raise ValueError(
                f"Losses {sorted(terms)} and weights {sorted(weights)} must have the same names."
            )
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)

    def forward(self, supervised: Supervised) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its unweighted, detached parts by name.

        A batch without a labelled row (on any process) gives zeros that are connected to every parameter: the
        backward pass and data-parallel training go on as usual, and no running state moves.
        """
        # Terms run in float32: class sums and log-sum-exp lose too much in 16 bits.
        with torch.autocast(supervised.logits.device.type, enabled=False):
            supervised = _at_least_float32(supervised)
            if _is_empty_somewhere(supervised.labels):
                zero = self._connected_zero(supervised)
                return zero, {name: zero.detach() for name in self.terms}
            values = {name: term(supervised) for name, term in self.terms.items()}
            total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
            return total, {name: value.detach() for name, value in values.items()}

    def _connected_zero(self, supervised: Supervised) -> Tensor:
        # Times zero: it may be another process that has no rows.
        zero = 0.0 * (supervised.logits.sum() + supervised.features.sum())
        if supervised.suppressed is not None:
            zero = zero + 0.0 * supervised.suppressed.logits.sum()
        for parameter in self.parameters():
            zero = zero + 0.0 * parameter.sum()
        return zero


def _is_empty_somewhere(labels: Tensor) -> bool:
    """Whether this process or any other has no labelled row.

    All processes must agree: a term may sum over processes, and one that skipped it would leave them waiting.
    """
    is_empty = labels.numel() == 0
    if not (dist.is_available() and dist.is_initialized()):
        return is_empty
    anywhere = torch.tensor(is_empty, dtype=torch.int32, device=labels.device)
    dist.all_reduce(anywhere, dist.ReduceOp.MAX)
    return bool(anywhere)


def _at_least_float32(supervised: Supervised) -> Supervised:
    def widen(values: Tensor) -> Tensor:
        return values.float() if values.dtype in _HALF else values

    weight, suppressed = supervised.classifier_weight, supervised.suppressed
    return replace(
        supervised,
        logits=widen(supervised.logits),
        features=widen(supervised.features),
        classifier_weight=None if weight is None else widen(weight),
        suppressed=None if suppressed is None else replace(suppressed, logits=widen(suppressed.logits)),
    )
