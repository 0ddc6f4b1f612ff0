"""One optimiser step. It knows no method: what a loss or head needs reaches it through the batch's rows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pointseg.core.batch import Batch
from pointseg.core.distributed import Processes
from pointseg.core.seeds import derived_seed
from pointseg.experiment import Experiment
from pointseg.models.precision import AMP_TYPES
from pointseg.training.accumulation import StepLoss, backward
from pointseg.training.state import TrainingState

#: Stream of random numbers of losses and heads; those of augmentation follow from batch numbers.
_STEP_STREAM = 1


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    Args:
        loss: that of the step's joined batch, of all processes; not finite where the step was skipped for it.
        parts: the same for each loss, unweighted.
        lr: learning rate.
        grad_norm: norm of the gradient before clipping.
        num_rows: voxels or pixels of this process.
        skipped: names of the scenes because of which the step was skipped; empty for a step that was taken.
    """

    loss: float
    parts: dict[str, float]
    lr: float
    grad_norm: float
    num_rows: int
    skipped: tuple[str, ...] = ()

    @property
    def what_was_wrong(self) -> str:
        """For a skipped step."""
        which = "a gradient" if math.isfinite(self.loss) else "a loss"
        return f"{which} that is not finite"


@dataclass(frozen=True)
class StepResult:
    """A step whose numbers are still on the device: reading them waits until it has come so far.

    Args:
        step: number of steps done with this one.
        loss: of the step's joined batch.
        names: scenes of each batch of this process.
        norm: norm of the gradient before clipping, a scalar.
        bad: whether the step was skipped, a scalar; the same on all processes.
        lr: learning rate.
        num_rows: voxels or pixels of this process.
    """

    step: int
    loss: StepLoss
    names: list[tuple[str, ...]]
    norm: Tensor
    bad: Tensor
    lr: float
    num_rows: int

    def read(self, processes: Processes) -> StepReport:
        """The numbers, in one transfer; to be called on all processes alike."""
        parts = self.loss.parts
        flat = [self.bad, self.norm, self.loss.total, *parts.values(), *self.loss.is_finite]
        bad, norm, loss, *values = torch.stack([value.double() for value in flat]).tolist()
        of_parts, finite = values[: len(parts)], values[len(parts) :]
        skipped: tuple[str, ...] = ()
        if bad:
            suspects = [names for names, good in zip(self.names, finite, strict=True) if not good]
            # A gradient that is not finite does not tell whose it is; nor does another process's loss.
            mine = [] if processes.any(bool(suspects))[0] and not suspects else suspects or self.names
            skipped = processes.names_of([name for names in mine for name in names], where=True)
        by_name = dict(zip(parts, of_parts, strict=True))
        return StepReport(loss, by_name, self.lr, norm, self.num_rows, skipped)


def train_step(
    state: TrainingState,
    batches: Iterable[Batch],
    experiment: Experiment,
    total_steps: int,
    processes: Processes,
) -> StepResult:
    """Forward and backward over ``train.accumulate`` batches, joined into one (see
    pointseg.training.accumulation), then one step of the optimiser.

    A loss or gradient that is not finite on any process skips the step on all: weights, running statistics
    and the state of the losses stay as they were. That is decided on the device: nothing here waits for it.
    """
    lr = _set_learning_rate(state, experiment, total_steps)
    parts = list(batches)
    buffers_before = [buffer.clone() for buffer in state.learner.buffers()]

    def setting() -> contextlib.AbstractContextManager[object]:
        # Dropout and the like: the same numbers on all processes, and after a resume.
        torch.manual_seed(derived_seed(experiment.seed, _STEP_STREAM, state.step))
        return _autocast(experiment.train.amp, processes.device)

    loss = backward(state, parts, state.step / total_steps, setting)
    norm = _clip(state, experiment.train.clip_norm)
    bad = _is_bad(state, loss.total, norm, processes)
    _restore(state, buffers_before, where=bad)
    _move(state, norm, unless=bad)
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    return StepResult(
        state.step,
        loss,
        names=[batch.names for batch in parts],
        norm=norm,
        bad=bad,
        lr=lr,
        num_rows=sum(batch.num_rows for batch in parts),
    )


def _set_learning_rate(state: TrainingState, experiment: Experiment, total_steps: int) -> float:
    factor = experiment.train.lr_scale * experiment.schedule.factor(state.step, total_steps)
    lr = experiment.optimizer.lr * factor
    for group in state.optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr


def _autocast(amp: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    if amp not in AMP_TYPES:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=AMP_TYPES[amp])


def _clip(state: TrainingState, clip_norm: float | None) -> Tensor:
    """Norm of the gradient; clipped to ``clip_norm`` in place."""
    state.scaler.unscale_(state.optimizer)
    parameters = list(state.learner.parameters())
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def _is_bad(state: TrainingState, loss: Tensor, norm: Tensor, processes: Processes) -> Tensor:
    """Whether the loss, or without a scaler the gradient, is not finite on any process; a scalar bool."""
    bad = ~loss.isfinite()
    if not state.scaler.is_enabled():
        bad = bad | ~norm.isfinite()
    return processes.sum(bad.float()) > 0


@torch.no_grad()
def _restore(state: TrainingState, buffers_before: list[Tensor], *, where: Tensor) -> None:
    """A forward pass through NaN spoils the running statistics for ever: take them back."""
    for buffer, before in zip(state.learner.buffers(), buffers_before, strict=True):
        torch.where(where, before, buffer, out=buffer)


def _move(state: TrainingState, norm: Tensor, *, unless: Tensor) -> None:
    """One step of the optimiser and of the average behind it, left out on the device where that says so.

    Under fp16 gradients overflow now and then. Such a step is left out too, without being bad.
    """
    is_left_out = unless | ~norm.isfinite()
    # Fused SGD takes the first gradient for momentum also where it leaves the step out: until there has been
    # a step, the host decides.
    if state.optimizer.state or not bool(is_left_out):
        state.optimizer.found_inf = is_left_out.float()  # type: ignore[attr-defined]
        state.optimizer.step()
    if state.scaler.is_enabled():
        state.scaler.update()
    if state.average is not None:
        state.average.update(state.learner.segmenter, unless=is_left_out)
