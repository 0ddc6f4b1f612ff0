"""LossTerm, its configuration, and the Objective that adds the terms up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from pointseg.config import Config
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import Supervised, Suppressed
from pointseg.core.statistics import ClassStatistics

_HALF = (torch.float16, torch.bfloat16)


class LossTerm(nn.Module):
    """One term of the objective.

    ``forward(supervised) -> scalar`` may use any field of :class:`Supervised`; it is never called without a
    labelled row and always outside autocast, in float32 or wider. Running state (buffers) is updated in
    ``forward`` while training, as BatchNorm does, and is saved with the checkpoint. Randomness comes from
    torch's global generator, which the trainer seeds anew for each step, equally on all processes.
    """

    def forward(self, supervised: Supervised) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define forward(supervised) -> scalar.")


class LossConfig(Config):
    """Options of one term; each method derives from it and adds ``type: Literal[...]``.

    Args:
        weight: factor of this term in the objective.
    """

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

        A batch without a labelled row gives zeros that are connected to every parameter: the backward pass
        and data-parallel training go on as usual, and no running state moves.
        """
        # Terms run in float32: class sums and log-sum-exp lose too much in 16 bits.
        with torch.autocast(supervised.logits.device.type, enabled=False):
            supervised = _at_least_float32(supervised)
            if supervised.labels.numel() == 0:
                zero = self._connected_zero(supervised)
                return zero, {name: zero.detach() for name in self.terms}
            values = {name: term(supervised) for name, term in self.terms.items()}
            total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
            return total, {name: value.detach() for name, value in values.items()}

    def _connected_zero(self, supervised: Supervised) -> Tensor:
        zero = supervised.logits.sum() + supervised.features.sum()
        if supervised.suppressed is not None:
            zero = zero + supervised.suppressed.logits.sum()
        for parameter in self.parameters():
            zero = zero + 0.0 * parameter.sum()
        return zero


def _at_least_float32(supervised: Supervised) -> Supervised:
    def widen(values: Tensor) -> Tensor:
        return values.float() if values.dtype in _HALF else values

    weight, suppressed = supervised.classifier_weight, supervised.suppressed
    return replace(
        supervised,
        logits=widen(supervised.logits),
        features=widen(supervised.features),
        classifier_weight=None if weight is None else widen(weight),
        suppressed=None if suppressed is None else Suppressed(widen(suppressed.logits), suppressed.dropped),
    )
