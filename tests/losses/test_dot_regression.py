"""Dot-regression: numbers known by hand and the combination it needs."""

import math

import pytest
import torch
import torch.nn.functional as F

from pointseg.config import ConfigError, load_config
from pointseg.core.simplex import simplex_etf
from pointseg.experiment import Experiment
from pointseg.losses.class_prior import ClassPrior
from pointseg.losses.dot_regression import DotRegression

VECTORS = simplex_etf(4, 5, dtype=torch.float64)


def test_a_feature_along_its_class_costs_nothing() -> None:
    assert DotRegression()(3 * VECTORS, torch.arange(4), VECTORS).item() == pytest.approx(0, abs=1e-15)


def test_a_feature_along_another_class_costs_half_the_square_of_the_miss() -> None:
    # The cosine between two of four simplex vectors is -1/3.
    loss = DotRegression()(VECTORS[:1], torch.tensor([1]), VECTORS)
    assert loss.item() == pytest.approx(0.5 * (4 / 3) ** 2)


def test_the_lengths_of_the_released_code_make_it_a_mean_of_class_means() -> None:
    """Class vectors of length sqrt(gamma / n_c), averaged over rows, by its formula."""
    features = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 0, 0, 2, 2, 3])
    counts = torch.tensor([5.0, 0.0, 2.0, 1.0], dtype=torch.float64)
    gamma = 8 / 3
    length = (gamma / counts)[labels].sqrt()
    cosine = (F.normalize(features, dim=1) * VECTORS[labels]).sum(1)
    expected = 0.5 * (length * cosine - length).square().mean()
    torch.testing.assert_close(DotRegression()(features, labels, VECTORS), expected)
    means = torch.stack([0.5 * (cosine[labels == c] - 1).square().mean() for c in (0, 2, 3)])
    torch.testing.assert_close(expected, means.mean())
    equal_lengths = DotRegression(ClassPrior(1.0))(features, labels, VECTORS)
    torch.testing.assert_close(equal_lengths, 0.5 * (cosine - 1).square().mean())


def test_other_classes_do_not_push() -> None:
    feature = torch.tensor([[1.0, 0.2, 0.0, 0.0, 0.3]], dtype=torch.float64)
    few, many = simplex_etf(4, 5, dtype=torch.float64), VECTORS.clone()
    many[1:] = 0.5
    assert DotRegression()(feature, torch.tensor([0]), few) == DotRegression()(
        feature, torch.tensor([0]), many
    )


def test_images_and_rows_give_one_loss() -> None:
    images = torch.randn(2, 5, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(12).reshape(2, 3, 2) % 5 - 1
    rows = images.permute(0, 2, 3, 1).reshape(-1, 5)
    loss = DotRegression(ignore_index=-1)
    torch.testing.assert_close(loss(images, labels, VECTORS), loss(rows, labels.flatten(), VECTORS))


def test_the_gradient_is_exact() -> None:
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(6) % 4
    loss = DotRegression()
    assert torch.autograd.gradcheck(lambda f: loss(f, labels, VECTORS), [features.requires_grad_()])
    assert math.isfinite(loss(torch.zeros_like(features), labels, VECTORS).item())


def test_dimensions_must_agree() -> None:
    with pytest.raises(ValueError, match="the same dimension"):
        DotRegression()(torch.zeros(2, 3), torch.tensor([0, 1]), VECTORS)


def test_it_is_refused_without_the_simplex_head() -> None:
    data = {
        "data": {"path": "store"},
        "train": {"steps": 1},
        "losses": {"main": {"type": "dot_regression"}},
    }
    with pytest.raises(ConfigError, match=r"set head: \{type: etf\}"):
        load_config(Experiment, None, data=data)
    load_config(Experiment, None, ["head={type: etf}"], data=data)
