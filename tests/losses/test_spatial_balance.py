"""Boundary-CB and Density-CB against loops over rows and cells."""

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from pointseg.core.statistics import ClassStatistics
from pointseg.core.surroundings import Surroundings
from pointseg.losses import SpatialClassBalanced
from pointseg.losses.cross_entropy import CrossEntropy, class_weights
from pointseg.losses.spatial_balance import disagreement

K, ROWS, CELLS = 4, 12, 5
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.5])
LOGITS = 2 * torch.randn(ROWS, K, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 0, 1, -100, 2, 0, 1, 3, -100, 0, 0, 1])
#: Of each row itself and four others, or nothing.
NEIGHBOURS = torch.randint(-1, ROWS, (ROWS, CELLS), generator=GENERATOR).int()
NEIGHBOURS[:, 2] = torch.arange(ROWS)
OCCUPIED = torch.randint(1, CELLS + 1, (ROWS,), generator=GENERATOR).int()
AROUND = Surroundings(NEIGHBOURS, OCCUPIED)


def context_of(row: int, context: str) -> float:
    if context == "density":
        return 1 - int(OCCUPIED[row]) / CELLS
    held = [j for j in NEIGHBOURS[row].tolist() if j >= 0 and LABELS[j] >= 0]
    shares = [count / len(held) for count in Counter(int(LOGITS[j].argmax()) for j in held).values()]
    return -sum(share * math.log(share) for share in shares) / math.log(min(K, CELLS))


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("context", ["boundary", "density"])
def test_rows_weigh_by_class_and_by_what_is_around_them(context: str, strength: float) -> None:
    mass, total = 0.0, 0.0
    for row in torch.nonzero(LABELS >= 0).flatten().tolist():
        weight = float(WEIGHTS[LABELS[row]]) * (1 + strength * context_of(row, context))
        mass, total = mass + weight, total + weight * float(-LOGITS[row].log_softmax(0)[LABELS[row]])
    loss = SpatialClassBalanced(WEIGHTS, context=context, strength=strength)  # type: ignore[arg-type]
    assert loss(LOGITS, LABELS, surroundings=AROUND).item() == pytest.approx(total / mass)


@pytest.mark.parametrize("context", ["boundary", "density"])
def test_the_gradient_is_exact_and_goes_through_no_weight(context: str) -> None:
    loss = SpatialClassBalanced(WEIGHTS, context=context)  # type: ignore[arg-type]
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, LABELS, surroundings=AROUND), logits)


def test_without_strength_it_is_class_balanced_cross_entropy() -> None:
    statistics = ClassStatistics(torch.tensor([900, 90, 9, 1]), torch.tensor([10, 9, 3, 1]), 10)
    weights = class_weights(statistics, "class_balanced", beta=0.9)
    loss = SpatialClassBalanced(weights, strength=0)(LOGITS, LABELS, surroundings=AROUND)
    torch.testing.assert_close(loss, CrossEntropy(class_weights=weights)(LOGITS, LABELS))


def test_disagreement_goes_from_none_to_one() -> None:
    cells = torch.tensor([[0, 1, 2], [3, 4, 5], [0, 3, -1], [0, -1, -1]]).int()
    found = disagreement(torch.tensor([7, 7, 7, 1, 2, 3]), cells, 9)
    assert found.tolist() == pytest.approx([0, 1, math.log(2) / math.log(3), 0])


def test_images_find_their_pixels_neighbours_themselves() -> None:
    """A border between two halves: pixels along it weigh more, and nothing else does."""
    logits = torch.zeros(1, 2, 4, 6)
    logits[:, 0, :, :3], logits[:, 1, :, 3:] = 3.0, 3.0
    labels = torch.zeros(1, 4, 6, dtype=torch.int64)
    loss = SpatialClassBalanced(torch.ones(2), strength=1.0)
    plain = F.cross_entropy(logits, labels, reduction="none")
    weight = torch.ones(1, 4, 6, dtype=torch.float64)
    share = 1 / 3
    weight[:, :, 2:4] += -(share * math.log(share) + (1 - share) * math.log(1 - share)) / math.log(2)
    expected = (weight * plain).sum() / weight.sum()
    assert loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    dense = SpatialClassBalanced(torch.ones(2), context="density", strength=3.0)
    torch.testing.assert_close(dense(logits, labels), plain.mean())


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="needs what lies around each row"):
        SpatialClassBalanced(WEIGHTS)(LOGITS, LABELS)
    with pytest.raises(ValueError, match="made for 4 classes, but the logits have 3"):
        SpatialClassBalanced(WEIGHTS)(LOGITS[:, :3], LABELS)
    with pytest.raises(ValueError, match="context must be"):
        SpatialClassBalanced(WEIGHTS, context="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="strength must be"):
        SpatialClassBalanced(WEIGHTS, strength=-1)
