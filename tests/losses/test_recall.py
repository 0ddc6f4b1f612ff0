"""Recall loss: the weights of classes that a batch misses, in numbers known by hand."""

import pytest
import torch
import torch.nn.functional as F

from pointseg.losses.recall import RecallLoss

LABELS = torch.tensor([0, 0, 0, 0, 1, 1])
#: Class 0 is missed once in four rows, class 1 never.
PREDICTED = torch.tensor([0, 0, 0, 1, 1, 1])
LOGITS = 2.0 * F.one_hot(PREDICTED, 3).double()


@pytest.mark.parametrize(("min_misses", "weights"), [(0.0, [0.25, 0.0]), (1.0, [0.25, 0.5])])
def test_a_row_weighs_the_share_of_its_class_that_is_missed(min_misses: float, weights: list[float]) -> None:
    loss = RecallLoss(min_misses=min_misses)
    costs = F.cross_entropy(LOGITS, LABELS, reduction="none")
    expected = (weights[0] * costs[:4].sum() + weights[1] * costs[4:].sum()) / 6
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)


def test_the_weights_are_constant_for_the_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    RecallLoss()(logits, LABELS).backward()
    weights = torch.tensor([0.25, 0.5], dtype=torch.float64)[LABELS]
    expected = weights[:, None] * (LOGITS.softmax(1) - F.one_hot(LABELS, 3)) / 6
    torch.testing.assert_close(logits.grad, expected)


def test_a_negative_number_of_misses_is_refused() -> None:
    with pytest.raises(ValueError, match="min_misses must"):
        RecallLoss(min_misses=-1)
