"""Callback: what a user's own code sees of a training, and how its numbers get into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointseg.training.step import StepReport
from pointseg.training.validate import Validation

#: Name -> number, to be logged; None for nothing.
Scalars = Mapping[str, float] | None


class Callback:
    """Base of callbacks of :func:`pointseg.train`; both methods do nothing unless they are replaced.

    They are called on the main process only, so they must not wait for other processes. What they return is
    written to metrics.jsonl and TensorBoard under the given names. An exception ends the training.
    """

    def on_step(self, step: int, report: StepReport) -> Scalars:
        """After a step, also one that was skipped.

        On a GPU the numbers of a step are read every ``train.log_every`` steps, and the calls come then.

        Args:
            step: number of steps done.
            report: what it did.
        """
        return None

    def on_validation(self, step: int, validation: Validation) -> Scalars:
        """After a validation.

        Args:
            step: number of steps behind the weights.
            validation: IoU of every class, the confusion matrix and neural collapse.
        """
        return None


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
