"""Callback: what a user's own code sees of a training, and how its numbers get into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.training.step import StepReport
from pointseg.training.validate import Validation

#: Name -> number, to be logged; None for nothing.
Scalars: TypeAlias = Mapping[str, float] | None
#: Name -> (H, W, 3) uint8 picture, for TensorBoard; None for nothing.
Pictures: TypeAlias = Mapping[str, npt.NDArray[np.uint8]] | None


class Callback:
    """Base of callbacks of :func:`pointseg.train`; its methods do nothing unless they are replaced.

    They are called on the main process only, so they must not wait for other processes. What they return is
    written to metrics.jsonl and TensorBoard under the given names. An exception ends the training.
    """

    def on_start(self, experiment: Experiment, data: Source, scenes: Sequence[str]) -> None:
        """Before the first step.

        Args:
            experiment: what is trained.
            data: its data set.
            scenes: names of the validation scenes that this process will predict.
        """

    def on_step(self, step: int, report: StepReport) -> Scalars:
        """After a step, also one that was skipped.

        On a GPU the numbers of a step are read every ``train.log_every`` steps, and the calls come then.

        Args:
            step: number of steps done.
            report: what it did.
        """
        return None

    def on_scene(self, step: int, scene: Member, prediction: ScenePrediction) -> Pictures:
        """After a scene or image was predicted in a validation, each of ``scenes`` in turn.

        Args:
            step: number of steps behind the weights.
            scene: with its raw labels.
            prediction: every row of it.
        """
        return None

    def on_validation(self, step: int, validation: Validation) -> Scalars:
        """After a validation.

        Args:
            step: number of steps behind the weights.
            validation: IoU of every class, the confusion matrix and neural collapse.
        """
        return None

    def on_end(self) -> None:
        """After the last step, or when the training was stopped or failed."""


def gather(returned: Sequence[Scalars]) -> dict[str, float]:
    """What all callbacks returned for one call.

    Raises:
        ValueError: for a name that comes twice, or a value that is no number.
    """
    scalars: dict[str, float] = {}
    for one in returned:
        for name, value in (one or {}).items():
            if name in scalars:
                raise ValueError(f"Two callbacks returned {name!r}; give one of the two another name.")
            try:
                scalars[name] = float(value)
            except (TypeError, ValueError):
                raise ValueError(f"A callback returned {value!r} for {name!r}; expected a number.") from None
    return scalars
