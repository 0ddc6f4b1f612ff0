"""Learning-rate schedules as pure functions of the step, so that a resumed run has nothing to restore."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from pointseg.config import Config


class ScheduleConfig(Config):
    """Base of the schedules.

    Args:
        warmup: share of the training over which a factor rises linearly from near 0 to 1; it is multiplied to
            the schedule, which runs from the first step, so that nothing jumps where it ends.
    """

    warmup: float = Field(default=0.0, ge=0, lt=1)

    def factor(self, step: int, total_steps: int) -> float:
        """What the optimiser's learning rate is multiplied by at ``step`` of 0..total_steps-1."""
        warm_steps = self.warmup * total_steps
        return min(1.0, (step + 1) / (warm_steps + 1)) * self.decay(step / total_steps)

    def decay(self, progress: float) -> float:
        """The factor at ``progress`` = step / total_steps, before the warm-up is multiplied to it."""
        raise TypeError(f"{type(self).__name__} must define decay(progress).")


class OneCycleConfig(ScheduleConfig):
    """Up from 1/div to 1 and down to 1/(div final_div), each half a cosine.

    Args:
        pct: share of the training that goes up.
        div: the first factor is 1/div.
        final_div: the last factor is 1/(div final_div).

    Source: torch.optim.lr_scheduler.OneCycleLR, whose learning rates these are, step by step. Momentum stays
    constant here, as with cycle_momentum=False there.
    """

    type: Literal["onecycle"] = "onecycle"
    pct: float = Field(default=0.05, gt=0, lt=1)
    div: float = Field(default=10.0, ge=1)
    final_div: float = Field(default=1e4, ge=1)

    @model_validator(mode="after")
    def _has_its_own_warmup(self) -> OneCycleConfig:
        if self.warmup:
            raise ValueError("onecycle warms up by itself; set pct instead of warmup")
        return self

    def factor(self, step: int, total_steps: int) -> float:
        low, top, last = 1 / self.div, self.pct * total_steps - 1, total_steps - 1
        if step <= top:
            return _cosine_between(low, 1.0, step / top if top > 0 else 1.0)
        return _cosine_between(1.0, low / self.final_div, (step - top) / (last - top) if last > top else 1.0)


class PolyConfig(ScheduleConfig):
    """(1 - progress)^power."""

    type: Literal["poly"] = "poly"
    power: float = Field(default=0.9, gt=0)

    def decay(self, progress: float) -> float:
        return (1.0 - progress) ** self.power


class MultiStepConfig(ScheduleConfig):
    """Multiplied by ``gamma`` at each milestone.

    Args:
        milestones: shares of the training, rising, each in (0, 1).
    """

    type: Literal["multistep"] = "multistep"
    milestones: tuple[float, ...] = (0.6, 0.8)
    gamma: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _milestones_rise(self) -> MultiStepConfig:
        if list(self.milestones) != sorted(set(self.milestones)) or not all(
            0 < m < 1 for m in self.milestones
        ):
            raise ValueError("milestones are shares of the training: rising numbers between 0 and 1")
        return self

    def decay(self, progress: float) -> float:
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


class CosineConfig(ScheduleConfig):
    """Half a cosine from 1 to ``final``, which begins where the warm-up ends."""

    type: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, lt=1)

    def decay(self, progress: float) -> float:
        share = (progress - self.warmup) / (1.0 - self.warmup)
        return _cosine_between(1.0, self.final, max(0.0, share))


class ConstantConfig(ScheduleConfig):
    """Always 1 after the warm-up."""

    type: Literal["constant"] = "constant"

    def decay(self, progress: float) -> float:
        return 1.0


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
