"""One optimiser step. It knows no method: what a loss or head needs reaches it through the batch's rows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from pointseg.core.batch import SceneBatch
from pointseg.data.loader import derived_seed
from pointseg.experiment import Experiment
from pointseg.run.distributed import Processes
from pointseg.run.state import TrainingState

_AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: Stream of random numbers of losses and heads; those of augmentation follow from batch numbers.
_STEP_STREAM = 1


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    Args:
        loss: mean over the step's batches of this process; not finite where the step was skipped for it.
        parts: the same for each loss, unweighted.
        lr: learning rate.
        grad_norm: norm of the gradient before clipping; NaN where the step was skipped before there was one.
        num_voxels: voxels of this process.
        skipped: names of the scenes because of which the step was skipped; empty for a step that was taken.
    """

    loss: float
    parts: dict[str, float]
    lr: float
    grad_norm: float
    num_voxels: int
    skipped: tuple[str, ...] = ()

    @property
    def what_was_wrong(self) -> str:
        """For a skipped step."""
        which = "a gradient" if math.isfinite(self.loss) else "a loss"
        return f"{which} that is not finite"


def train_step(
    state: TrainingState,
    batches: Iterable[SceneBatch],
    experiment: Experiment,
    total_steps: int,
    processes: Processes,
) -> StepReport:
    """Forward and backward over ``train.accumulate`` batches, then one step of the optimiser.

    A loss or gradient that is not finite on any process skips the step on all: weights, running statistics
    and the state of the losses stay as they were.
    """
    options = experiment.train
    lr = _set_learning_rate(state, experiment, total_steps)
    # Dropout and the like: the same numbers on all processes, and after a resume.
    torch.manual_seed(derived_seed(experiment.seed, _STEP_STREAM, state.step))
    buffers_before = [buffer.clone() for buffer in state.learner.buffers()]
    losses: list[float] = []
    parts: list[dict[str, Tensor]] = []
    names: list[str] = []
    num_voxels = 0
    norm = math.nan
    bad: tuple[str, ...] = ()
    for number, batch in enumerate(batches, start=1):
        with _local_gradients(state, until=number == options.accumulate):
            with _autocast(options.amp, processes.device):
                loss, batch_parts = state.parallel(batch, state.step / total_steps)
            losses.append(float(loss.detach()))
            parts.append(batch_parts)
            names += batch.names
            num_voxels += batch.num_voxels
            bad = processes.names_of(batch.names, where=not math.isfinite(losses[-1]))
            if bad:
                break
            state.scaler.scale(loss / options.accumulate).backward()
    if not bad:
        norm = _clip(state, options.clip_norm)
        # Under fp16 gradients overflow now and then; the scaler leaves such a step out by itself.
        finite = math.isfinite(norm) or state.scaler.is_enabled()
        bad = processes.names_of(names, where=not finite)
    if bad:
        _restore(state, buffers_before)
    else:
        _move(state)
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    means = {name: sum(float(p[name]) for p in parts) / len(parts) for name in parts[0]}
    return StepReport(sum(losses) / len(losses), means, lr, norm, num_voxels, bad)


def _set_learning_rate(state: TrainingState, experiment: Experiment, total_steps: int) -> float:
    lr = experiment.optimizer.lr * experiment.schedule.factor(state.step, total_steps)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    return lr


def _autocast(amp: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    if amp not in _AMP_TYPES:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_AMP_TYPES[amp])


def _local_gradients(state: TrainingState, *, until: bool) -> contextlib.AbstractContextManager[object]:
    """Gradients of all but the last batch of a step need not travel between processes."""
    if until or not isinstance(state.parallel, DistributedDataParallel):
        return contextlib.nullcontext()
    return state.parallel.no_sync()


def _clip(state: TrainingState, clip_norm: float | None) -> float:
    """Norm of the gradient; clipped to ``clip_norm`` in place."""
    state.scaler.unscale_(state.optimizer)
    parameters = list(state.learner.parameters())
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return float(norm)


@torch.no_grad()
def _restore(state: TrainingState, buffers_before: list[Tensor]) -> None:
    """A forward pass through NaN spoils the running statistics for ever: take them back."""
    for buffer, before in zip(state.learner.buffers(), buffers_before, strict=True):
        buffer.copy_(before)
    state.skipped += 1


def _move(state: TrainingState) -> None:
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if state.average is not None:
        state.average.update(state.learner.segmenter)
