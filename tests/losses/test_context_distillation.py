"""The distillation of the context-aware classifier against loops over rows and classes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pointseg.core.rows import Supervised
from pointseg.losses.context_distillation import ContextDistillation

MakeRows = Callable[..., Supervised]


def by_loops(rows: Supervised, smooth: float) -> torch.Tensor:
    student, teacher = (branch.logits for branch in rows.branches)
    of_classes = []
    for c in sorted(set(rows.labels.tolist())):
        costs, masses = [], []
        for i in torch.nonzero(rows.labels == c).flatten().tolist():
            t = teacher[i].detach().softmax(0)
            target = [smooth * float(t[k]) + (1 - smooth) * (k == c) for k in range(len(t))]
            log_p = student[i].log_softmax(0)
            cost = -sum(share * log_p[k] for k, share in enumerate(target))
            entropy = -sum(float(p) * float(p.log()) for p in t)
            costs.append(entropy * cost)
            masses.append(entropy)
        of_classes.append(torch.stack(costs).sum() / (sum(masses) + 1e-4))
    return torch.stack(of_classes).mean()


@pytest.mark.parametrize("smooth", [0.0, 0.5, 1.0])
def test_unsure_rows_of_the_teacher_count_more_and_every_class_once(
    smooth: float, make_rows: MakeRows
) -> None:
    rows = make_rows(branches=2)
    torch.testing.assert_close(ContextDistillation(smooth).of(rows), by_loops(rows, smooth))


def test_the_gradient_is_exact_and_the_teacher_has_none(make_rows: MakeRows) -> None:
    rows, loss = make_rows(branches=2), ContextDistillation()

    def of(logits: torch.Tensor) -> torch.Tensor:
        return loss.of(replace(rows, branches=(replace(rows.branches[0], logits=logits), rows.branches[1])))

    assert torch.autograd.gradcheck(of, rows.logits)
    loss.of(rows).backward()
    assert rows.branches[1].logits.grad is None


def test_a_teacher_that_is_sure_of_everything_weighs_nothing(make_rows: MakeRows) -> None:
    """Where the released code would divide by nearly nothing."""
    rows = make_rows(branches=2)
    sure = replace(rows.branches[1], logits=1e4 * torch.eye(5, dtype=torch.float64)[rows.labels])
    assert ContextDistillation().of(replace(rows, branches=(rows.branches[0], sure))).item() == pytest.approx(
        0
    )


def test_one_branch_has_no_teacher(make_rows: MakeRows) -> None:
    rows = make_rows()
    loss = ContextDistillation().of(rows)
    loss.backward()
    assert loss.item() == 0.0 and rows.logits.grad is not None


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="smooth must lie"):
        ContextDistillation(1.5)
