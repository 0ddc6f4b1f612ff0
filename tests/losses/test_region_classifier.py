"""The classifier of regions against loops over samples and classes."""

import pytest
import torch
import torch.nn.functional as F

from pointseg.losses.region_classifier import RegionClassifier

FEATURES = torch.randn(10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 0, 0, 2, 2, 0, 1, 1, 1, -100])
SAMPLE = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
PRIOR = torch.tensor([90.0, 9.0, 1.0])


def make(**options: object) -> RegionClassifier:
    torch.manual_seed(0)
    return RegionClassifier(3, 6, **options).double()  # type: ignore[arg-type]


def by_loops(loss: RegionClassifier, regions: list[tuple[list[int], int]]) -> torch.Tensor:
    costs = []
    for rows, label in regions:
        logits = loss.classifier(loss.hidden(FEATURES[rows].mean(0)).relu())
        if loss.log_prior is not None:
            logits = logits + loss.log_prior
        costs.append(F.cross_entropy(logits[None], torch.tensor([label])))
    return torch.stack(costs).mean()


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_every_region_of_every_sample_counts_once(prior: torch.Tensor | None) -> None:
    loss = make(prior=prior, scope="sample")
    regions = [([0, 1, 2], 0), ([3, 4], 2), ([5], 0), ([6, 7, 8], 1)]
    torch.testing.assert_close(loss(FEATURES, LABELS, SAMPLE), by_loops(loss, regions))


def test_regions_can_reach_over_the_batch() -> None:
    loss = make()
    regions = [([0, 1, 2, 5], 0), ([3, 4], 2), ([6, 7, 8], 1)]
    torch.testing.assert_close(loss(FEATURES, LABELS), by_loops(loss, regions))


def test_there_is_an_output_for_what_is_no_class_and_targets_may_be_smoothed() -> None:
    loss = make(prior=PRIOR, smoothing=0.3)
    assert loss.classifier.out_features == 4 and float(loss.log_prior[3]) == 0.0  # type: ignore[index]
    costs = []
    for rows, label in [([0, 1, 2, 5], 0), ([3, 4], 2), ([6, 7, 8], 1)]:
        logits = loss.classifier(loss.hidden(FEATURES[rows].mean(0)).relu()) + loss.log_prior
        target = torch.full((4,), 0.3 / 3, dtype=torch.float64)
        target[label] = 0.7
        costs.append(-(target * logits.log_softmax(0)).sum())
    torch.testing.assert_close(loss(FEATURES, LABELS), torch.stack(costs).mean())


def test_each_image_is_a_sample() -> None:
    loss = make(scope="sample")
    images = FEATURES.reshape(2, 5, 1, 6).permute(0, 3, 1, 2)
    torch.testing.assert_close(loss(images, LABELS.reshape(2, 5, 1)), loss(FEATURES, LABELS, SAMPLE))


def test_classifier_and_features_learn() -> None:
    loss = make()
    features = FEATURES.clone().requires_grad_()
    loss(features, LABELS, SAMPLE).backward()
    assert features.grad is not None and features.grad[:9].abs().sum(1).gt(0).all()
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())


def test_the_gradient_is_exact() -> None:
    loss = make(prior=PRIOR)
    assert torch.autograd.gradcheck(lambda f: loss(f, LABELS, SAMPLE), [FEATURES.clone().requires_grad_()])


def test_nothing_labelled_is_a_zero_connected_to_all() -> None:
    loss = make()
    features = FEATURES.clone().requires_grad_()
    value = loss(features, torch.full_like(LABELS, -100), SAMPLE)
    value.backward()
    assert value.item() == 0.0 and features.grad is not None
    assert all(p.grad is not None and not p.grad.any() for p in loss.parameters())


def test_a_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="needs the scene of each row"):
        make(scope="sample")(FEATURES, LABELS)
    with pytest.raises(ValueError, match="Expected 6 features"):
        make()(FEATURES[:, :5], LABELS, SAMPLE)
    with pytest.raises(ValueError, match="must have 3 numbers"):
        make(prior=torch.ones(4))
    with pytest.raises(ValueError, match="scope must be"):
        make(scope="scene")
