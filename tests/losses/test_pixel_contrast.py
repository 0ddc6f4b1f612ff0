"""Pixel contrast against loops over anchors, and the anchors it draws."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pointseg.core.rows import Branch, Supervised
from pointseg.losses import PixelContrast
from pointseg.losses.pixel_contrast import BASE_TEMPERATURE, contrast, draw_anchors

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 0])
EMBEDDED = torch.nn.functional.normalize(
    torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1
)


def by_loops(labels: list[int], t: float) -> torch.Tensor:
    costs = []
    for i, mine in enumerate(labels):
        positives = [j for j, other in enumerate(labels) if other == mine and j != i]
        negatives = [n for n, other in enumerate(labels) if other != mine]
        if not positives:
            continue
        of_i = []
        for j in positives:
            score = (EMBEDDED[i] @ EMBEDDED[j] / t).exp()
            pushed = sum((EMBEDDED[i] @ EMBEDDED[n] / t).exp() for n in negatives)
            of_i.append(-(score / (score + pushed)).log())
        costs.append(torch.stack(of_i).mean())
    return t / BASE_TEMPERATURE * torch.stack(costs).mean()


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_it_is_the_mean_over_anchors_of_the_mean_over_their_positives(temperature: float) -> None:
    found = contrast(EMBEDDED, LABELS, temperature)
    torch.testing.assert_close(found, by_loops(LABELS.tolist(), temperature))


def test_the_gradient_is_exact() -> None:
    leaf = EMBEDDED.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: contrast(z, LABELS, 0.5), leaf)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]])
def test_one_class_alone_and_classes_of_one_row_cost_nothing(labels: list[int]) -> None:
    leaf = EMBEDDED[: len(labels)].clone().requires_grad_()
    loss = contrast(leaf, torch.tensor(labels), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0.0) and leaf.grad is not None and not leaf.grad.any()


def test_rare_classes_have_as_many_anchors_and_half_are_wrong_ones() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0] * 500 + [1] * 40 + [2] * 3 + [4] * 100)[torch.randperm(643)]
    wrong = torch.zeros(643, dtype=torch.bool)
    wrong[torch.nonzero(labels == 0)[:100]] = True
    wrong[torch.nonzero(labels == 1)[:2]] = True
    anchors = draw_anchors(labels, wrong, 6, 63)
    assert len(anchors.unique()) == 63
    assert Counter(labels[anchors].tolist()) == {0: 20, 1: 20, 2: 3, 4: 20}
    of_class = {c: wrong[anchors[labels[anchors] == c]].sum().item() for c in (0, 1, 4)}
    assert of_class == {0: 10, 1: 2, 4: 0}
    again = draw_anchors(labels, wrong, 6, 63)
    assert set(anchors.tolist()) != set(again.tolist())
    assert sorted(draw_anchors(labels, wrong, 6, 1000).tolist()) == list(range(643))


def test_the_network_is_told_through_a_projection_that_learns(make_rows: Callable[..., Supervised]) -> None:
    torch.manual_seed(0)
    loss, rows = PixelContrast(6, embedding_dim=3).double(), make_rows()
    value = loss.of(rows)
    value.backward()
    assert rows.features.grad is not None and rows.features.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())
    hidden = loss.hidden(rows.features).relu()
    embedded = torch.nn.functional.normalize(loss.embed(hidden), dim=1)
    torch.testing.assert_close(value, contrast(embedded, rows.labels, 0.1))


def test_with_few_anchors_it_is_that_of_the_drawn_rows(make_rows: Callable[..., Supervised]) -> None:
    torch.manual_seed(0)
    loss, rows = PixelContrast(6, max_anchors=8).double(), make_rows()
    torch.manual_seed(1)
    value = loss.of(rows)
    torch.manual_seed(1)
    drawn = draw_anchors(rows.labels, rows.logits.argmax(1) != rows.labels, 5, 8)
    few = replace(
        rows,
        features=rows.features[drawn],
        labels=rows.labels[drawn],
        sample=rows.sample[drawn],
        branches=(Branch(rows.logits[drawn]),),
    )
    torch.testing.assert_close(value, loss.of(few))


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="temperature must be"):
        PixelContrast(6, temperature=0)
    with pytest.raises(ValueError, match="max_anchors must be"):
        PixelContrast(6, max_anchors=1)
