"""The cosine head and the simplex head: classifiers that look at directions only."""

import math

import pytest
import torch

from pointseg.config import load_config
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import Experiment
from pointseg.models.cosine import CosineHead
from pointseg.models.etf import ETFHead

FEATURES = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(7, dtype=torch.int64)


def test_cosine_logits_are_scaled_cosines() -> None:
    torch.manual_seed(0)
    head = CosineHead(4, 3, scale=20.0)
    prediction = head(FEATURES, LABELS, 0.0)
    i, c = 2, 1
    cosine = torch.cosine_similarity(FEATURES[i], head.weight[c], dim=0)
    assert prediction.logits[i, c].item() == pytest.approx(20 * cosine.item(), rel=1e-5)
    assert prediction.logits.abs().max().item() <= 20.001


@pytest.mark.parametrize("make", [CosineHead, ETFHead])
def test_the_length_of_a_feature_does_not_matter(make: type[CosineHead] | type[ETFHead]) -> None:
    torch.manual_seed(0)
    head = make(4, 3).eval()
    torch.testing.assert_close(head(5 * FEATURES, LABELS, 0.0).logits, head(FEATURES, LABELS, 0.0).logits)


def test_the_simplex_is_not_learned_and_its_classes_are_equally_far() -> None:
    head = ETFHead(4, 6)
    assert {name for name, _ in head.named_parameters()} == {"embed.weight", "norm.weight", "norm.bias"}
    gram = head.classifier @ head.classifier.T
    torch.testing.assert_close(
        gram[~torch.eye(6, dtype=torch.bool)], torch.full((30,), -1 / 5), atol=1e-6, rtol=0
    )
    assert "classifier" in head.state_dict()


def test_the_simplex_meets_features_that_a_batch_norm_has_centred() -> None:
    torch.manual_seed(0)
    head = ETFHead(4, 3)
    shifted = head(FEATURES + 100, LABELS, 0.0)
    embedded = FEATURES @ head.embed.weight.T
    normed = (embedded - embedded.mean(0)) / (embedded.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(shifted.features, normed, rtol=1e-3, atol=1e-3)
    bare = ETFHead(4, 3, norm=False)
    torch.testing.assert_close(bare(FEATURES, LABELS, 0.0).features, bare.embed(FEATURES))
    assert bool(head(FEATURES[:1], LABELS[:1], 0.0).logits.isfinite().all())


def test_a_bias_is_added_to_the_scaled_cosines() -> None:
    torch.manual_seed(0)
    plain, biased = CosineHead(4, 3, scale=20.0), CosineHead(4, 3, scale=20.0, bias=True)
    biased.weight = plain.weight
    before = plain(FEATURES, LABELS, 0.0).logits
    torch.testing.assert_close(biased(FEATURES, LABELS, 0.0).logits, before)
    assert biased.bias is not None and plain.bias is None
    biased.bias.data[1] = 5.0
    torch.testing.assert_close(biased(FEATURES, LABELS, 0.0).logits, before + torch.tensor([0.0, 5.0, 0.0]))


def test_scores_of_the_simplex_add_up_to_zero() -> None:
    logits = ETFHead(4, 3, scale=1.0)(FEATURES, LABELS, 0.0).logits
    torch.testing.assert_close(logits.sum(1), torch.zeros(7), atol=1e-6, rtol=0)


def test_few_channels_are_embedded_in_enough_dimensions() -> None:
    assert ETFHead(96, 200).embedding_dim == 199
    assert ETFHead(512, 200).embedding_dim == 512
    with pytest.raises(ValueError, match=r"needs at least 199 dimensions; head.embedding_dim is 96"):
        ETFHead(96, 200, embedding_dim=96)


def test_losses_of_features_are_built_for_the_embedding_of_the_head() -> None:
    data = {
        "data": {"path": "store"},
        "train": {"steps": 1},
        "model": {"widths": [4] * 8, "variant": "14A", "stem_channels": 4, "stem_kernel": 3},
        "head": {"type": "etf"},
        "losses": {"main": {"type": "dot_regression"}, "regions": {"type": "region_classifier"}},
    }
    experiment = load_config(Experiment, None, data=data)
    space = LabelSpace("six", tuple(range(1, 7)), tuple("abcdef"), ("",) * 6, distinct_colors(6))
    segmenter = experiment.build_segmenter(3, 6)
    objective = experiment.build_objective(
        ClassStatistics.uniform(6), label_space=space, feature_channels=segmenter.feature_channels
    )
    assert segmenter.feature_channels == 5
    assert dict(objective.named_parameters())["terms.regions.classifier.weight"].shape == (7, 5)


def test_a_feature_of_zeros_gives_finite_scores() -> None:
    for head in (CosineHead(4, 3), ETFHead(4, 3)):
        logits = head(torch.zeros(2, 4), LABELS[:2], 0.0).logits
        assert all(math.isfinite(z) for z in logits.flatten().tolist())
