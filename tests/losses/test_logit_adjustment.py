"""Logit adjustment and balanced softmax against the softmax with counts in it."""

import math

import pytest
import torch
import torch.nn.functional as F

from pointseg.core.statistics import ClassStatistics
from pointseg.losses.logit_adjustment import LogitAdjustedCrossEntropy
from pointseg.losses.prior import training_counts

LOGITS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(9) % 3
COUNTS = torch.tensor([900.0, 90.0, 10.0], dtype=torch.float64)


def test_balanced_softmax_multiplies_every_exponential_by_its_count() -> None:
    expected = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        terms = [n * math.exp(z) for n, z in zip(COUNTS.tolist(), row, strict=True)]
        expected -= math.log(terms[label] / sum(terms)) / 9
    loss = LogitAdjustedCrossEntropy(COUNTS)(LOGITS, LABELS)
    assert loss.item() == pytest.approx(expected, rel=1e-7)  # the log prior is a float32 buffer


def test_tau_multiplies_the_log_prior() -> None:
    expected = F.cross_entropy(LOGITS + 0.5 * COUNTS.log(), LABELS)
    torch.testing.assert_close(
        LogitAdjustedCrossEntropy(COUNTS, 0.5)(LOGITS, LABELS), expected, rtol=1e-6, atol=0
    )


def test_no_strength_is_cross_entropy() -> None:
    expected = F.cross_entropy(LOGITS, LABELS)
    torch.testing.assert_close(LogitAdjustedCrossEntropy(COUNTS, 0.0)(LOGITS, LABELS), expected)


def test_the_unit_of_the_prior_does_not_matter() -> None:
    one, other = LogitAdjustedCrossEntropy(COUNTS), LogitAdjustedCrossEntropy(COUNTS / 7)
    torch.testing.assert_close(one(LOGITS, LABELS), other(LOGITS, LABELS))


def test_the_gradient_is_exact() -> None:
    loss = LogitAdjustedCrossEntropy(COUNTS, 1.5)
    assert torch.autograd.gradcheck(lambda z: loss(z, LABELS), [LOGITS.clone().requires_grad_()])


@pytest.mark.parametrize("prior", [[1.0, 0.0, 2.0], [1.0, math.nan, 2.0]])
def test_a_prior_that_is_not_positive_is_refused(prior: list[float]) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        LogitAdjustedCrossEntropy(torch.tensor(prior))


def test_a_class_that_never_occurs_counts_as_the_rarest(statistics: ClassStatistics) -> None:
    assert training_counts(statistics, "points").tolist() == [900, 90, 9, 1, 1]
    assert training_counts(statistics, "samples").tolist() == [10, 9, 3, 1, 1]
