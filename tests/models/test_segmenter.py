"""Segmenter: voxels in, class scores out, in the batch's order."""

import torch
from torch import nn

from pointseg.core.batch import SceneBatch
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.segmenter import Segmenter


def tiny() -> Segmenter:
    torch.manual_seed(0)
    config = MinkUNetConfig(variant="14A", widths=(4,) * 7 + (6,), stem_channels=4, stem_kernel=3)
    return Segmenter(config.build(2), num_classes=3)


def batch(order: torch.Tensor) -> SceneBatch:
    coords = torch.cartesian_prod(*[torch.arange(n) for n in (2, 3, 3, 2)]).int()
    features = torch.randn(36, 2, generator=torch.Generator().manual_seed(1))
    return SceneBatch(coords[order], features[order], torch.zeros(36).long()[order], ("a", "b"))


def test_every_voxel_gets_a_score_for_every_class() -> None:
    prediction = tiny()(batch(torch.arange(36)))
    assert prediction.logits.shape == (36, 3)
    assert prediction.features.shape == (36, 6)
    assert prediction.classifier_weight is not None and prediction.classifier_weight.shape == (3, 6)


def test_scores_are_the_linear_function_of_the_features_that_the_head_says() -> None:
    network = tiny()
    prediction = network(batch(torch.arange(36)))
    classifier = network.head.classifier
    assert isinstance(classifier, nn.Linear)
    expected = prediction.features @ classifier.weight.T + classifier.bias
    torch.testing.assert_close(prediction.logits, expected)


def test_rows_follow_the_rows_of_the_batch() -> None:
    network = tiny().eval()
    shuffled = torch.randperm(36, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        straight = network(batch(torch.arange(36))).logits
        torch.testing.assert_close(network(batch(shuffled)).logits, straight[shuffled])


def test_scenes_of_a_batch_do_not_see_each_other_in_evaluation() -> None:
    network = tiny().eval()
    both = batch(torch.arange(36))
    alone = SceneBatch(both.coords[:18], both.features[:18], both.labels[:18], ("a",))
    with torch.no_grad():
        torch.testing.assert_close(network(alone).logits, network(both).logits[:18])
