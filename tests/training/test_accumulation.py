"""Micro-batches that a step accumulates, through the real training step, against one batch of all rows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from losses import data_parallel_worker as worker
from torch import Tensor, nn

from pointseg.core.batch import Labels, SceneBatch
from pointseg.core.distributed import Processes
from pointseg.experiment import Experiment
from pointseg.losses.objective import Objective
from pointseg.models.segmenter import Segmenter
from pointseg.models.suppression import ClassSuppressionHeadConfig
from pointseg.training.state import Learner, TrainingState
from pointseg.training.step import StepResult, train_step

K, D = worker.K, worker.D
ALONE = Processes(0, 1, torch.device("cpu"))


class RowByRow(nn.Module):
    """A backbone without BatchNorm: what becomes of a row does not depend on the others."""

    out_channels = D
    nonnegative = False

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, D)
        self.register_buffer("calls", torch.zeros(()))

    def rows(self, batch: SceneBatch) -> Tensor:
        self.calls += 1
        return torch.tanh(self.linear(batch.features))


def batch_of(share: slice, labelled: str) -> SceneBatch:
    values = worker.leaves(slice(0, worker.ROWS))[2].detach()
    labels = torch.arange(worker.ROWS) % 4
    labels[:20][labels[:20] == 3] = 4
    labels[::9] = -100
    if labelled == "not the last":
        labels[20:] = -100
    if labelled == "none":
        labels[:] = -100
    number = share.stop - share.start
    coords = torch.zeros(number, 4, dtype=torch.int32)
    coords[:, 0] = (torch.arange(worker.ROWS) // 5)[share] - share.start // 5
    coords[:, 1] = torch.arange(number)
    return SceneBatch(coords, values[share], labels[share], tuple("abcdef"[: -(-number // 5)]))


def state_of(case: str, head: Any = None) -> TrainingState:
    torch.manual_seed(1)
    segmenter = Segmenter(RowByRow(), K, head)
    objective = worker.objective_of(case)
    if head is None and isinstance(objective.terms["only"], nn.ModuleList):
        objective = Objective({"only": objective.terms["only"][0]}, {"only": 1.0})  # type: ignore[dict-item]
    learner = Learner(segmenter, objective).double()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.0, momentum=0.9, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return TrainingState(learner, learner, optimizer, scaler, None)


def step(
    state: TrainingState, experiment: Experiment, shares: list[slice], labelled: str
) -> tuple[StepResult, dict[str, Tensor]]:
    """The second of two steps, and what it leaves: SGD's momentum after a step is the sum of gradients."""
    for _ in range(2):
        result = train_step(state, [batch_of(share, labelled) for share in shares], experiment, 10, ALONE)
    left = {f"buffer {name}": buffer for name, buffer in state.learner.named_buffers() if "calls" not in name}
    for name, parameter in state.learner.named_parameters():
        # A loss of features alone does not reach the classifier.
        momentum = state.optimizer.state[parameter].get("momentum_buffer")
        left[f"gradient {name}"] = torch.zeros_like(parameter) if momentum is None else momentum
    return result, left


@pytest.fixture
def experiment(tiny_experiment: Callable[..., Experiment]) -> Experiment:
    return tiny_experiment("optimizer.lr=1.0e-12")


WHOLE, PARTS = [slice(0, worker.ROWS)], [slice(0, 20), slice(20, worker.ROWS)]
#: Those that need a second branch see one here.
OF_BRANCHES = {"ignored_probability", "context_distillation"}
JOINED = [case for case in worker.CASES if case not in worker.LOCAL | OF_BRANCHES]


@pytest.mark.parametrize("labelled", ["most", "not the last"])
@pytest.mark.parametrize("case", JOINED)
def test_a_step_of_micro_batches_is_that_of_their_rows_together(
    case: str, labelled: str, experiment: Experiment
) -> None:
    whole, expected = step(state_of(case), experiment, WHOLE, labelled)
    parts, found = step(state_of(case), experiment, PARTS, labelled)
    torch.testing.assert_close(parts.loss.total, whole.loss.total)
    assert bool(whole.loss.total > 0)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize(
    ("case", "calls"), [("cross_entropy", 2), ("seesaw", 2), ("lovasz", 2), ("dice", 4), ("tilted row", 6)]
)
def test_a_loss_costs_as_many_passes_as_it_is_said_to(case: str, calls: int, experiment: Experiment) -> None:
    state = state_of(case)
    seen = []
    state.learner.segmenter.register_forward_hook(lambda *_: seen.append(1))
    train_step(state, [batch_of(share, "most") for share in PARTS], experiment, 10, ALONE)
    assert len(seen) == calls
    # Passes that only look leave no trace.
    assert int(state.learner.segmenter.backbone.calls) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ["lovasz", "top_k"])
def test_a_local_loss_is_the_mean_of_those_of_the_micro_batches(case: str, experiment: Experiment) -> None:
    both, found = step(state_of(case), experiment, PARTS, "most")
    alone = [step(state_of(case), experiment, [share], "most") for share in PARTS]
    torch.testing.assert_close(both.loss.total, sum(result.loss.total for result, _ in alone) / 2)
    key = "gradient segmenter.backbone.linear.weight"
    torch.testing.assert_close(found[key], sum(left[key] for _, left in alone) / 2)


@pytest.mark.parametrize("sample_from", ["all", "present"])
def test_all_micro_batches_of_a_step_drop_the_same_classes(sample_from: str, experiment: Experiment) -> None:
    head = ClassSuppressionHeadConfig(num_dropped=2, sample_from=sample_from)  # type: ignore[arg-type]
    state = state_of("dice", head)
    state.step = 9
    dropped = []
    state.learner.segmenter.register_forward_hook(
        lambda _m, _i, prediction: dropped.append(prediction.branches[1].ignored)
    )
    for _ in range(3):
        state.step = 9
        train_step(state, [batch_of(share, "most") for share in PARTS], experiment, 10, ALONE)
    found = {tuple(classes.tolist()) for classes in dropped if classes is not None}
    assert len(dropped) == 12 and len(found) == 1
    assert sample_from == "all" or 5 not in next(iter(found))


def test_labels_of_a_batch_may_be_of_several_heads(experiment: Experiment) -> None:
    state = state_of("cross_entropy")
    batch = batch_of(slice(0, 20), "most")
    others = {"coarse": Labels(batch.labels.clamp(max=1))}
    given = SceneBatch(batch.coords, batch.features, batch.labels, batch.names, others=others)
    result = train_step(state, [given], experiment, 10, ALONE)
    assert bool(result.loss.total > 0)
