"""What all heads share: the post-hoc normalisation of a linear classifier, and the norms of a head."""

import pytest
import torch

from pointseg.models.cosine import CosineHead
from pointseg.models.etf import ETFHead, ETFHeadConfig
from pointseg.models.heads import LinearHead
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.segmenter import Segmenter
from pointseg.models.suppression import ClassSuppressionHead, ClassSuppressionHeadConfig

FEATURES = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
LABELS = torch.zeros(2, dtype=torch.int64)


def linear_head() -> LinearHead:
    head = LinearHead(2, 2)
    # Lengths 5 and 1.
    head.classifier.weight.data = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    head.classifier.bias.data = torch.tensor([7.0, -7.0])
    return head.eval()


@pytest.mark.parametrize(
    ("tau", "vectors"), [(1.0, [[0.6, 0.8], [0.0, 1.0]]), (0.5, [[3 / 5**0.5, 4 / 5**0.5], [0.0, 1.0]])]
)
def test_class_vectors_are_divided_by_a_power_of_their_length(tau: float, vectors: list[list[float]]) -> None:
    head = linear_head()
    head.normalise_classifier(tau)
    expected = FEATURES @ torch.tensor(vectors).T
    torch.testing.assert_close(head(FEATURES, LABELS, 0.0).logits, expected)


def test_tau_zero_and_training_leave_the_classifier_as_it_is() -> None:
    head = linear_head()
    expected = head(FEATURES, LABELS, 0.0).logits
    head.normalise_classifier(0.0)
    assert torch.equal(head(FEATURES, LABELS, 0.0).logits, expected)
    head.normalise_classifier(1.0)
    assert torch.equal(head.train()(FEATURES, LABELS, 0.0).logits, expected)


def test_a_suppressing_head_normalises_its_classifier_too() -> None:
    torch.manual_seed(0)
    head = ClassSuppressionHead(2, 3).eval()
    head.normalise_classifier(1.0)
    prediction = head(FEATURES, LABELS, 0.0)
    vectors = torch.nn.functional.normalize(head.classifier.weight, dim=1)
    torch.testing.assert_close(prediction.logits, prediction.features @ vectors.T)


@pytest.mark.parametrize("head", [CosineHead(2, 3), ETFHead(2, 3)])
def test_class_vectors_of_equal_length_are_not_normalised_again(head: CosineHead | ETFHead) -> None:
    with pytest.raises(ValueError, match=r"tau_normalisation is for linear classifiers; \w+Head has"):
        head.normalise_classifier(1.0)


@pytest.mark.parametrize(
    ("model", "momentum", "eps"),
    [
        (MinkUNetConfig(variant="SpUNet", widths=(4,) * 8, stem_channels=4), 0.01, 1e-3),
        (MinkUNetConfig(variant="34D", widths=(4,) * 8, stem_channels=4), 0.02, 1e-5),
        (ImageUNetConfig(widths=(4, 4), out_channels=4), 0.1, 1e-5),
    ],
)
def test_the_norm_of_a_head_takes_momentum_and_eps_of_the_backbone(
    model: MinkUNetConfig | ImageUNetConfig, momentum: float, eps: float
) -> None:
    for config in (ClassSuppressionHeadConfig(), ETFHeadConfig()):
        norm = Segmenter(model.build(3), 5, config).head.norm
        assert isinstance(norm, torch.nn.BatchNorm1d)
        assert (norm.momentum, norm.eps) == (momentum, eps)


@pytest.mark.parametrize(
    ("num_dropped", "num_classes", "expected"),
    [(0.05, 200, 10), (0.05, 19, 1), (0.05, 12, 1), (1, 200, 1), (3, 200, 3), (0.9, 2, 1)],
)
def test_a_share_of_the_classes_is_as_many_as_it_says(
    num_dropped: float, num_classes: int, expected: int
) -> None:
    config = ClassSuppressionHeadConfig(num_dropped=num_dropped)
    assert config.build(4, num_classes).num_dropped == expected


def test_a_share_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="share of the classes must lie between 0 and 1"):
        ClassSuppressionHead(4, 5, num_dropped=1.5)
