"""Seesaw loss against loops over rows and classes."""

import math

import pytest
import torch

from pointseg.losses.seesaw import SeesawLoss

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0] * 8 + [1] * 3 + [2])


def by_loops(p: float, q: float, seen: list[float], floor: float) -> float:
    total = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        softmax = [math.exp(z) / sum(map(math.exp, row)) for z in row]
        denominator = math.exp(row[label])
        for j, z in enumerate(row):
            if j == label:
                continue
            mitigation = min(1.0, max(seen[j], 1) / max(seen[label], 1)) ** p
            compensation = max(1.0, softmax[j] / max(softmax[label], floor)) ** q
            denominator += mitigation * compensation * math.exp(z)
        total -= math.log(math.exp(row[label]) / denominator)
    return total / len(LABELS)


@pytest.mark.parametrize(("p", "q"), [(0.8, 2.0), (0.8, 0.0), (0.0, 2.0)])
def test_the_loss_equals_the_loops(p: float, q: float) -> None:
    loss = SeesawLoss(4, p=p, q=q)
    assert loss(LOGITS, LABELS).item() == pytest.approx(by_loops(p, q, [8, 3, 1, 0], 0.01), rel=1e-12)


def test_rows_are_counted_while_training_only() -> None:
    loss = SeesawLoss(4)
    loss(LOGITS, LABELS)
    loss(LOGITS, LABELS)
    loss.eval()(LOGITS, LABELS)
    assert loss.seen.tolist() == [16, 6, 2, 0]


def test_a_frequent_class_pushes_a_rare_one_down_less() -> None:
    loss = SeesawLoss(2, q=0.0)
    loss.seen.copy_(torch.tensor([1000.0, 1.0]))
    logits = torch.zeros(2, 2, requires_grad=True)
    loss.eval()(logits, torch.tensor([0, 1])).backward()
    assert logits.grad is not None
    push_on_rare, push_on_frequent = logits.grad[0, 1].item(), logits.grad[1, 0].item()
    share = 1000**-0.8
    assert push_on_frequent == pytest.approx(0.25)
    assert push_on_rare == pytest.approx(0.5 * share / (1 + share))


def test_the_gradient_is_that_of_constant_factors() -> None:
    loss = SeesawLoss(4).eval()
    logits = LOGITS.clone().requires_grad_()
    loss(logits, LABELS).backward()
    factors = loss._log_factors(LOGITS, LABELS, loss.seen)
    p = (LOGITS + factors).softmax(1)
    expected = (p - torch.nn.functional.one_hot(LABELS, 4)) / len(LABELS)
    torch.testing.assert_close(logits.grad, expected)
