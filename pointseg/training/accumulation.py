"""The loss and gradient of a step whose batch lies in several parts: micro-batches, and processes.

The rule: a step's loss and gradient are those of its joined batch, over micro-batches and processes alike
(BatchNorm's statistics excepted: those of each micro-batch and process; and losses that are ``local``).

- One micro-batch: one pass. The sums of all processes are joined within it.
- Several, and every loss is linear in its sums: one pass, in which each micro-batch adds its share.
- Several otherwise: a first pass without gradient finds the joined sums, and with them the slope of the loss
  with respect to each; the second pass takes the gradient of slope times sums. That is about a third more
  time, since a forward pass costs half of a backward pass. Losses that ask for preliminary results cost one
  such pass more for each.

All passes draw the same random numbers, and so do all micro-batches of a step, as all processes do: what a
head draws at random (the classes that are dropped, say) is one for the step.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from pointseg.core.batch import Batch
from pointseg.losses.facts import BatchFacts
from pointseg.losses.objective import AllSums, Slot, joined_ahead, joined_sums
from pointseg.training.state import PartLoss, TrainingState

#: Seeds the random numbers of a part and makes its forward pass run in the configured type.
Setting = Callable[[], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step, whose gradient the parameters hold.

    Args:
        total: scalar, that of the joined batch, equal on all processes.
        parts: the same for each loss, unweighted.
        is_finite: for each micro-batch of this process, whether its own sums are finite; scalars.
    """

    total: Tensor
    parts: dict[str, Tensor]
    is_finite: list[Tensor]


def backward(state: TrainingState, batches: Sequence[Batch], progress: float, setting: Setting) -> StepLoss:
    """Forward and backward passes of a step; in the end the running state of the losses has moved once."""
    objective = state.learner.objective
    facts = state.learner.facts(batches, progress)
    if len(batches) == 1 or objective.is_linear:
        losses: list[PartLoss] = []
        for number, batch in enumerate(batches, start=1):
            with _local_gradients(state, until=number == len(batches)):
                with setting():
                    part = state.parallel(batch, progress, facts)
                losses.append(part)
                if number == len(batches):
                    objective.move(part.slots, _added([loss.sums for loss in losses]))
                _backward(state, part.total)
        total = torch.stack([part.total.detach() for part in losses]).sum()
        parts = {name: torch.stack([part.parts[name] for part in losses]).sum() for name in losses[0].parts}
        return StepLoss(total, parts, [part.is_finite for part in losses])
    return _TwoPasses(state, batches, progress, setting, facts).run()


class _TwoPasses:
    """A step of several micro-batches whose losses are not linear."""

    def __init__(
        self,
        state: TrainingState,
        batches: Sequence[Batch],
        progress: float,
        setting: Setting,
        facts: Mapping[str, BatchFacts],
    ) -> None:
        self.state, self.batches, self.progress, self.setting = state, batches, progress, setting
        self.objective, self.facts = state.learner.objective, facts
        self.ahead: list[dict[str, Tensor]] = []
        self.buffers = [buffer.clone() for buffer in state.learner.buffers()]

    def run(self) -> StepLoss:
        for number in range(self.objective.num_ahead):
            slots, results = self._look(functools.partial(self.objective.ahead, number=number))
            self.ahead.append(joined_ahead(slots, results, number))
        slots, own = self._look(self.objective.sums)
        joined = joined_sums(_added(own))
        leaves = {
            key: total.detach().requires_grad_(total.is_floating_point()) for key, total in joined.items()
        }
        with self.setting(), torch.autocast(_device_type(self.batches[0]), enabled=False):
            total, parts = self.objective.value(slots, leaves)
        slopes = self._slopes(total, leaves)
        finite: list[Tensor] = []
        for number, batch in enumerate(self.batches, start=1):
            last = number == len(self.batches)
            with _local_gradients(self.state, until=last):
                with self.setting():
                    part = self.state.parallel(batch, self.progress, self.facts, self.ahead, slopes)
                finite.append(part.is_finite)
                # The loss itself once, for what it learns beside the sums.
                _backward(self.state, part.total + total if last else part.total)
        self.objective.move(slots, joined)
        return StepLoss(total.detach(), parts, finite)

    @torch.no_grad()
    def _look(self, see: Callable[[list[Slot]], dict]) -> tuple[list[Slot], list[dict]]:  # type: ignore[type-arg]
        """What ``see`` makes of each micro-batch, in passes after which everything is as before."""
        found = []
        for batch in self.batches:
            with self.setting():
                slots = self.state.learner.slots(batch, self.progress, self.facts, self.ahead)
            with torch.autocast(_device_type(batch), enabled=False):
                found.append(see(slots))
        for buffer, before in zip(self.state.learner.buffers(), self.buffers, strict=True):
            buffer.copy_(before)
        return slots, found

    def _slopes(self, total: Tensor, leaves: AllSums) -> AllSums:
        keys = [key for key, leaf in leaves.items() if leaf.requires_grad]
        gradients = torch.autograd.grad(
            total, [leaves[key] for key in keys], retain_graph=True, allow_unused=True
        )
        return {key: gradient for key, gradient in zip(keys, gradients, strict=True) if gradient is not None}


def _backward(state: TrainingState, loss: Tensor) -> None:
    # A loss that is not finite makes every gradient NaN, on all processes.
    state.scaler.scale(torch.where(loss.detach().isfinite(), 1.0, torch.nan) * loss).backward()


def _added(parts: Sequence[AllSums]) -> AllSums:
    return {key: torch.stack([part[key] for part in parts]).sum(0) for key in parts[0]}


def _local_gradients(state: TrainingState, *, until: bool) -> contextlib.AbstractContextManager[object]:
    """Gradients of all but the last batch of a step need not travel between processes."""
    if until or not isinstance(state.parallel, DistributedDataParallel):
        return contextlib.nullcontext()
    return state.parallel.no_sync()


def _device_type(batch: Batch) -> str:
    return batch.labels.device.type
