"""Learning-rate schedules at the steps where their value is known."""

from itertools import pairwise

import pytest
import torch

from pointseg.optim.schedule import (
    ConstantConfig,
    CosineConfig,
    MultiStepConfig,
    OneCycleConfig,
    PolyConfig,
    ScheduleConfig,
)


@pytest.mark.parametrize(("total", "pct"), [(100, 0.05), (37, 0.3), (10, 0.2)])
def test_onecycle_is_torch_s(total: int, pct: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=total,
        pct_start=pct,
        div_factor=10.0,
        final_div_factor=1e4,
        cycle_momentum=False,
    )
    mine = OneCycleConfig(pct=pct, div=10.0, final_div=1e4)
    for step in range(total):
        assert mine.factor(step, total) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        if step < total - 1:
            theirs.step()


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        (PolyConfig(power=2.0), 0, 1.0),
        (PolyConfig(power=2.0), 50, 0.25),
        (MultiStepConfig(milestones=(0.3, 0.6), gamma=0.1), 29, 1.0),
        (MultiStepConfig(milestones=(0.3, 0.6), gamma=0.1), 30, 0.1),
        (MultiStepConfig(milestones=(0.3, 0.6), gamma=0.1), 99, 0.01),
        (CosineConfig(), 0, 1.0),
        (CosineConfig(), 50, 0.5),
        (CosineConfig(final=0.2), 50, 0.6),
        (ConstantConfig(), 99, 1.0),
        (ConstantConfig(warmup=0.09), 0, 0.1),
        (ConstantConfig(warmup=0.09), 8, 0.9),
        (ConstantConfig(warmup=0.09), 9, 1.0),
        (CosineConfig(warmup=0.5), 50, 1.0),
        (CosineConfig(warmup=0.5), 75, 0.5),
        # The warm-up's (step + 1) / (warm steps + 1) times the schedule at that step.
        (CosineConfig(warmup=0.5), 25, 26 / 51),
        (PolyConfig(power=2.0, warmup=0.09), 0, 0.1),
        (PolyConfig(power=2.0, warmup=0.09), 4, 0.5 * 0.96**2),
        (PolyConfig(power=2.0, warmup=0.09), 8, 0.9 * 0.92**2),
        (PolyConfig(power=2.0, warmup=0.09), 9, 0.91**2),
        (MultiStepConfig(milestones=(0.05, 0.6), gamma=0.1, warmup=0.09), 4, 0.5),
        (MultiStepConfig(milestones=(0.05, 0.6), gamma=0.1, warmup=0.09), 5, 0.06),
        (MultiStepConfig(milestones=(0.05, 0.6), gamma=0.1, warmup=0.09), 9, 0.1),
    ],
)
def test_value_at_a_step_of_a_hundred(schedule: ScheduleConfig, step: int, factor: float) -> None:
    assert schedule.factor(step, 100) == pytest.approx(factor)


@pytest.mark.parametrize(
    "schedule", [PolyConfig(warmup=0.1), CosineConfig(warmup=0.1), ConstantConfig(warmup=0.1)]
)
def test_nothing_jumps_where_the_warm_up_ends(schedule: ScheduleConfig) -> None:
    factors = [schedule.factor(step, 1000) for step in range(1000)]
    # The warm-up itself is the steepest part: 1 in 100 steps.
    assert max(abs(b - a) for a, b in pairwise(factors)) < 1 / 100


@pytest.mark.parametrize("schedule", [OneCycleConfig(), PolyConfig(), CosineConfig(), MultiStepConfig()])
@pytest.mark.parametrize("total", [1, 2, 3])
def test_trainings_of_a_few_steps_have_a_learning_rate(schedule: ScheduleConfig, total: int) -> None:
    assert all(0 < schedule.factor(step, total) <= 1 for step in range(total))


@pytest.mark.parametrize("milestones", [(0.6, 0.3), (0.5, 0.5), (0.0,), (100.0,)])
def test_milestones_that_are_no_rising_shares_are_refused(milestones: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rising numbers between 0 and 1"):
        MultiStepConfig(milestones=milestones)


def test_onecycle_refuses_a_second_warm_up() -> None:
    with pytest.raises(ValueError, match="pct"):
        OneCycleConfig(warmup=0.1)
