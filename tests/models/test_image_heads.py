"""Behind image networks a head works at their resolution, and its scores are made large, not the features."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointseg.core.batch import ImageBatch
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.prediction import FeatureMap
from pointseg.core.statistics import ClassStatistics
from pointseg.core.surroundings import Surroundings, pixel_table
from pointseg.experiment import LOSSES
from pointseg.losses.objective import Objective
from pointseg.models.heads import HeadConfig, LinearHeadConfig
from pointseg.models.segmenter import Segmenter
from pointseg.models.suppression import ClassSuppressionHeadConfig
from pointseg.training.state import Learner

CLASSES, CHANNELS = 5, 6


class AtStrideFour(nn.Module):
    """A network of stride 4 whose features are those it is given."""

    out_channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, CHANNELS, 4, stride=4)

    def rows(self, batch: ImageBatch) -> FeatureMap:
        return FeatureMap.of(self.patches(batch.images), batch.images)


def batch() -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, CLASSES, (2, 16, 24), generator=generator)
    labels[labels < 0] = -100
    return ImageBatch(torch.randn(2, 3, 16, 24, generator=generator), labels, ("a", "b"))


def segmenter(head: HeadConfig) -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(AtStrideFour(), CLASSES, head)


def large(rows: Tensor) -> Tensor:
    """Rows of 2 maps of 4 x 6 as rows of pixels, the long way round."""
    maps = rows.reshape(2, 4, 6, -1).permute(0, 3, 1, 2)
    return F.interpolate(maps, (16, 24), mode="bilinear").permute(0, 2, 3, 1).reshape(2 * 16 * 24, -1)


@pytest.mark.parametrize("training", [False, True])
def test_a_suppressing_head_gives_the_same_scores_at_full_and_at_feature_resolution(training: bool) -> None:
    network, images = segmenter(ClassSuppressionHeadConfig()).train(training), batch()
    rows = network.backbone.rows(images).rows  # type: ignore[operator]
    torch.manual_seed(1)
    at_features = network.head(rows, images.labels, 1.0)
    torch.manual_seed(1)
    full = network(images, 1.0)
    assert len(full.branches) == len(at_features.branches) == 1 + training
    for small, whole in zip(at_features.branches, full.branches, strict=True):
        assert len(small.logits) == 2 * 4 * 6
        torch.testing.assert_close(whole.logits, large(small.logits))


def test_the_norm_of_a_head_sees_the_rows_of_the_features() -> None:
    network, seen = segmenter(ClassSuppressionHeadConfig()), []
    norm = network.head.norm
    assert isinstance(norm, nn.Module)
    norm.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    network(batch(), 1.0)
    assert seen == [2 * 4 * 6]


def test_a_linear_classifier_and_interpolation_change_places() -> None:
    network, images = segmenter(LinearHeadConfig()), batch()
    rows = network.backbone.rows(images).rows  # type: ignore[operator]
    prediction = network(images)
    torch.testing.assert_close(prediction.logits, network.head.classifier(large(rows)))  # type: ignore[operator]
    torch.testing.assert_close(prediction.full_features(), large(rows))


@pytest.mark.parametrize(("loss", "channels"), [("cross_entropy", 0), ("pat", 0), ("lovasz", 0), ("ceco", 6)])
def test_features_are_made_large_only_for_losses_that_look_at_them(loss: str, channels: int) -> None:
    space = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * 5, distinct_colors(5))
    term = LOSSES[loss]().build(
        ClassStatistics.uniform(CLASSES), label_space=space, feature_channels=CHANNELS
    )
    learner = Learner(segmenter(LinearHeadConfig()), Objective({"it": term}, {"it": 1.0}))
    images = batch()
    slots = learner.slots(images, 0.0, learner.facts([images], 0.0))
    labelled = int((images.labels >= 0).sum())
    assert slots[0].rows.features.shape == (labelled, channels)
    part = learner(images, 0.0, learner.facts([images], 0.0))
    part.total.backward()
    assert all(p.grad is not None for p in learner.segmenter.backbone.parameters())


@pytest.mark.parametrize(("loss", "looks"), [("spatial_class_balanced", True), ("cross_entropy", False)])
def test_what_lies_around_a_pixel_is_found_only_for_losses_that_look_there(loss: str, looks: bool) -> None:
    space = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * 5, distinct_colors(5))
    term = LOSSES[loss]().build(
        ClassStatistics.uniform(CLASSES), label_space=space, feature_channels=CHANNELS
    )
    learner = Learner(segmenter(LinearHeadConfig()), Objective({"it": term}, {"it": 1.0}))
    images = batch()
    (slot,) = learner.slots(images, 0.0, learner.facts([images], 0.0))
    around = slot.rows.surroundings
    assert (around is not None) == looks
    if around is None:
        return
    labelled = torch.nonzero(images.labels >= 0).flatten()
    expected = Surroundings.of(pixel_table(2, 16, 24), labelled)
    assert torch.equal(around.neighbours, expected.neighbours)
    # Called on the images themselves, it is the same loss.
    logits = learner.segmenter(images).logits.reshape(2, 16, 24, CLASSES).permute(0, 3, 1, 2)
    total, _ = learner.objective({"main": slot.rows})
    torch.testing.assert_close(total, term(logits, images.pixel_labels))  # type: ignore[operator]
