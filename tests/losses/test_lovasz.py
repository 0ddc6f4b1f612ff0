"""Lovasz-softmax: the set function at hard errors, the definition at soft ones."""

import pytest
import torch
from torch import Tensor

from pointseg.losses.lovasz import LovaszSoftmax

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)


def jaccard_loss(wrong: set[int], inside: set[int]) -> float:
    """1 - IoU of a class whose rows are ``inside`` when the rows ``wrong`` are predicted wrongly."""
    false_negatives, false_positives = len(wrong & inside), len(wrong - inside)
    return 1 - (len(inside) - false_negatives) / (len(inside) + false_positives)


def by_loops(probability: Tensor) -> float:
    total, present = 0.0, sorted(set(LABELS.tolist()))
    for c in present:
        inside = {i for i, label in enumerate(LABELS.tolist()) if label == c}
        errors = [1 - p if i in inside else p for i, p in enumerate(probability[:, c].tolist())]
        order = sorted(range(len(errors)), key=lambda i: -errors[i])
        for rank, i in enumerate(order):
            gain = jaccard_loss(set(order[: rank + 1]), inside) - jaccard_loss(set(order[:rank]), inside)
            total += errors[i] * gain
    return total / len(present)


def test_the_loss_equals_the_definition() -> None:
    expected = by_loops(LOGITS.softmax(1))
    assert LovaszSoftmax()(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_certain_predictions_cost_one_minus_the_mean_iou() -> None:
    # Rows 0 and 6 are wrong: class 0 has IoU 5/7, class 1 has 3/5 and class 2 has 2/2.
    predicted = LABELS.clone()
    predicted[0], predicted[6] = 1, 0
    logits = 200.0 * torch.nn.functional.one_hot(predicted, 4).double()
    expected = 1 - (5 / 7 + 3 / 5 + 1) / 3
    assert LovaszSoftmax()(logits, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_exact() -> None:
    assert torch.autograd.gradcheck(lambda z: LovaszSoftmax()(z, LABELS), [LOGITS.clone().requires_grad_()])


def test_a_right_prediction_costs_nothing() -> None:
    logits = 200.0 * torch.nn.functional.one_hot(LABELS, 4).double()
    assert LovaszSoftmax()(logits, LABELS).item() == pytest.approx(0, abs=1e-12)
